"""The mask that MP2 grows, and the remembered gain of each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Size
from onnxplain.masks.enlarge import Enlargement
from onnxplain.masks.families import CellMasks
from onnxplain.methods.masks.mp2.doubt import Doubt

Cells = NDArray[np.intp]
T = TypeVar("T", bound=np.generic)
CellSets = Sequence[Sequence[int] | Cells]


class Growth:
    """The mask of one image as it grows, cell by cell.

    A gain is *up to date* if it was found in the current step. A cell counts as *tried* once
    its gain has been found by removing it alone, in any step.

    Parameters
    ----------
    image : (H, W, 3) ndarray of float32 in [0, 1]
        The image that is explained.
    grid : int
        Cells per side of the mask.
    """

    def __init__(self, image: Image, grid: int) -> None:
        rows, columns, _ = image.shape
        self._image, self._grid, self._size = image, grid, (rows, columns)
        self._enlarge = Enlargement.nearest(grid, self._size)
        self._removed = np.zeros(self.n_cells, bool)
        self._gains = np.zeros(self.n_cells)
        self._tried = np.zeros(self.n_cells, bool)
        self._up_to_date = np.zeros(self.n_cells, bool)
        self._doubt = Doubt(grid)
        self._order: tuple[int, ...] = ()
        self._gains_of_order: tuple[float, ...] = ()
        self._trajectory: tuple[tuple[int, float], ...] = ()

    @property
    def image(self) -> Image:
        """The image that is explained."""
        return self._image

    @property
    def size(self) -> Size:
        """Rows and columns of the image."""
        return self._size

    @property
    def enlarge(self) -> Enlargement:
        """The map from values of cells to pixels, and from gradients of pixels back to cells."""
        return self._enlarge

    @property
    def n_cells(self) -> int:
        """Number of cells of the grid."""
        return self._grid**2

    @property
    def order(self) -> tuple[int, ...]:
        """The removed cells, in the order of their removal."""
        return self._order

    @property
    def gains_of_order(self) -> tuple[float, ...]:
        """The gain that each removed cell had when it was removed."""
        return self._gains_of_order

    @property
    def trajectory(self) -> tuple[tuple[int, float], ...]:
        """The probability before each step, with the number of cells removed by then."""
        return self._trajectory

    @property
    def removed(self) -> NDArray[np.bool_]:
        """Whether each cell is removed; read-only."""
        return _make_read_only(self._removed)

    @property
    def gains(self) -> NDArray[np.float64]:
        """The gain of each cell as last found; read-only."""
        return _make_read_only(self._gains)

    # The gains.

    def start_step(self) -> None:
        """Start a step: all gains now count as remembered from earlier steps."""
        self._up_to_date[:] = False
        self._doubt.learn_scale()

    def record_gains(self, cells: Sequence[int], gains: NDArray[np.float64]) -> None:
        """Remember gains that were found by removing each of the cells alone."""
        self._doubt.settle(cells, gains - self._gains[list(cells)])
        self._gains[list(cells)] = gains
        self._tried[list(cells)] = self._up_to_date[list(cells)] = True

    def share_gain(self, cells: Cells, gain: float) -> None:
        """Remember an equal share of the gain of a set for each of its cells, still in doubt."""
        self._gains[cells] = gain / len(cells)

    def adopt_gains(self, gains: NDArray[np.float64]) -> None:
        """Set the gains of all cells, and mark them as up to date."""
        self._gains = gains.copy()
        self._up_to_date[:] = True

    # Rankings of the cells that are left: the largest gain first, equal gains in row order.

    def rank_cells(self) -> list[int]:
        """Rank the cells that are left by their remembered gains."""
        return self.rank_by(self._gains)

    def rank_by(self, gains: NDArray[np.float64]) -> list[int]:
        """Rank the cells that are left by the given gains."""
        order = np.argsort(-gains, kind="stable")
        return [int(cell) for cell in order if not self._removed[cell]]

    def rank_tried(self) -> list[int]:
        """Rank the cells that are left and have been tried."""
        return [cell for cell in self.rank_cells() if self._tried[cell]]

    def rank_up_to_date(self) -> list[int]:
        """Rank the cells that are left and whose gains are up to date."""
        return [cell for cell in self.rank_cells() if self._up_to_date[cell]]

    def rank_outdated(self, caution: float) -> list[int]:
        """Rank the cells that are left and whose gains are remembered by what they promise.

        A cell promises its gain plus `caution` times the doubt about it.
        """
        ranking = self.rank_by(self._gains + caution * self._doubt.estimate())
        return [cell for cell in ranking if not self._up_to_date[cell]]

    def knows_best(self, n_best: int, caution: float) -> bool:
        """Return whether no outdated cell promises more than the `n_best` best of the others."""
        doubt = np.where(self._up_to_date, 0, self._doubt.estimate())
        best = self.rank_by(self._gains + caution * doubt)[:n_best]
        return bool(self._up_to_date[best].all())

    # The mask.

    def remove(self, cells: Sequence[int]) -> None:
        """Add cells to the mask, in this order."""
        self._removed[list(cells)] = True
        self._order += tuple(cells)
        self._gains_of_order += tuple(float(self._gains[cell]) for cell in cells)
        self._doubt.grow(cells)

    def record_probability(self, probability: float) -> None:
        """Add the probability under the current mask to the trajectory."""
        self._trajectory += ((len(self._order), probability),)

    def list_quarters(self) -> list[Cells]:
        """List the sets of cells at the same place in each quarter of the grid.

        A set has four cells, half a grid apart; fewer at the edge of an odd grid.
        """
        return self.list_lattices(-(-self._grid // 2))[0]

    def list_lattices(self, step: int) -> tuple[list[Cells], NDArray[np.intp]]:
        """List the lattices of every `step`-th cell in both directions.

        Returns
        -------
        lattices : list of ndarray of int
            The cells of each lattice, including removed ones.
        numbers : (n_cells,) ndarray of int
            The index of each cell's lattice.
        """
        row, column = np.divmod(np.arange(self.n_cells), self._grid)
        numbers = np.unique(row % step * step + column % step, return_inverse=True)[1]
        return [np.flatnonzero(numbers == n) for n in range(numbers.max() + 1)], numbers

    def make_masks(self, sets: CellSets) -> CellMasks:
        """Make one mask for each set of cells, which removes the set and all removed cells."""
        masks = np.tile(self._removed, (len(sets), 1))
        for mask, cells in zip(masks, sets, strict=True):
            mask[list(cells)] = True
        return CellMasks(masks.reshape(-1, self._grid, self._grid), self._size)

    def join(self, left: Image, removed: Image) -> Image:
        """Join the pixels of `left` in the cells that are left and of `removed` in the others."""
        picture: Image = np.where(self.spread(self._removed)[..., None] > 0, removed, left)
        return picture

    def spread(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Spread the value of each cell over the cell's pixels."""
        return self._enlarge.pixels(values.reshape(self._grid, -1).astype(np.float64))


def _make_read_only(array: NDArray[T]) -> NDArray[T]:
    view = array.view()
    view.flags.writeable = False
    return view
