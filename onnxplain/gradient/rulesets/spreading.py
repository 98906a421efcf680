"""Rules of relevance propagation: how a layer of weights hands down what it was given.

A layer makes y = W a + b and was given the relevance R of y. A rule divides R by a sum z of
contributions, c = R / z, and hands down ``a (W' c)``. Most rules return ``W' c``, the relevance
per unit of a, which later steps multiply by a only where it is needed; those that hand down
something whatever a is return the relevance itself.

With ``+`` and ``-`` for positive and negative parts, W = W+ + W-:

============  =====================================================================
rule          contributions in z, and in what is handed down
============  =====================================================================
epsilon       ``W a + b``
gamma         ``(W + gamma W+) a+ + (W + gamma W-) a- + b + gamma b+`` where y > 0, and
              with + and - of the weights and the bias exchanged where y < 0
zplus         ``W+ a+ + W- a- + b+``
alpha-beta    alpha times zplus less beta times the same with W+ and W- exchanged, and b-
flat          1 for each a and each weight; returns relevance
wsquare       ``W^2`` for each a; returns relevance
zbox          ``W a - W+ l - W- h`` for l <= a <= h; returns relevance
excitation    ``W+ a+``
contrastive   excitation less the same with -W
============  =====================================================================

References
----------
.. [1] Bach et al., On pixel-wise explanations for non-linear classifier decisions by layer-wise
   relevance propagation, PLoS ONE 2015
.. [2] Montavon et al., Explaining nonlinear classification decisions with deep Taylor
   decomposition, Pattern Recognition 2017, :arXiv:`1512.02479`
.. [3] Montavon et al., Layer-wise relevance propagation: an overview, 2019
.. [4] Lapuschkin et al., Unmasking Clever Hans predictors, Nature Communications 2019
.. [5] Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016,
   :arXiv:`1608.00507`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.rules.activation import mask_above, mask_below, mask_positive, select
from onnxplain.gradient.rulesets.layers_of_weights import Weights
from onnxplain.gradient.tape import Tape

TINY = 1e-6  # added to denominators, away from 0
# Smaller, for rules whose numbers are shares of 1 among many.
TINIEST = 1e-20
Half: TypeAlias = Callable[[Tape, str], str]
RETURN_RELEVANCE = frozenset({"flat", "wsquare", "zbox"})


@dataclass(frozen=True)
class Settings:
    """The numbers of the rules.

    Parameters
    ----------
    epsilon : float
        Added to the denominator of the epsilon rule, away from 0.
    gamma : float
        How much positive contributions are favoured by the gamma rule.
    alpha, beta : float
        Factors of positive and negative contributions in the alpha-beta rule.
    zero_bias : bool
        Whether biases are left out of all denominators.
    tiny : float
        Added to the denominators of all other rules, away from 0.
    """

    epsilon: float = TINY
    gamma: float = 0.25
    alpha: float = 2.0
    beta: float = 1.0
    zero_bias: bool = False
    tiny: float = TINY


@dataclass(frozen=True, eq=False)
class Handover:
    """Relevance to hand down through a layer, and what its rule works with.

    Parameters
    ----------
    layer : Weights
        The layer.
    relevance : str
        R of its output.
    settings : Settings
        The numbers of the rules.
    never_negative : bool
        Whether its input is known to be 0 or more.
    has_negative : bool
        Whether it hands relevance down where its output is below 0, as no rectifier follows.
    bounds : tuple of str, optional
        Its smallest and largest input, for the rule zbox.
    """

    layer: Weights
    relevance: str
    settings: Settings
    never_negative: bool
    has_negative: bool = True
    bounds: tuple[str, str] | None = None

    @property
    def tape(self) -> Tape:
        """Where it is written."""
        return self.layer.tape

    @property
    def bias(self) -> str:
        """The bias that counts in denominators; empty if there is none."""
        return "" if self.settings.zero_bias else self.layer.bias


def stabilise(tape: Tape, z: str, epsilon: float = TINY) -> str:
    """Write z moved away from 0 by epsilon; 0 counts as positive."""
    return tape.add(z, select(tape, mask_below(tape, z, 0), epsilon, -epsilon))


def spread_epsilon(handover: Handover) -> str:
    """Hand down by all contributions."""
    tape, layer = handover.tape, handover.layer
    z = stabilise(tape, _find_sum(handover), handover.settings.epsilon)
    return layer.back(tape.div(handover.relevance, z), layer.weight)


def spread_gamma(handover: Handover) -> str:
    """Hand down by contributions of which those of the sign of y are favoured.

    With s, the sign of y, the favoured ones are half of ``W a + s |W| |a|``, so that both signs
    take one product with W, which is y itself, and one with ``|W|``.
    """
    tape, layer, gamma = handover.tape, handover.layer, handover.settings.gamma
    if handover.never_negative and not handover.has_negative:
        own = _favour(tape, layer.weight, gamma)
        relevance = tape.mul(handover.relevance, mask_positive(tape, layer.y))
        return _share(handover, relevance, (own, ""), _favour(tape, handover.bias, gamma))
    plain = tape.scale(layer.weight, 1 + gamma / 2)
    sizes = tape.scale(tape.op("Abs", layer.weight), gamma / 2)
    bias = tape.scale(tape.op("Abs", handover.bias), gamma / 2) if handover.bias else ""
    sign = tape.op("Sign", layer.y) if handover.has_negative else mask_positive(tape, layer.y)
    a = layer.x if handover.never_negative else tape.op("Abs", layer.x)
    favoured = tape.mul(sign, layer.apply(a, sizes, bias))
    z = tape.add(tape.scale(_find_sum(handover), 1 + gamma / 2), favoured)
    signed = tape.div(
        tape.mul(handover.relevance, sign), stabilise(tape, z, handover.settings.tiny)
    )
    back = layer.back(signed, sizes)
    if not handover.never_negative:
        back = tape.mul(tape.op("Sign", layer.x), back)
    return tape.add(layer.back(tape.mul(signed, sign), plain), back)


def spread_zplus(handover: Handover) -> str:
    """Hand down by positive contributions."""
    weights = _split(handover)
    return _share(handover, handover.relevance, weights, _take(handover, take_positive))


def spread_alpha_beta(handover: Handover) -> str:
    """Hand down by positive contributions, more than there is, and subtract by negative ones."""
    tape, settings = handover.tape, handover.settings
    positive, negative = _split(handover)
    up = _share(handover, handover.relevance, (positive, negative), _take(handover, take_positive))
    if not settings.beta:
        return tape.scale(up, settings.alpha)
    down = _share(
        handover, handover.relevance, (negative, positive), _take(handover, take_negative)
    )
    return tape.sub(tape.scale(up, settings.alpha), tape.scale(down, settings.beta))


def spread_flat(handover: Handover) -> str:
    """Hand down the same to every input of a sum."""
    ones = handover.tape.fill_like(handover.layer.weight, 1)
    return _share_alike(handover, ones)


def spread_wsquare(handover: Handover) -> str:
    """Hand down by squares of weights."""
    return _share_alike(handover, handover.tape.mul(handover.layer.weight, handover.layer.weight))


def spread_zbox(handover: Handover) -> str:
    """Hand down to inputs that lie between two bounds."""
    if handover.bounds is None:
        raise Refusal("the rule zbox is for the layer that reads the image")
    tape, layer = handover.tape, handover.layer
    (positive, negative), (low, high) = _split(handover), handover.bounds
    own = layer.apply(layer.x, layer.weight)
    ends = tape.add(layer.apply(low, positive), layer.apply(high, negative))
    c = tape.div(handover.relevance, stabilise(tape, tape.sub(own, ends), handover.settings.tiny))
    down = tape.mul(layer.x, layer.back(c, layer.weight))
    down = tape.sub(down, tape.mul(low, layer.back(c, positive)))
    return tape.sub(down, tape.mul(high, layer.back(c, negative)))


def spread_excitation(handover: Handover) -> str:
    """Hand down by positive weights of positive inputs."""
    return _excite(handover, take_positive)


def spread_contrastive(handover: Handover) -> str:
    """Hand down by positive weights, and subtract the same for the opposite weights."""
    tape = handover.tape
    return tape.sub(_excite(handover, take_positive), _excite(handover, take_negative))


SPREADS: Mapping[str, Callable[[Handover], str]] = {
    "epsilon": spread_epsilon,
    "gamma": spread_gamma,
    "zplus": spread_zplus,
    "alpha-beta": spread_alpha_beta,
    "flat": spread_flat,
    "wsquare": spread_wsquare,
    "zbox": spread_zbox,
    "excitation": spread_excitation,
    "contrastive": spread_contrastive,
}


def take_positive(tape: Tape, a: str) -> str:
    """Write the positive part."""
    return tape.op("Relu", a)


def take_negative(tape: Tape, a: str) -> str:
    """Write the negative part."""
    return tape.op("Min", a, tape.real(0))


def _find_sum(handover: Handover) -> str:
    """Find ``W a + b``, or write it without a bias that does not count."""
    layer = handover.layer
    if handover.settings.zero_bias and layer.bias:
        return layer.apply(layer.x, layer.weight)
    return layer.y


def _favour(tape: Tape, name: str, gamma: float) -> str:
    return tape.add(name, tape.scale(take_positive(tape, name), gamma)) if name else ""


def _take(handover: Handover, half: Half) -> str:
    return half(handover.tape, handover.bias) if handover.bias else ""


def _split(handover: Handover) -> tuple[str, str]:
    weight = handover.layer.weight
    return take_positive(handover.tape, weight), take_negative(handover.tape, weight)


def _share(handover: Handover, relevance: str, weights: tuple[str, str], bias: str) -> str:
    """Hand down by ``W1 a+ + W2 a- + b``."""
    tape, layer = handover.tape, handover.layer
    first, second = weights
    if handover.never_negative:
        z = layer.apply(layer.x, first, bias)
        return layer.back(tape.div(relevance, stabilise(tape, z, handover.settings.tiny)), first)
    up, down = take_positive(tape, layer.x), take_negative(tape, layer.x)
    z = tape.add(layer.apply(up, first, bias), layer.apply(down, second))
    c = tape.div(relevance, stabilise(tape, z, handover.settings.tiny))
    where_up, where_down = mask_above(tape, layer.x, 0), mask_below(tape, layer.x, 0)
    return tape.add(
        tape.mul(where_up, layer.back(c, first)), tape.mul(where_down, layer.back(c, second))
    )


def _share_alike(handover: Handover, weight: str) -> str:
    """Hand down by weights alone, as if every input were 1."""
    tape, layer = handover.tape, handover.layer
    shape = tape.shape(layer.x)
    if None in shape[1:]:
        raise Refusal(f"its input has sizes that grow with the batch: {shape}")
    ones = tape.real(np.ones([1, *(size or 1 for size in shape[1:])]))
    z = tape.add(layer.apply(ones, weight), tape.real(TINIEST))
    return layer.back(tape.div(handover.relevance, z), weight)


def _excite(handover: Handover, half: Half) -> str:
    tape, layer = handover.tape, handover.layer
    weight = half(tape, layer.weight)
    a = layer.x if handover.never_negative else take_positive(tape, layer.x)
    z = layer.apply(a, weight)
    back = layer.back(tape.div(handover.relevance, stabilise(tape, z, TINIEST)), weight)
    return back if handover.never_negative else tape.mul(mask_positive(tape, layer.x), back)
