"""MP2: a mask grown cell by cell until the class is gone (Agarwal & Nguyen, ACCV 2020).

From an empty mask, in every step the two cells of a coarse grid whose removal lowers the
target's score most are removed, until its probability is at chance level [1]_ (sec. 3.3).
With an inpainter as the fill it is MP2-G.

The gain of a cell is a difference, ``score(x_bar(M)) - score(x_bar(M + cell))``, which needs
nothing of the classifier but its scores, and whose masks are binary, as an inpainter wants;
or it is read off the gradient by the mask, as the paper does.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 3.3, :arXiv:`1910.04256`
.. [2] Leskovec et al., Cost-effective outbreak detection in networks, KDD 2007: lazy
   evaluation of a greedy choice
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np

from onnxplain.data import Attribution, Case, Size
from onnxplain.flow import Flow
from onnxplain.methods.growth import Growth
from onnxplain.params import Param, Parametrised


@dataclass(frozen=True)
class MP2(Parametrised):
    """Greedy removal of cells until chance level.

    Parameters
    ----------
    grid : int
        Cells a side of the mask.
    cells_per_step : int
        Cells removed in every step; the paper's 2.
    gain : {'auto', 'difference', 'gradient', 'propose'}
        How a cell's gain is found: by removing it; by the derivative at the mask as it is;
        or the gradient proposes `n_tried` cells, and removing them decides. ``auto`` is
        ``gradient`` where the classifier has gradients, else ``difference``.
    sweep : {'coarse', 'lazy', 'full', 'static'}
        Which cells ``difference`` tries in a step. ``full`` tries all that are left: the
        definition, at ``786 T - T**2 + 1`` evaluations for T steps of a 28 x 28 grid.
        ``lazy`` tries all in the first step and then, of the gains it remembers, the
        `n_tried` largest anew, more if they do not hold [2]_; every `audit` steps it tries
        all again. ``coarse`` does the same but never tries all: it removes blocks of cells,
        and halves the best ones, down to cells. ``static`` ranks the cells once and
        searches the shortest row of them that reaches chance level.
    n_tried : int
        Cells, or blocks, tried at a time.
    audit : int
        Steps between two full (or coarse) sweeps of ``lazy`` and ``coarse``: what they
        remember grows old as the mask grows, and leads them astray without.
    look_ahead : {'lattice', 'exact', 'static'}
        What an untried cell would be filled with, where the fill depends on the mask.
        ``lattice`` fills every `lattice`-th cell in both directions at once, so that a step
        needs ``lattice**2 + 1`` fills and the holes still see their surroundings;
        ``static`` does so once, with the empty mask; ``exact`` makes the fill for every
        mask tried. The stop is always decided with the fill of the mask as it is.
    lattice : int
        Distance in cells of the holes that share a fill.
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
    With a compositing inpainter the image equals its fill outside the mask, so the gradient
    there is 0: ``gradient`` and ``propose`` need a look-ahead other than ``exact``.
    """

    name: ClassVar[str] = "mp2"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "blur"

    grid: Annotated[int, Param("cells a side of the mask", ge=1)] = 28
    cells_per_step: Annotated[int, Param("cells removed in every step", ge=1)] = 2
    gain: Annotated[
        Literal["auto", "difference", "gradient", "propose"], Param("how a cell's gain is found")
    ] = "auto"
    sweep: Annotated[
        Literal["coarse", "lazy", "full", "static"], Param("which cells difference tries")
    ] = "coarse"
    n_tried: Annotated[int, Param("cells or blocks tried at a time", ge=1)] = 16
    audit: Annotated[int, Param("steps between two sweeps over all cells", ge=1)] = 16
    look_ahead: Annotated[
        Literal["lattice", "exact", "static"], Param("how fills that depend on the mask are made")
    ] = "lattice"
    lattice: Annotated[int, Param("distance in cells of holes that share a fill", ge=1)] = 4
    chance: Annotated[
        float | None, Param("probability at which it stops; 1 / classes if not given", gt=0, lt=1)
    ] = None
    max_area: Annotated[float, Param("share of the cells after which it stops", gt=0, le=1)] = 1.0

    @property
    def wants_gradients(self) -> bool:
        """Whether it would ask for gradients."""
        return self.gain != "difference"

    @property
    def needs_gradients(self) -> bool:
        """Whether it cannot do without."""
        return self.gain in ("gradient", "propose")

    def settled(self, *, gradients: bool) -> MP2:
        """The same with ``auto`` decided."""
        if self.gain != "auto":
            return self
        return replace(self, gain="gradient" if gradients else "difference")

    def evaluations(self, size: Size) -> int:
        """At most this many: until every cell is removed."""
        cells, step = self.grid**2, self.cells_per_step
        n_steps = -(-cells // step)
        if self.gain == "gradient":
            return n_steps + 1
        if self.gain == "propose":
            return n_steps * (self.n_tried + 1) + 1
        if self.sweep == "static":
            return cells + 2 * cells.bit_length() + 2
        blocks = -(-n_steps // self.audit) * (cells // 2 + 1) if self.sweep == "coarse" else 0
        return sum(range(cells, 0, -step)) + n_steps + 1 + blocks

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case; draws nothing."""
        if self.gain == "auto":
            return (yield from self.settled(gradients=False).flow(case, rng))
        chance = self._chance(case)
        growth = Growth(case.image, self.grid)
        if self.gain == "difference" and self.sweep == "static":
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
            if (yield from self._measure(growth, step)) <= chance:
                return "chance"
            room = min(self.cells_per_step, limit - len(growth.order))
            if room <= 0:
                break
            growth.remove((yield from self._choose(growth, step, room)))
        return "exhausted"

    def _measure(self, growth: Growth, step: int) -> Flow[float]:
        """The probability under the mask as it is; with its gradient where that is used."""
        if self.gain == "difference":
            return (yield from growth.measure())
        yield from self._look_ahead(growth, step)
        return (yield from growth.differentiate())

    def _look_ahead(self, growth: Growth, step: int) -> Flow[None]:
        if self.look_ahead == "lattice" or (self.look_ahead == "static" and step == 0):
            yield from growth.look_ahead(self.lattice)

    def _choose(self, growth: Growth, step: int, room: int) -> Flow[list[int]]:
        """Find the `room` cells of largest gain."""
        if self.gain == "gradient":
            return growth.best()[:room]
        if self.gain == "propose":
            proposed = growth.best()[: self.n_tried]
            yield from growth.try_cells(proposed)
            return [cell for cell in growth.best() if cell in set(proposed)][:room]
        yield from self._look_ahead(growth, step)
        growth.fresh[:] = False
        if self.sweep == "full" or (self.sweep == "lazy" and step % self.audit == 0):
            yield from growth.try_cells(growth.best())
        elif self.sweep == "coarse" and step % self.audit == 0:
            yield from growth.try_blocks(self.n_tried)
        # What is remembered counts until it comes to the top; there it is tried again.
        n_tried = self.n_tried
        while not growth.fresh[growth.best()[:room]].all():
            stale = [cell for cell in growth.best() if not growth.fresh[cell]]
            yield from growth.try_cells(stale[:n_tried])
            n_tried *= 2
        return growth.best()[:room]

    def _cut_ranking(self, growth: Growth, chance: float) -> Flow[str]:
        """Rank all cells once; remove the shortest row of them that reaches chance level."""
        if (yield from growth.measure()) <= chance:
            return "chance"
        yield from self._look_ahead(growth, 0)
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
        heatmap = growth.enlarge.pixels(coarse.astype(np.float64)).astype(np.float32)
        details = {
            "reason": reason,
            "gain": self.gain,
            "area": len(order) / growth.n_cells,
            "gains": growth.gains_of_order,
            "trajectory": growth.trajectory,
        }
        return Attribution(heatmap, coarse, order, details)
