"""MP2: a mask grown cell by cell until the class is gone (Agarwal & Nguyen, ACCV 2020).

From an empty mask, in every step the two cells of a coarse grid whose removal lowers the
target's score most are removed, until its probability is at chance level [1]_ (sec. 3.3).
With an inpainter as the fill it is MP2-G.

The gain of a cell is a difference, ``score(x_bar(M)) - score(x_bar(M + cell))``: it needs
nothing of the classifier but its scores, and both masks are binary, as an inpainter wants.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 3.3, :arXiv:`1910.04256`
.. [2] Leskovec et al., Cost-effective outbreak detection in networks, KDD 2007: lazy
   evaluation of a greedy choice
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from onnxplain.data import Attribution, Case, Size
from onnxplain.flow import Flow, MaskQuery
from onnxplain.masks import CellMasks, nearest
from onnxplain.params import Param, Parametrised

Cells = NDArray[np.intp]


@dataclass(frozen=True)
class MP2(Parametrised):
    """Greedy removal of cells until chance level.

    Parameters
    ----------
    grid : int
        Cells a side of the mask.
    cells_per_step : int
        Cells removed in every step; the paper's 2.
    sweep : {'coarse', 'lazy', 'full', 'static'}
        Which cells are tried in a step. ``full`` tries all that are left: the definition,
        at ``786 T - T**2 + 1`` evaluations for T steps of a 28 x 28 grid. ``lazy`` tries
        all in the first step and then, of the gains it remembers, the `n_tried` largest
        anew, more if they do not hold [2]_; every `audit` steps it tries all again.
        ``coarse`` does the same but never tries all: it removes blocks of cells, and halves
        the best ones, down to cells. ``static`` ranks the cells once and searches the
        shortest row of them that reaches chance level.
    n_tried : int
        Cells, or blocks, that ``lazy`` and ``coarse`` try at a time.
    audit : int
        Steps between two full (or coarse) sweeps of ``lazy`` and ``coarse``: what they
        remember grows old as the mask grows, and leads them astray without.
    chance : float, optional
        Probability at which it stops; one over the number of classes if not given.
    max_area : float
        Share of the cells after which it stops, chance level or not.

    Notes
    -----
    Cells are ranked by log-odds, which still move where the probability of a sure
    classifier does not, and the stop is on the probability. The paper ranks by "highest
    gradient norms"; a norm also picks cells whose removal raises the score, so the sign
    counts here. A binary map leaves the order of its pixels open, so the heatmap is
    ``1 - step / T`` for a removed cell and 0 for others: ``coarse > 0`` is the mask itself.
    """

    name: ClassVar[str] = "mp2"
    adaptive: ClassVar[bool] = True

    grid: Annotated[int, Param("cells a side of the mask", ge=1)] = 28
    cells_per_step: Annotated[int, Param("cells removed in every step", ge=1)] = 2
    sweep: Annotated[
        Literal["coarse", "lazy", "full", "static"], Param("which cells are tried in a step")
    ] = "coarse"
    n_tried: Annotated[int, Param("cells or blocks tried at a time", ge=1)] = 16
    audit: Annotated[int, Param("steps between two sweeps over all cells", ge=1)] = 16
    chance: Annotated[
        float | None, Param("probability at which it stops; 1 / classes if not given", gt=0, lt=1)
    ] = None
    max_area: Annotated[float, Param("share of the cells after which it stops", gt=0, le=1)] = 1.0

    def evaluations(self, size: Size) -> int:
        """At most this many: every cell removed, every cell left tried in every step."""
        cells, step = self.grid**2, self.cells_per_step
        return sum(range(cells, 0, -step)) + -(-cells // step) + 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case; draws nothing."""
        chance = self._chance(case)
        growth = Growth(self.grid, case.size)
        if self.sweep == "static":
            reason = yield from self._cut_ranking(growth, chance)
        else:
            reason = yield from self._grow(growth, chance)
        return self._result(growth, reason)

    def _chance(self, case: Case) -> float:
        if self.chance is not None:
            return self.chance
        if case.n_classes is None:
            raise ValueError("MP2: chance must be given for a case without a number of classes")
        return 1 / case.n_classes

    def _grow(self, growth: Growth, chance: float) -> Flow[str]:
        """Remove the best cells, step by step; tells why it stopped."""
        limit = int(self.max_area * growth.n_cells)
        for step in range(growth.n_cells):
            if (yield from growth.measure()) <= chance:
                return "chance"
            room = min(self.cells_per_step, limit - len(growth.order))
            if room <= 0:
                break
            yield from self._refresh(growth, step, room)
            growth.remove(growth.best()[:room])
        return "exhausted"

    def _refresh(self, growth: Growth, step: int, room: int) -> Flow[None]:
        """Try cells until the `room` best gains were all found in this step."""
        if self.sweep == "full" or (self.sweep == "lazy" and step % self.audit == 0):
            yield from growth.try_cells(growth.best())
            return
        growth.fresh[:] = False
        if self.sweep == "coarse" and step % self.audit == 0:
            yield from growth.try_blocks(self.n_tried)
        n_tried = self.n_tried
        while not growth.fresh[growth.best()[:room]].all():
            stale = [cell for cell in growth.best() if not growth.fresh[cell]]
            yield from growth.try_cells(stale[:n_tried])
            n_tried *= 2

    def _cut_ranking(self, growth: Growth, chance: float) -> Flow[str]:
        """Rank all cells once; remove the shortest row of them that reaches chance level."""
        if (yield from growth.measure()) <= chance:
            return "chance"
        yield from growth.try_cells(growth.best())
        ranking = growth.best()[: int(self.max_area * growth.n_cells)]
        low, high = 0, self.cells_per_step  # cells known not to reach it; cells to ask for
        while high < len(ranking):
            if (yield from growth.probability_without(ranking[:high])) <= chance:
                break
            low, high = high, 2 * high
        high = min(high, len(ranking))
        while high - low > self.cells_per_step:
            steps = (high - low) // self.cells_per_step
            middle = low + steps // 2 * self.cells_per_step
            reached = (yield from growth.probability_without(ranking[:middle])) <= chance
            low, high = (low, middle) if reached else (middle, high)
        for start in range(0, high, self.cells_per_step):
            growth.remove(ranking[start : min(start + self.cells_per_step, high)])
        return "chance" if (yield from growth.measure()) <= chance else "exhausted"

    def _result(self, growth: Growth, reason: str) -> Attribution:
        order = np.array(growth.order, np.intp)
        steps = np.arange(len(order)) // self.cells_per_step
        flat = np.zeros(growth.n_cells, np.float32)
        flat[order] = 1 - steps / (steps.max(initial=0) + 1)
        coarse = flat.reshape(self.grid, self.grid)
        rows, columns = (nearest(self.grid, side) for side in growth.size)
        details = {
            "reason": reason,
            "gain": "difference",
            "area": len(order) / growth.n_cells,
            "gains": growth.gains_of_order,
            "trajectory": growth.trajectory,
        }
        return Attribution(coarse[rows[:, None], columns], coarse, order, details)


@dataclass(eq=False)
class Growth:
    """The mask of one image as it grows, and what is known of every cell's gain."""

    grid: int
    size: Size
    order: list[int] = field(default_factory=list)
    gains_of_order: list[float] = field(default_factory=list)
    trajectory: list[tuple[int, float]] = field(default_factory=list)  # cells, probability
    log_odds: float = 0.0  # of the image under the mask as it is
    removed: NDArray[np.bool_] = field(init=False)
    gains: NDArray[np.float64] = field(init=False)  # as last found; of a block, its mean
    fresh: NDArray[np.bool_] = field(init=False)  # found in this step, and of the cell alone

    def __post_init__(self) -> None:
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
        (self.log_odds,) = yield from self._log_odds_without([[]])
        probability = _probability(self.log_odds)
        self.trajectory.append((len(self.order), probability))
        return probability

    def probability_without(self, cells: Sequence[int]) -> Flow[float]:
        """The probability if these cells were removed too."""
        (log_odds,) = yield from self._log_odds_without([cells])
        return _probability(log_odds)

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
        masks = np.tile(self.removed.astype(np.float32), (len(sets), 1))
        for mask, cells in zip(masks, sets, strict=True):
            mask[list(cells)] = 1
        cells_of = masks.reshape(-1, self.grid, self.grid)
        reply = yield MaskQuery(CellMasks(cells_of, self.size), kind="log-odds")
        return reply.scores


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))
