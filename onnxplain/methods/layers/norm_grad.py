"""NormGrad (Rebuffi, Fong, Ji & Vedaldi, CVPR 2020).

Think of a layer of weights that changes nothing, put behind the layer that is looked at. The
gradient of the score by these weights is a sum over positions, and what a position adds is a
vector: its *phase 1*. A number made of the vector, such as its norm, is the map: *phase 2*.

References
----------
.. [1] Rebuffi, Fong, Ji & Vedaldi, There and back again: Revisiting backpropagation saliency
   methods, CVPR 2020, sec. 3 and tab. 1, :arXiv:`2004.02866`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.inside import Array
from onnxplain.core.params import Param
from onnxplain.methods.layers.at_layer import AtLayer, describe_inside, make_attribution

Phase: TypeAlias = Literal["scaling", "bias", "conv1x1", "conv3x3", "conv3x3-depthwise"]
Aggregate: TypeAlias = Literal["norm", "filter-norm", "sum", "max"]
Wide: TypeAlias = NDArray[np.float64]

MEANINGS: Mapping[str, Meaning] = {
    "norm": Meaning("length of what the position adds to the gradient of weights put there"),
    "filter-norm": Meaning("length of the positive part of what the position adds to a gradient"),
    "sum": Meaning("sum of what the position adds to the gradient of weights put there"),
    "max": Meaning("largest number that the position adds to the gradient of weights put there"),
}
ROUNDING = 1e-5  # relative; float32 gradients that are one number differ by less


@dataclass(frozen=True)
class NormGrad(AtLayer):
    """Size of what each position adds to the gradient of weights.

    The weights belong to a layer put behind the one that is looked at, which changes nothing
    [1]_. With ``phase=scaling`` and ``aggregate=filter-norm`` it is the paper's selective
    NormGrad.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`). It also works at early layers.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    phase : {'scaling', 'bias', 'conv1x1', 'conv3x3', 'conv3x3-depthwise'}
        The layer that is put there: a factor or a summand per channel, or a convolution.
    aggregate : {'norm', 'filter-norm', 'sum', 'max'}
        What is made of a position's vector: its norm, that of its positive part, its sum, or its
        largest entry.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The vectors themselves, of up to 9 C^2 entries, are never made: every aggregate of them has a
    closed form. The score is differentiated with its own sign; the authors' program takes the
    negative one and turns the sign back. Phase ``bias`` shows nothing where the gradient is the
    same at every position, as in front of a global pooling, and is refused there. This is the
    paper's order 0: the weights of the network are the trained ones.
    """

    name: ClassVar[str] = "norm-grad"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    phase: Annotated[Phase, Param("the layer of weights that is put there")] = "conv1x1"
    aggregate: Annotated[Aggregate, Param("what is made of a position's vector")] = "norm"

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case.

        Raises
        ------
        ModelError
            If the phase is ``bias`` and the gradient is the same at every position.
        """
        reduce = partial(reduce_norm_grad, phase=self.phase, aggregate=self.aggregate)
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=reduce)
        ((signed,),) = reply.layers
        if self.phase == "bias" and np.ptp(signed) + abs(signed).max() > 0 and _is_flat(signed):
            (layer,) = self.found
            raise ModelError(
                f"norm-grad: the gradient is the same at all positions of layer {layer.tensor!r}, "
                f"as in front of a pooling of all positions, so that phase=bias shows nothing; "
                f"take phase=scaling, or an earlier layer, such as layer=stage:1"
            )
        details = describe_inside(self.wants, reply)
        meaning = MEANINGS[self.aggregate]
        return make_attribution(case, signed, details, relu=False, meaning=meaning)


class _Virtual(NamedTuple):
    """The layer that is put there.

    `window` is the side of what a weight sees, and `paired` says whether there is a weight for
    every pair of channels, or one for every channel.
    """

    window: int
    paired: bool


VIRTUAL: Mapping[str, _Virtual] = {
    "scaling": _Virtual(1, paired=False),
    "bias": _Virtual(1, paired=False),  # a factor of values that are all 1
    "conv1x1": _Virtual(1, paired=True),
    "conv3x3": _Virtual(3, paired=True),
    "conv3x3-depthwise": _Virtual(3, paired=False),
}


def reduce_norm_grad(
    values: Array, grads: Array | None, *, phase: Phase, aggregate: Aggregate
) -> NDArray[np.float32]:
    """Make maps (N, h, w) of values and gradients (N, C, h, w).

    With A the values in a position's window (zeros beyond the border) and G its gradients, a
    weight of channels i and j gets ``A_i G_j``; without pairs, i = j.
    """
    assert grads is not None
    a, g = values.astype(np.float64), grads.astype(np.float64)
    if phase == "bias":
        a = np.ones_like(a)
    window, paired = VIRTUAL[phase]
    join: Callable[[Wide, Wide], Wide] = _join_pairs if paired else _join_channels
    add = partial(_slide, window=window, gather=np.add)
    if aggregate == "sum":
        maps = join(add(a), g)
    elif aggregate == "norm":
        maps = np.sqrt(join(add(a**2), g**2))
    elif aggregate == "filter-norm":  # a product is positive if both factors have one sign
        up = join(add(np.maximum(a, 0) ** 2), np.maximum(g, 0) ** 2)
        down = join(add(np.minimum(a, 0) ** 2), np.minimum(g, 0) ** 2)
        maps = np.sqrt(up + down)
    else:
        highest, lowest = (
            _slide(a, window=window, gather=gather) for gather in (np.maximum, np.minimum)
        )
        maps = _find_largest_product(highest, lowest, g, paired=paired)
    return maps.astype(np.float32)


def _join_channels(a: Wide, g: Wide) -> Wide:
    """Sum the products of equal channels."""
    joined: Wide = (a * g).sum(axis=1)
    return joined


def _join_pairs(a: Wide, g: Wide) -> Wide:
    """Sum the products of all pairs of channels."""
    joined: Wide = a.sum(axis=1) * g.sum(axis=1)
    return joined


def _find_largest_product(highest: Wide, lowest: Wide, g: Wide, *, paired: bool) -> Wide:
    """Return the largest product of a gradient and a value in its window, which spans a range."""
    if paired:
        highest, lowest = highest.max(axis=1), lowest.min(axis=1)
        ends = (g.max(axis=1), g.min(axis=1))
        products = np.stack([a * end for a in (highest, lowest) for end in ends], axis=1)
    else:
        products = np.maximum(highest * g, lowest * g)
    largest: Wide = products.max(axis=1)
    return largest


def _slide(a: Wide, *, window: int, gather: Any) -> Wide:
    """Gather the values in the window around each position, with zeros beyond the border."""
    if window == 1:
        return a
    reach = window // 2
    padded = np.pad(a, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    rows, columns = a.shape[2:]
    parts = [
        padded[:, :, top : top + rows, left : left + columns]
        for top in range(window)
        for left in range(window)
    ]
    gathered: Wide = gather.reduce(parts)
    return gathered


def _is_flat(maps: NDArray[np.float32]) -> bool:
    return bool(np.ptp(maps) <= ROUNDING * np.abs(maps).max())
