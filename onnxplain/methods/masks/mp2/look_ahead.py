"""The fill of the mask that MP2 grows, and of the cells that it tries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxplain.core.data import Image
from onnxplain.core.flow import Flow
from onnxplain.core.protocols import Fill
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.questions import ask_fills


@dataclass(frozen=True, eq=False)
class FixedPicture:
    """A fill that is a picture made beforehand."""

    picture: Image

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the picture."""
        return self.picture


class LookAhead:
    """The fill of the current mask, and the fill that each cell would get if it were removed.

    Until `fix_candidates` or `rank_by` sets another, candidates are filled by the job's fill.
    """

    def __init__(self, growth: Growth) -> None:
        self._growth = growth
        self._fill: Image | None = None  # of the current mask
        self._next_fill: Image | None = None  # of the cells that are left; `_fill` if none
        self._ranking_fill: Image | None = None  # of removed cells in ranking; `_fill` if none
        self._candidate_fill: Fill | None = None
        self._ignores_mask = False  # known to be the same for all masks

    @property
    def candidate_fill(self) -> Fill | None:
        """The fill of the masks that are tried; None for the job's fill."""
        return self._candidate_fill

    @property
    def known_fill(self) -> Image | None:
        """The fill of the current mask; None if it was not asked for, or ignores the mask."""
        return None if self._ignores_mask else self._fill

    @property
    def next_fill(self) -> Image:
        """The fill that the cells that are left would get if they were removed."""
        fill = self._fill if self._next_fill is None else self._next_fill
        assert fill is not None
        return fill

    @property
    def ranking_fill(self) -> Image:
        """The fill of the removed cells while the other cells are ranked."""
        fill = self._fill if self._ranking_fill is None else self._ranking_fill
        assert fill is not None
        return fill

    @property
    def changes_nothing(self) -> bool:
        """Whether the cells that are left would be filled with their own pixels."""
        growth = self._growth
        left = growth.spread(growth.removed) == 0
        return bool((self.next_fill == growth.image)[left].all())

    def update(self) -> Flow[Image]:
        """Ask for the fill of the current mask, unless the fill is known not to change."""
        if self._fill is None or not self._ignores_mask:
            self._fill = (yield from ask_fills(self._growth.make_masks([[]])))[0]
        return self._fill

    def fill_lattices(self, step: int) -> Flow[None]:
        """Fill the mask together with each lattice of every `step`-th cell in both directions.

        If the fill turns out to be the same for all lattices, it is not asked for again.
        """
        if self._ignores_mask:
            return
        growth = self._growth
        lattices, numbers = growth.list_lattices(step)
        fills = yield from ask_fills(growth.make_masks(lattices))
        self._ignores_mask = bool((fills == self._fill).all())
        source = growth.spread(numbers).astype(int)
        self._next_fill = np.take_along_axis(fills, source[None, ..., None], axis=0)[0]

    def fix_candidates(self) -> None:
        """Fill candidates as the lattices were filled, and removed cells as the current mask is."""
        assert self._fill is not None
        if self._next_fill is not None and not self._ignores_mask:
            self._candidate_fill = FixedPicture(self._growth.join(self._next_fill, self._fill))

    def rank_by(self, picture: Image) -> None:
        """Fill candidates and removed cells with a picture while cells are ranked."""
        self._next_fill = self._ranking_fill = picture
        self._candidate_fill = FixedPicture(picture)
