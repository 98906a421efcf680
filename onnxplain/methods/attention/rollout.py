"""Attention rollout (Abnar & Zuidema, ACL 2020).

References
----------
.. [1] Abnar & Zuidema, Quantifying attention flow in transformers, ACL 2020, sec. 3,
   :arXiv:`2005.00928`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.formulas import CHANNELS, ClosedForm, Formula, Ops, Values
from onnxplain.core.inside import Array, Tensors
from onnxplain.core.params import Param
from onnxplain.methods.attention.on_attention import OnAttention
from onnxplain.methods.layers.at_layer import describe_inside

COLUMNS = (3,)  # axis
Fuse: TypeAlias = Literal["mean", "max", "min"]
FUSE: Mapping[Fuse, Formula] = {
    "mean": Formula(lambda ops, values, grads: ops.mean(values, CHANNELS)),
    "max": Formula(lambda ops, values, grads: ops.largest(values, CHANNELS)),
    "min": Formula(lambda ops, values, grads: 0 - ops.largest(0 - values, CHANNELS)),
}
SORTS = "discard sorts weights, for which there is no formula; choose discard=0"


def roll_out(ops: Ops, blocks: Sequence[Values], read: Values) -> Values:
    """Follow ``A + I`` of each block, with rows of the sum 1, from the last to the first."""
    for attention in reversed(blocks):
        scaled = read / (1 + ops.turn(ops.sum(attention, COLUMNS)))
        read = scaled + ops.matmul(scaled, attention)
    return read


@dataclass(frozen=True)
class AttentionRollout(OnAttention):
    """Attention of all blocks, whatever the class.

    A block passes on the mean of a token and of what the token reads, ``(A + I) / 2`` with the
    attention weights A, and the product over all blocks says which patches arrive [1]_.

    Parameters
    ----------
    fuse : {'mean', 'max', 'min'}
        How the heads of a block become one; the authors take the mean.
    discard : float
        The share of the smallest weights of each block that count as 0.
    layer : str
        ``attention``, or with the grid of the patches behind it, ``attention@14x14``.
    found : tuple of Layer
        The attention weights of each block, which the classifier finds.

    Notes
    -----
    The map is the same for every class. It knows neither what values hold nor what follows the
    attention, and needs no gradients. The rows of ``A + I`` are brought to the sum 1.
    """

    name: ClassVar[str] = "attention-rollout"
    adaptive: ClassVar[bool] = False  # it is the same for every class
    meaning: ClassVar[Meaning] = Meaning("share of the output that comes from the patch, any class")

    fuse: Annotated[Fuse, Param("how the heads of a block become one")] = "mean"
    discard: Annotated[
        float, Param("share of the smallest weights of a block that count as 0", ge=0, lt=1)
    ] = 0.0

    @property
    def closed_form(self) -> ClosedForm:
        """How its map is made."""
        return ClosedForm(FUSE[self.fuse], follow=roll_out, refusal=SORTS if self.discard else "")

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside: values alone."""
        # Any score will do; a probability asks for no logits, which some files lack.
        return Tensors(self.found, gradients=False, score="probability")

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        fuse = partial(discard_smallest, FUSE[self.fuse], self.discard)
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=fuse)
        details = describe_inside(self.wants, reply)
        return self.draw_patches(case, reply.layers, roll_out, details)


def discard_smallest(
    fuse: Formula, share: float, values: Array, grads: Array | None
) -> NDArray[np.float32]:
    """Make one matrix (N, T, T) of all heads, with its smallest weights 0."""
    fused = fuse(values, grads)
    n_zeros = int(share * fused[0].size)
    if n_zeros:
        flat = fused.reshape(len(fused), -1)
        np.put_along_axis(flat, np.argsort(flat, axis=1, kind="stable")[:, :n_zeros], 0, axis=1)
    return fused
