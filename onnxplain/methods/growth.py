"""The mask that MP2 grows, and the questions it asks about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from onnxplain.data import Image
from onnxplain.flow import FillQuery, Flow, ImageQuery, MaskQuery
from onnxplain.masks import CellMasks
from onnxplain.optim import Enlarge

Cells = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Still:
    """A fill that is a picture made beforehand."""

    picture: Image

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """The picture."""
        return self.picture


@dataclass(eq=False)
class Growth:
    """The mask of one image as it grows, and what is known of every cell's gain."""

    image: Image
    grid: int
    order: list[int] = field(default_factory=list)
    gains_of_order: list[float] = field(default_factory=list)
    trajectory: list[tuple[int, float]] = field(default_factory=list)  # cells, probability
    log_odds: float = 0.0  # of the image under the mask as it is
    ahead: Image | None = None  # what untried cells would be filled with, if looked ahead
    still: bool = False  # whether the fill does not depend on the mask
    enlarge: Enlarge = field(init=False)
    removed: NDArray[np.bool_] = field(init=False)
    gains: NDArray[np.float64] = field(init=False)  # as last found; of a block, its mean
    fresh: NDArray[np.bool_] = field(init=False)  # found in this step, and of the cell alone

    def __post_init__(self) -> None:
        rows, columns, _ = self.image.shape
        self.enlarge = Enlarge.nearest(self.grid, (rows, columns))
        self.removed = np.zeros(self.n_cells, bool)
        self.fresh = np.zeros(self.n_cells, bool)
        self.gains = np.zeros(self.n_cells)

    @property
    def n_cells(self) -> int:
        """Cells of the grid."""
        return self.grid**2

    def best(self) -> list[int]:
        """Cells that are left, largest gain first; the first in row order among equals."""
        ranked = np.argsort(-self.gains, kind="stable")
        return [int(cell) for cell in ranked if not self.removed[cell]]

    def remove(self, cells: Sequence[int]) -> None:
        """Add cells to the mask."""
        self.removed[list(cells)] = True
        self.order += cells
        self.gains_of_order += [float(self.gains[cell]) for cell in cells]

    def measure(self) -> Flow[float]:
        """Score the image under the mask as it is; its probability."""
        reply = yield MaskQuery(self._masks([[]]), kind="log-odds")
        return self._note(reply.scores[0])

    def differentiate(self) -> Flow[float]:
        """As `measure`, and every cell's gain from the derivative there."""
        fill = (yield FillQuery(self._masks([[]]))).images
        assert fill is not None
        mask = self.enlarge.pixels(self.removed.reshape(self.grid, -1).astype(np.float64))
        composed = np.where(mask[..., None] > 0, fill[0], self.image)
        reply = yield ImageQuery(composed[None], kind="log-odds", grad=True)
        assert reply.grads is not None
        delta = (fill[0] if self.ahead is None else self.ahead) - self.image
        by_pixel = np.einsum("hwc,hwc->hw", reply.grads[0], delta, dtype=np.float64)
        self.gains = -self.enlarge.cells(by_pixel).ravel()
        return self._note(reply.scores[0])

    def look_ahead(self, lattice: int) -> Flow[None]:
        """Fill the mask and one cell in every `lattice` x `lattice`, for all such lattices.

        A fill that turns out to be the same for all of them is not asked again.
        """
        if self.still:
            return
        row, column = np.divmod(np.arange(self.n_cells), self.grid)
        group = row % lattice * lattice + column % lattice
        members = [np.flatnonzero(group == one) for one in np.unique(group)]
        fills = (yield FillQuery(self._masks([[], *members]))).images
        assert fills is not None
        self.still = bool((fills == fills[0]).all())
        source = np.where(self.removed, 0, 1 + np.unique(group, return_inverse=True)[1])
        of_pixel = self.enlarge.pixels(source.reshape(self.grid, -1).astype(np.float64))
        self.ahead = np.take_along_axis(fills, of_pixel.astype(int)[None, ..., None], axis=0)[0]

    def probability_without(self, cells: Sequence[int]) -> Flow[float]:
        """The probability if these cells were removed too."""
        reply = yield MaskQuery(self._masks([cells]), kind="log-odds")
        return _probability(reply.scores[0])

    def try_cells(self, cells: Sequence[int]) -> Flow[None]:
        """Find the gain of each cell alone."""
        log_odds = yield from self._log_odds_without([[cell] for cell in cells])
        self.gains[list(cells)] = self.log_odds - log_odds
        self.fresh[list(cells)] = True

    def try_blocks(self, n_kept: int) -> Flow[None]:
        """Find the gains of blocks of cells, halved down to two cells a side.

        Every cell gets its block's mean gain; the cells of the `n_kept` best blocks go on
        to the next level.
        """
        side = 2 ** max((self.grid - 1).bit_length() - 3, 1)  # 4 to 8 blocks a side at first
        blocks = self._blocks(np.flatnonzero(~self.removed), side)
        while blocks:
            log_odds = yield from self._log_odds_without(blocks)
            means = (self.log_odds - log_odds) / [len(block) for block in blocks]
            for block, mean in zip(blocks, means, strict=True):
                self.gains[block] = mean
            side //= 2
            kept = [blocks[i] for i in np.argsort(-means, kind="stable")[:n_kept]]
            blocks = self._blocks(np.concatenate(kept), side) if side > 1 else []

    def _blocks(self, cells: Cells, side: int) -> list[Cells]:
        """The cells in squares of `side` x `side`, those of one square together."""
        row, column = cells // self.grid // side, cells % self.grid // side
        key = row * self.grid + column
        return [cells[key == one] for one in np.unique(key)]

    def _log_odds_without(self, sets: Sequence[Sequence[int] | Cells]) -> Flow[NDArray[np.float64]]:
        """Log-odds with each set of cells removed too."""
        fill = None if self.ahead is None else Still(self.ahead)
        return (yield MaskQuery(self._masks(sets), kind="log-odds", fill=fill)).scores

    def _masks(self, sets: Sequence[Sequence[int] | Cells]) -> CellMasks:
        masks = np.tile(self.removed, (len(sets), 1))
        for mask, cells in zip(masks, sets, strict=True):
            mask[list(cells)] = True
        rows, columns, _ = self.image.shape
        return CellMasks(masks.reshape(-1, self.grid, self.grid), (rows, columns))

    def _note(self, log_odds: float) -> float:
        self.log_odds = float(log_odds)
        probability = _probability(log_odds)
        self.trajectory.append((len(self.order), probability))
        return probability


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))
