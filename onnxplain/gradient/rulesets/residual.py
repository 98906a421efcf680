"""Rules of relevance in the residual blocks of transformers, as Chefer et al. [1]_ have them.

A normalisation hands its relevance on as it is. A sum shares out in proportion, and then scales
what each term got as a whole, so that none gets more than there is, and none a negative sum where
the whole is positive: in proportion to the magnitudes of the sums.

References
----------
.. [1] Chefer, Gur & Wolf, Transformer interpretability beyond attention visualization, CVPR 2021,
   eq. 8 to 10, :arXiv:`2012.09838`
"""

from __future__ import annotations

from collections.abc import Collection

from onnxplain.gradient.cuts import Region
from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import GradientError
from onnxplain.gradient.rules.norms import FIXED_RULES
from onnxplain.gradient.rulesets.spreading import TINIEST, stabilise
from onnxplain.gradient.stops import find_stops
from onnxplain.gradient.tape import Grads, Tape

SUMS = {"Add", "Sum"}
NORMS = frozenset(FIXED_RULES)


def find_normalised(region: Region) -> frozenset[str]:
    """Find what normalisations read and make: their state is the relevance itself.

    Raises
    ------
    GradientError
        If a normalisation is written out, so that nothing shows where it begins.
    """
    written_out = [name for name, kind in find_stops(region).items() if kind == "divisor"]
    if written_out:
        raise GradientError(
            f"{written_out[0]!r} divides in a normalisation that is written out in several "
            f"operators, and the method needs it as one; export the model with opset 17 or later"
        )
    norms = [node for node in region.nodes if node.op_type in NORMS]
    return frozenset(name for node in norms for name in (node.input[0], node.output[0]))


def balance_sum(tape: Tape, node: Node, grads: Grads, terms: Collection[str]) -> Grads:
    """Scale the states of the terms of a sum by one number per image each.

    With the sums s of what the terms got, it is ``sign(s) (s + others) / (|s| + |others|)``.

    Parameters
    ----------
    tape : Tape
        Where it is written.
    node : Node
        The sum.
    grads : sequence of str or None
        The states of its inputs, all of which are one in a sum; None where it is not asked for.
    terms : collection of str
        The inputs that get relevance, asked for or not.
    """
    grad = next(filter(None, grads), None)
    if grad is None or len(terms) < 2:
        return grads
    axes = [axis for axis, size in enumerate(tape.shape(node.y)) if size is not None]
    axes = axes if len(axes) < len(tape.shape(node.y)) else axes[1:]
    sums = {name: tape.sum(tape.mul(grad, name), axes) for name in terms}
    magnitudes = tape.add(*(tape.op("Abs", total) for total in sums.values()))
    share = tape.div(tape.add(*sums.values()), stabilise(tape, magnitudes, TINIEST))
    return [
        own and tape.mul(own, tape.mul(tape.op("Sign", sums[name]), share))
        for name, own in zip(node.inputs, grads, strict=True)
    ]
