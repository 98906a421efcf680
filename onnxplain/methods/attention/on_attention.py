"""What methods have in common that follow attention from the scores back to the patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Layer, Meaning, Size, Tokens
from onnxplain.core.flow import NO_FILL
from onnxplain.core.formulas import ARRAYS, Follow, Ops, Values
from onnxplain.core.inside import ATTENTION
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.layers.at_layer import make_attribution

M = TypeVar("M", bound="OnAttention")
LAYER = "the attention of all blocks; with the grid of the patches if asked for: attention@14x14"


@dataclass(frozen=True)
class OnAttention(Parametrised):
    """The parameters of methods that look at the attention of all blocks.

    Parameters
    ----------
    layer : str
        ``attention``, or with the grid of the patches behind it, ``attention@14x14``.
    found : tuple of Layer
        The attention weights of each block, which the classifier finds.
    """

    usual_fill: ClassVar[str] = NO_FILL
    name: ClassVar[str]
    meaning: ClassVar[Meaning]

    layer: Annotated[str, Param(LAYER)] = ATTENTION
    found: tuple[Layer, ...] = field(default=(), repr=False, kw_only=True)

    def at(self: M, layers: tuple[Layer, ...]) -> M:
        """Return the method with the attention found.

        Raises
        ------
        ValueError
            If the name chooses other layers.
        """
        if any(layer.tokens is None for layer in layers):
            raise ValueError(
                f"{self.name} looks at the attention of all blocks, got the layer "
                f"{self.layer!r}; choose {ATTENTION}, or {ATTENTION}@14x14 to tell the grid"
            )
        return replace(self, found=layers)

    @property
    def tokens(self) -> Tokens:
        """What attends to each other."""
        tokens = self.found[0].tokens
        assert tokens is not None
        return tokens

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def draw_patches(
        self,
        case: Case,
        blocks: Sequence[NDArray[Any]],
        follow: Follow,
        details: Mapping[str, Any],
    ) -> Attribution:
        """Make the map of what the scores read of each patch.

        Parameters
        ----------
        case : Case
            Whose image is explained.
        blocks : sequence of (1, T, T) ndarray
            What the tokens of each block read of those of the block before.
        follow : callable
            How blocks are put one after another, as in `ClosedForm`.
        details : mapping
            The record.
        """
        tokens = self.tokens
        matrices = [block[None].astype(np.float64) for block in blocks]
        read = follow(ARRAYS, matrices, tokens.begin(blocks[0].shape[-1]))
        patches = read[0, 0, 0, tokens.prefix :].reshape(tokens.grid)
        described = {"grid": list(tokens.grid), "prefix": tokens.prefix, "read": list(tokens.read)}
        record = {**details, "tokens": described}
        return make_attribution(case, patches, record, relu=False, meaning=self.meaning)


def add_what_is_read(ops: Ops, blocks: Sequence[Values], read: Values) -> Values:
    """Follow ``I + A`` of each block, from the last to the first."""
    for attention in reversed(blocks):
        read = read + ops.matmul(read, attention)
    return read
