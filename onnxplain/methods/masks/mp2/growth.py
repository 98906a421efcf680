"""The mask that MP2 grows, and the questions it asks about it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image
from onnxplain.core.flow import FillQuery, Flow, ImageQuery, MaskQuery
from onnxplain.core.protocols import Fill
from onnxplain.masks.enlarge import Enlargement
from onnxplain.masks.families import CellMasks

Cells = NDArray[np.intp]
Sets = Sequence[Sequence[int] | Cells]


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
    audits: list[tuple[int, float]] = field(default_factory=list)  # step, share of cells missed
    log_odds: float = 0.0  # of the image under the mask as it is
    base: float = 0.0  # the same, filled as the cells that are tried are: gains count from it
    fill: Image | None = None  # what fills the mask as it is
    ahead: Image | None = None  # what would fill the cells that are left
    still: bool = False  # whether the fill is known not to depend on the mask
    under: Image | None = None  # what fills the cells removed so far, for ranking; `fill` if none
    trying: Fill | None = None  # what fills the masks that are tried; the job's fill if none
    enlarge: Enlargement = field(init=False)
    removed: NDArray[np.bool_] = field(init=False)
    gains: NDArray[np.float64] = field(init=False)  # as last found
    tried: NDArray[np.bool_] = field(init=False)  # found by removing the cell alone
    fresh: NDArray[np.bool_] = field(init=False)  # and in this step

    def __post_init__(self) -> None:
        rows, columns, _ = self.image.shape
        self.enlarge = Enlargement.nearest(self.grid, (rows, columns))
        self.removed = np.zeros(self.n_cells, bool)
        self.tried = np.zeros(self.n_cells, bool)
        self.fresh = np.zeros(self.n_cells, bool)
        self.gains = np.zeros(self.n_cells)

    @property
    def n_cells(self) -> int:
        """Cells of the grid."""
        return self.grid**2

    @property
    def is_blind(self) -> bool:
        """Whether cells that are left would be filled with what they hold."""
        return bool((self._towards() == self.image)[self._pixels(self.removed) == 0].all())

    def best(self) -> list[int]:
        """Cells that are left, largest gain first; the first in row order among equals."""
        return self.ranked(self.gains)

    def ranked(self, gains: NDArray[np.float64]) -> list[int]:
        """The same by other gains."""
        order = np.argsort(-gains, kind="stable")
        return [int(cell) for cell in order if not self.removed[cell]]

    def best_fresh(self) -> list[int]:
        """The same of those whose gain was found in this step."""
        return [cell for cell in self.best() if self.fresh[cell]]

    def take(self, gains: NDArray[np.float64]) -> None:
        """Believe these gains of all cells."""
        self.gains, self.fresh = gains, np.ones(self.n_cells, bool)

    def remembered(self) -> Growth:
        """The same with a memory of its own, in which nothing is fresh."""
        other = copy(self)
        other.gains, other.fresh = self.gains.copy(), np.zeros_like(self.fresh)
        return other

    def remove(self, cells: Sequence[int]) -> None:
        """Add cells to the mask."""
        self.removed[list(cells)] = True
        self.order += cells
        self.gains_of_order += [float(self.gains[cell]) for cell in cells]

    # What fills the mask.

    def refill(self) -> Flow[None]:
        """Find out what fills the mask as it is."""
        if self.fill is None or not self.still:
            self.fill = (yield from self._fills([[]]))[0]

    def look_ahead(self, lattice: int) -> Flow[None]:
        """Fill the mask and one cell in every `lattice` x `lattice`, for all such lattices.

        A fill that turns out to be the same for all of them is not asked again.
        """
        if self.still:
            return
        row, column = np.divmod(np.arange(self.n_cells), self.grid)
        group = np.unique(row % lattice * lattice + column % lattice, return_inverse=True)[1]
        fills = yield from self._fills([np.flatnonzero(group == n) for n in range(group.max() + 1)])
        self.still = bool((fills == self.fill).all())
        source = self._pixels(group).astype(int)
        self.ahead = np.take_along_axis(fills, source[None, ..., None], axis=0)[0]

    def fill_tried(self) -> None:
        """Cells that are tried are filled as was looked ahead, the others as they are."""
        assert self.fill is not None
        if self.ahead is not None and not self.still:
            self.trying = Still(self._over(self.ahead, self.fill))

    def rank_by(self, picture: Image) -> None:
        """Fill with a picture, for ranking, cells that are tried and cells removed so far."""
        self.ahead, self.under, self.trying = picture, picture, Still(picture)

    def measure_ranked(self) -> Flow[None]:
        """Score the mask as it is, filled as for ranking; gains count from there."""
        self.base = float((yield from self._log_odds_without([[]]))[0])

    def differentiate_ranked(self) -> Flow[Image]:
        """The same, and the slope there."""
        score, slope = yield from self._slope(self._over(self.image, self._under()))
        self.base = float(score)
        return slope

    # What the mask does.

    def measure(self) -> Flow[float]:
        """Score the image under the mask as it is; its probability."""
        if self.fill is None or self.still:
            reply = yield MaskQuery(self._masks([[]]), kind="log-odds")
        else:
            composed = self._over(self.image, self.fill)
            reply = yield ImageQuery(composed[None], kind="log-odds")
        return self._note(reply.scores[0])

    def differentiate(self) -> Flow[tuple[float, Image]]:
        """As `measure`; and d log-odds / d image there."""
        assert self.fill is not None
        score, slope = yield from self._slope(self._over(self.image, self.fill))
        return self._note(score), slope

    def differentiate_half_way(self) -> Flow[Image]:
        """The slope by the image, with the cells that are left removed by half."""
        half: Image = self.image + np.float32(0.5) * (self._towards() - self.image)
        return (yield from self._slope(self._over(half, self._under())))[1]

    def project(self, slope: Image) -> NDArray[np.float64]:
        """Every cell's gain if the log-odds fell by this slope all the way."""
        by_pixel = np.einsum("hwc,hwc->hw", slope, self._towards() - self.image, dtype=np.float64)
        gains: NDArray[np.float64] = -self.enlarge.cells(by_pixel).ravel()
        return gains

    def try_cells(self, cells: Sequence[int]) -> Flow[None]:
        """Find the gain of each cell alone."""
        log_odds = yield from self._log_odds_without([[cell] for cell in cells])
        self.gains[list(cells)] = self.base - log_odds
        self.tried[list(cells)] = self.fresh[list(cells)] = True

    def try_blocks(self, shift: int) -> Flow[None]:
        """Correct what is remembered of all cells by the gains of blocks of 2 x 2.

        What a block's gain differs by from the sum of its cells' remembered gains is
        spread evenly over them. The tiling begins half a block higher, further left, or
        both, by the bits of `shift`: in turn they tell the cells of a block apart.
        """
        left = np.flatnonzero(~self.removed)
        row, column = (left // self.grid + shift // 2) // 2, (left % self.grid + shift % 2) // 2
        key = row * self.grid + column
        blocks = [left[key == one] for one in np.unique(key)]
        log_odds = yield from self._log_odds_without(blocks)
        for block, gain in zip(blocks, self.base - log_odds, strict=True):
            self.gains[block] += (gain - self.gains[block].sum()) / len(block)

    def beside(self, cells: Sequence[int]) -> list[int]:
        """Cells that are left and touch one of these, at a corner at least."""
        row, column = np.divmod(np.arange(self.n_cells), self.grid)
        near = np.zeros(self.n_cells, bool)
        for y, x in (divmod(cell, self.grid) for cell in cells):
            near |= np.maximum(abs(row - y), abs(column - x)) <= 1
        return [int(cell) for cell in np.flatnonzero(near & ~self.removed)]

    def probability_without(self, cells: Sequence[int]) -> Flow[float]:
        """The probability if these cells were removed too, filled by the job's fill."""
        reply = yield MaskQuery(self._masks([cells]), kind="log-odds")
        return _probability(reply.scores[0])

    def _note(self, log_odds: float) -> float:
        self.log_odds = self.base = float(log_odds)
        probability = _probability(log_odds)
        self.trajectory.append((len(self.order), probability))
        return probability

    def _towards(self) -> Image:
        """What the cells that are left would be filled with."""
        towards = self.fill if self.ahead is None else self.ahead
        assert towards is not None
        return towards

    def _under(self) -> Image:
        """What the cells that are removed are filled with when others are ranked."""
        under = self.fill if self.under is None else self.under
        assert under is not None
        return under

    def _slope(self, picture: Image) -> Flow[tuple[float, Image]]:
        reply = yield ImageQuery(picture[None], kind="log-odds", grad=True)
        assert reply.grads is not None
        return reply.scores[0], reply.grads[0]

    def _log_odds_without(self, sets: Sets) -> Flow[NDArray[np.float64]]:
        """Log-odds with each set of cells removed too."""
        return (yield MaskQuery(self._masks(sets), kind="log-odds", fill=self.trying)).scores

    def _fills(self, sets: Sets) -> Flow[NDArray[np.float32]]:
        """What fills the mask with each set of cells removed too."""
        images = (yield FillQuery(self._masks(sets))).images
        assert images is not None
        return images

    def _over(self, kept: Image, removed: Image) -> Image:
        """One picture in the cells that are left, the other in those that are removed."""
        picture: Image = np.where(self._pixels(self.removed)[..., None] > 0, removed, kept)
        return picture

    def _pixels(self, cells: NDArray[np.generic]) -> NDArray[np.float64]:
        """A value a cell as one a pixel."""
        return self.enlarge.pixels(cells.reshape(self.grid, -1).astype(np.float64))

    def _masks(self, sets: Sets) -> CellMasks:
        masks = np.tile(self.removed, (len(sets), 1))
        for mask, cells in zip(masks, sets, strict=True):
            mask[list(cells)] = True
        rows, columns, _ = self.image.shape
        return CellMasks(masks.reshape(-1, self.grid, self.grid), (rows, columns))


def _probability(log_odds: float) -> float:
    return float(np.exp(-np.logaddexp(0, -log_odds)))
