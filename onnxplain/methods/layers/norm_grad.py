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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Kernel, Layer, Meaning, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.inside import Array, Tensors
from onnxplain.core.params import Param
from onnxplain.methods.layers.at_layer import AtLayer, describe_inside, make_attribution

Phase: TypeAlias = Literal["scaling", "bias", "conv1x1", "conv3x3", "conv3x3-depthwise", "proper"]
Aggregate: TypeAlias = Literal["norm", "filter-norm", "sum", "max"]
Wide: TypeAlias = NDArray[np.float64]

MEANINGS: Mapping[str, Meaning] = {
    "norm": Meaning("length of what the position adds to the gradient of weights put there"),
    "filter-norm": Meaning("length of the positive part of what the position adds to a gradient"),
    "sum": Meaning("sum of what the position adds to the gradient of weights put there"),
    "max": Meaning("largest number that the position adds to the gradient of weights put there"),
}
RATE = 0.0025  # of the step of training, in all of the paper's experiments
ROUNDING = 1e-5  # relative; float32 gradients that are one number differ by less


@dataclass(frozen=True)
class NormGrad(AtLayer):
    """Length of each position's share of a gradient.

    The gradient is that of the weights of a layer that changes nothing, put behind the one that
    is looked at [1]_. With ``phase=scaling`` and ``aggregate=filter-norm`` it is the paper's
    selective NormGrad.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`). It also works at early layers.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    phase : {'scaling', 'bias', 'conv1x1', 'conv3x3', 'conv3x3-depthwise', 'proper'}
        The layer that is put there: a factor or a summand per channel, or a convolution.
        ``proper`` takes a convolution of the network itself in its place, which ``layer`` names:
        ``weights:last``, ``weights:stage:2`` or ``weights:NAME``.
    aggregate : {'norm', 'filter-norm', 'sum', 'max'}
        What is made of a position's vector: its norm, that of its positive part, its sum, or its
        largest entry.
    order : int
        0: at the weights as they were trained. 1: after one step of training on the image, with
        the rate 0.0025; ``meta-saliency`` can choose another.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The vectors themselves, of up to 9 C^2 entries, are never made: every aggregate of them has a
    closed form. The score is differentiated with its own sign; the authors' program takes the
    negative one and turns the sign back. Phase ``bias`` shows nothing where the gradient is the
    same at every position, as in front of a global pooling, and is refused there. Exporters merge
    a batch normalisation into the convolution before it, and ``proper`` then takes the merged
    weights.
    """

    name: ClassVar[str] = "norm-grad"
    no_formula: ClassVar[str] = "its phases and aggregates are not written as graphs"

    phase: Annotated[Phase, Param("the layer of weights that is imagined behind the layer")] = (
        "conv1x1"
    )
    aggregate: Annotated[Aggregate, Param("what is made of a position's vector")] = "norm"
    order: Annotated[
        int, Param("steps of training on the image before the map is made", ge=0, le=1)
    ] = 0

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(self.found, score=self.score, rate=self.order * RATE)

    def at(self, layers: tuple[Layer, ...]) -> NormGrad:
        """Return the method with its layer, or the input and output of its convolution, found.

        Raises
        ------
        ValueError
            If the name chooses several layers, or no convolution where the phase needs one.
        """
        if self.phase != "proper":
            return super().at(layers)
        if len(layers) != 2 or layers[1].kernel is None:
            raise ValueError(
                f"{self.name}: phase=proper looks at the weights of a convolution; name it as "
                f"layer=weights:last, weights:stage:2 or weights:NAME, got {self.layer!r}"
            )
        return replace(self, found=layers)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case.

        Raises
        ------
        ModelError
            If the phase is ``bias`` and the gradient is the same at every position.
        """
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        values, grads = reply.layers[0][:, 0], reply.layers[-1][:, 1]
        kernel = self.found[-1].kernel if self.phase == "proper" else None
        (signed,) = reduce_norm_grad(
            values, grads, phase=self.phase, aggregate=self.aggregate, kernel=kernel
        )
        if self.phase == "bias" and signed.any() and _is_flat(signed):
            (layer,) = self.found
            raise ModelError(
                f"norm-grad: the gradient is the same at all positions of layer {layer.tensor!r}, "
                f"as in front of a pooling of all positions, so that phase=bias shows nothing; "
                f"take phase=scaling, or an earlier layer, such as layer=stage:1"
            )
        details = describe_inside(self.wants, reply)
        meaning = MEANINGS[self.aggregate]
        return make_attribution(case, signed, details, relu=False, meaning=meaning)


def make_kernel(phase: Phase, channels: int) -> Kernel:
    """Make the kernel of the layer that is put there."""
    if phase == "conv3x3":
        return Kernel((3, 3), before=(1, 1))
    if phase == "conv3x3-depthwise":
        return Kernel((3, 3), before=(1, 1), groups=channels)
    # A summand per channel is a factor of values that are all 1.
    return Kernel((1, 1), groups=1 if phase == "conv1x1" else channels)


def reduce_norm_grad(
    values: Array,
    grads: Array | None,
    *,
    phase: Phase,
    aggregate: Aggregate,
    kernel: Kernel | None = None,
) -> NDArray[np.float32]:
    """Make maps (N, h, w) of values and gradients.

    With A the values that a position reads (zeros beyond the border) and G its gradients, the
    weight between the channels i and j of a group gets ``A_i G_j``.

    Parameters
    ----------
    values : (N, C, H, W) ndarray of float32
        What the layer of weights reads.
    grads : (N, D, h, w) ndarray of float32
        By what it writes; of the same shape, unless it is the network's own.
    phase : str
        The layer of weights.
    aggregate : str
        What is made of a position's vector.
    kernel : Kernel, optional
        Of the network's own convolution, for the phase ``proper``.
    """
    assert grads is not None
    a, g = values.astype(np.float64), grads.astype(np.float64)
    if phase == "bias":
        a = np.ones_like(a)
    kernel = kernel or make_kernel(phase, values.shape[1])
    grid = (g.shape[2], g.shape[3])

    def join(a: Wide, g: Wide) -> Wide:
        """Sum the products of all that is read with all gradients, group by group."""
        read = _split(_slide(a, kernel, grid, np.add), kernel.groups).sum(axis=2)
        joined: Wide = (read * _split(g, kernel.groups).sum(axis=2)).sum(axis=1)
        return joined

    if aggregate == "sum":
        maps = join(a, g)
    elif aggregate == "norm":
        maps = np.sqrt(join(a**2, g**2))
    elif aggregate == "filter-norm":  # a product is positive if both factors have one sign
        up = join(np.maximum(a, 0) ** 2, np.maximum(g, 0) ** 2)
        maps = np.sqrt(up + join(np.minimum(a, 0) ** 2, np.minimum(g, 0) ** 2))
    else:
        maps = _find_largest_product(a, g, kernel)
    return maps.astype(np.float32)


def _find_largest_product(a: Wide, g: Wide, kernel: Kernel) -> Wide:
    """Return the largest product of a value that is read and a gradient of its group."""
    grid = (g.shape[2], g.shape[3])
    slopes = _split(g, kernel.groups)
    read = [
        extreme(_split(_slide(a, kernel, grid, gather), kernel.groups), axis=2)
        for gather, extreme in ((np.maximum, np.max), (np.minimum, np.min))
    ]
    ends = (slopes.max(axis=2), slopes.min(axis=2))
    products = np.stack([value * end for value in read for end in ends])
    largest: Wide = products.max(axis=(0, 2))
    return largest


def _split(maps: Wide, groups: int) -> Wide:
    """Split channels (N, C, h, w) into groups (N, groups, C / groups, h, w)."""
    return maps.reshape(len(maps), groups, -1, *maps.shape[2:])


def _slide(a: Wide, kernel: Kernel, grid: Size, gather: np.ufunc) -> Wide:
    """Gather, channel by channel, the values that each position of a grid reads."""
    if kernel.sides == kernel.strides == (1, 1) and a.shape[2:] == grid:
        return a
    reach = [
        (steps - 1) * stride + (side - 1) * dilation + 1
        for steps, stride, side, dilation in zip(
            grid, kernel.strides, kernel.sides, kernel.dilations, strict=True
        )
    ]
    pads = [
        (before, max(end - before - size, 0))
        for before, end, size in zip(kernel.before, reach, a.shape[2:], strict=True)
    ]
    padded = np.pad(a, ((0, 0), (0, 0), *pads))
    (down, across), (tall, wide) = kernel.strides, kernel.dilations
    gathered: Wide | None = None
    for row, column in np.ndindex(kernel.sides):
        top, left = row * tall, column * wide
        part = padded[:, :, top::down, left::across][:, :, : grid[0], : grid[1]]
        gathered = part.copy() if gathered is None else gather(gathered, part, out=gathered)
    assert gathered is not None
    return gathered


def _is_flat(maps: NDArray[np.float32]) -> bool:
    return bool(np.ptp(maps) <= ROUNDING * np.abs(maps).max())
