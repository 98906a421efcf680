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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from onnxplain.core.data import Attribution, Case, Image, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import gaussian_blur
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.optim import check_grid

# How many cells are tried in a step, if that is not given: the grid's over so many.
PARTS: Mapping[str, int] = {"lazy": 12, "coarse": 20, "propose": 22}
SHIFTS = (0, 3, 1, 2)  # of the tilings of `Growth.try_blocks`, in turn


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
        or removing `n_tried` cells decides, of which a third are those remembered as best
        from the steps before, and the others are proposed in turn by the derivative at the
        mask as it is and by that half way to removing all cells that are left. ``auto`` is
        ``gradient`` where the classifier has gradients, else ``difference``.
    selection : {'signed', 'absolute'}
        Which gains ``gradient`` takes for large: those whose cells lower the score; or, as the
        paper's "highest gradient norms" says to the letter, also those that raise it.
    sweep : {'coarse', 'lazy', 'full', 'static'}
        Which cells ``difference`` tries in a step. ``full`` tries all that are left: the
        definition, at ``786 T - T**2 + 1`` evaluations for T steps of a 28 x 28 grid.
        ``lazy`` tries all in the first step and then, of the gains it remembers, the
        `n_tried` largest anew, more if they do not hold [2]_; every `audit` steps it tries
        all again, and the result tells how often it would have chosen others. ``coarse``
        tries the `n_tried` cells of largest remembered gain (twice as many in the first
        step) and those beside the cells removed last, whose gains have changed most; every
        `audit` steps it corrects what it remembers by the gains of blocks of 2 x 2 cells,
        tiled differently in turn. ``static`` ranks the cells once and searches the shortest
        row of them that reaches chance level.
    n_tried : int, optional
        Cells tried at a time: a 12th of the grid's for ``lazy``, a 20th for ``coarse`` and a
        22nd for ``propose`` if not given.
    audit : int, optional
        Steps between two sweeps over all cells, in ``lazy`` (16 if not given), or over all
        blocks, in ``coarse`` (5): what is remembered grows old as the mask grows.
    look_ahead : {'lattice', 'exact', 'static', 'blur'}
        What an untried cell would be filled with, where the fill depends on the mask.
        ``lattice`` fills every `lattice`-th cell in both directions at once, so that a step
        needs ``lattice**2 + 1`` fills and the holes still see their surroundings;
        ``static`` does so once, with the empty mask, and needs 1 fill a step; ``exact`` makes
        the fill for every mask tried; ``blur`` ranks by the blurred image, so that cells
        come in the order of MP2 with a blur, for one evaluation more a step. The stop is
        always decided with the fill of the mask as it is.
    lattice : int
        Distance in cells of the holes that share a fill.
    blur_sigma : float
        Standard deviation in pixels of the blur of ``look_ahead=blur``.
    chance : float, optional
        Probability at which it stops; one over the number of classes if not given.
    max_area : float
        Share of the cells after which it stops, chance level or not.

    Notes
    -----
    Cells are ranked by log-odds, which still move where the probability of a sure
    classifier does not, and the stop is on the probability. A binary map leaves the order of
    its pixels open, so the heatmap is ``1 - step / T`` for a removed cell and 0 for others:
    ``coarse > 0`` is the mask itself.
    With a compositing inpainter the image equals its fill outside the mask, so the gradient
    there is 0: ``gradient`` and ``propose`` need a look-ahead other than ``exact``.
    On a device every call for scores holds the same number of images, padded where there are
    fewer, so that the image under the mask as it is and the candidates are scored by one
    kernel (calls for slopes are not padded); and the candidates of a step, whose order is all
    that decides, are asked for in one query.
    """

    name: ClassVar[str] = "mp2"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "blur"
    without_gradients: ClassVar[str] = "gain=difference"

    grid: Annotated[int, Param("cells a side of the mask", ge=1)] = 28
    cells_per_step: Annotated[int, Param("cells removed in every step", ge=1)] = 2
    gain: Annotated[
        Literal["auto", "difference", "gradient", "propose"], Param("how a cell's gain is found")
    ] = "auto"
    selection: Annotated[
        Literal["signed", "absolute"], Param("whether gradient takes cells that raise the score")
    ] = "signed"
    sweep: Annotated[
        Literal["coarse", "lazy", "full", "static"], Param("which cells difference tries")
    ] = "coarse"
    n_tried: Annotated[
        int | None, Param("cells tried at a time; a part of the grid's if not given", ge=1)
    ] = None
    audit: Annotated[
        int | None, Param("steps between sweeps over all cells; 5 or 16 if not given", ge=1)
    ] = None
    look_ahead: Annotated[
        Literal["lattice", "exact", "static", "blur"],
        Param("how fills that depend on the mask are made"),
    ] = "lattice"
    lattice: Annotated[int, Param("distance in cells of holes that share a fill", ge=1)] = 4
    blur_sigma: Annotated[
        float, Param("of the blur that look_ahead=blur ranks by, in pixels", gt=0, le=1000)
    ] = 10.0
    chance: Annotated[
        float | None, Param("probability at which it stops; 1 / classes if not given", gt=0, lt=1)
    ] = None
    max_area: Annotated[float, Param("share of the cells after which it stops", gt=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._limit:
            raise ValueError(
                f"MP2: max_area of {self.max_area:g} is less than one of the {self.grid**2} cells"
            )

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
        """At most this many: until `max_area` is reached.

        Exactly so many of ``full``, ``propose`` and ``gradient`` that end exhausted.
        """
        cells, step = self.grid**2, self.cells_per_step
        n_steps = -(-self._limit // step)
        # Of the image and after every step; and with the blur that cells are ranked by.
        measures = n_steps + 1 + n_steps * (self.look_ahead == "blur")
        left = [cells - i * step for i in range(n_steps)]
        if self.gain == "gradient":
            return measures
        if self.gain == "propose":
            return measures + n_steps + sum(min(self._n_tried, n) for n in left)
        if self.sweep == "static":
            return cells + 2 * cells.bit_length() + 3
        if self.sweep == "coarse":
            beside = 8 * step
            tried = [min(self._n_tried * (1 if i else 2) + beside, n) for i, n in enumerate(left)]
            blocks = -(-n_steps // self._audit) * (self.grid // 2 + 1) ** 2
            return measures + sum(tried) + blocks
        return measures + sum(left)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case; draws nothing."""
        if self.gain == "auto":
            return (yield from self.settled(gradients=False).flow(case, rng))
        check_grid(self.grid, case.size, "MP2")
        chance = self._chance(case)
        growth = Growth(case.image, self.grid)
        if self.gain == "difference" and self.sweep == "static":
            reason = yield from self._cut_ranking(growth, chance)
        else:
            reason = yield from self._grow(growth, chance)
        return self._result(growth, reason)

    def _chance(self, case: Case) -> float:
        """Probability at which it stops; equal classes are at it however they are rounded."""
        if self.chance is not None:
            return self.chance
        if case.n_classes is None:
            raise ValueError("MP2: chance must be given for a case without a number of classes")
        return (1 + 1e-6) / case.n_classes

    @property
    def _limit(self) -> int:
        """Cells that may be removed."""
        return int(self.max_area * self.grid**2 + 1e-9)  # 0.29 of 100 is 28.999999999999996

    @property
    def _n_tried(self) -> int:
        part = PARTS.get(self.sweep if self.gain == "difference" else self.gain, 1)
        return max(self.n_tried or self.grid**2 // part, self.cells_per_step)

    @property
    def _audit(self) -> int:
        return self.audit or (5 if self.sweep == "coarse" else 16)

    def _grow(self, growth: Growth, chance: float) -> Flow[str]:
        """Remove the best cells, step by step; tells why it stopped."""
        for step in range(growth.n_cells + 1):
            probability, slope = yield from self._measure(growth)
            if probability <= chance:
                return "chance"
            room = min(self.cells_per_step, self._limit - len(growth.order))
            if room <= 0:
                break
            ranking = yield from self._look_ahead(growth, step)
            slope = slope if ranking is None else ranking
            growth.fresh[:] = False
            if step == 0 and slope is not None and growth.is_blind:
                raise ValueError(
                    f"MP2: where nothing is removed the fill is the image itself, so that "
                    f"gradients tell nothing with look_ahead={self.look_ahead!r}; take 'lattice'"
                )
            if slope is None:
                yield from self._try(growth, step, room)
            elif self.gain == "propose":
                yield from self._try_proposed(growth, slope)
            else:
                gains = growth.project(slope)
                growth.take(abs(gains) if self.selection == "absolute" else gains)
            growth.remove(growth.best_fresh()[:room])
        return "exhausted"

    def _measure(self, growth: Growth) -> Flow[tuple[float, Image | None]]:
        """The probability under the mask as it is; with the slope there where that decides."""
        slopes = self.gain != "difference" and self.look_ahead != "blur"
        if slopes or self.look_ahead in ("lattice", "static"):
            yield from growth.refill()
        if slopes:
            return (yield from growth.differentiate())
        return (yield from growth.measure()), None

    def _look_ahead(self, growth: Growth, step: int) -> Flow[Image | None]:
        """Settle what fills the cells that are tried in a step; the slope if that is another."""
        if self.look_ahead == "blur":
            if step == 0:
                growth.rank_by(gaussian_blur(growth.image, self.blur_sigma).clip(0, 1))
            if self.gain != "difference":
                return (yield from growth.differentiate_ranked())
            yield from growth.measure_ranked()
        elif self.look_ahead == "lattice" or (self.look_ahead == "static" and step == 0):
            yield from growth.look_ahead(self.lattice)
        if self.look_ahead in ("lattice", "static"):
            growth.fill_tried()
        return None

    def _try(self, growth: Growth, step: int, room: int) -> Flow[None]:
        """Find the gains of cells among which the `room` best are."""
        if self.sweep == "lazy":
            yield from self._try_lazily(growth, step, room)
        elif self.sweep == "coarse":
            yield from self._try_coarsely(growth, step)
        else:
            yield from growth.try_cells(growth.best())

    def _try_proposed(self, growth: Growth, slope: Image) -> Flow[None]:
        """Try cells remembered as best, and those that one or the other slope proposes."""
        half_way = yield from growth.differentiate_half_way()
        remembered = [cell for cell in growth.best() if growth.tried[cell]][: self._n_tried // 3]
        ranked = [growth.ranked(growth.project(one)) for one in (half_way, slope)]
        proposed = [cell for pair in zip(*ranked, strict=True) for cell in pair]
        yield from growth.try_cells(list(dict.fromkeys(remembered + proposed))[: self._n_tried])

    def _try_coarsely(self, growth: Growth, step: int) -> Flow[None]:
        """Try the cells that promise most, and those beside what was removed last."""
        sweeps, rest = divmod(step, self._audit)
        if rest == 0:
            yield from growth.try_blocks(SHIFTS[sweeps % 4])
        # In the first step nothing else is known of cells but their blocks' gains.
        promising = growth.best()[: self._n_tried * (1 if step else 2)]
        last = growth.order[-self.cells_per_step :] if step else []
        yield from growth.try_cells(list(dict.fromkeys(promising + growth.beside(last))))

    def _try_lazily(self, growth: Growth, step: int, room: int) -> Flow[None]:
        """Try the cells remembered as best until they are so; all of them in an audit."""
        if step % self._audit:
            for cells in self._doubted(growth, room):
                yield from growth.try_cells(cells)
            return
        memory = growth.remembered()
        yield from growth.try_cells(growth.best())
        if step:
            for cells in self._doubted(memory, room):
                memory.gains[cells] = growth.gains[cells]
                memory.fresh[cells] = True
            missed = set(growth.best()[:room]) - set(memory.best()[:room])
            growth.audits.append((step, len(missed) / room))

    def _doubted(self, growth: Growth, room: int) -> Iterator[list[int]]:
        """The best cells that are to be tried before the next are asked for; ever more."""
        n_tried = self._n_tried
        while not growth.fresh[growth.best()[:room]].all():
            stale = [cell for cell in growth.best() if not growth.fresh[cell]]
            yield stale[:n_tried]
            n_tried *= 2

    def _cut_ranking(self, growth: Growth, chance: float) -> Flow[str]:
        """Rank all cells once; remove the shortest row of them that reaches chance level."""
        if (yield from self._measure(growth))[0] <= chance:
            return "chance"
        yield from self._look_ahead(growth, 0)
        yield from growth.try_cells(growth.best())
        ranking = growth.best()[: self._limit]
        low, high = 0, self.cells_per_step  # cells known not to reach it; cells to ask for
        while high < len(ranking):
            if (yield from growth.probability_without(ranking[:high])) <= chance:
                break
            low, high = high, 2 * high
        high = min(high, len(ranking))
        while high - low > self.cells_per_step:
            steps = (high - low) // self.cells_per_step
            middle = low + max(steps // 2, 1) * self.cells_per_step
            reached = (yield from growth.probability_without(ranking[:middle])) <= chance
            low, high = (low, middle) if reached else (middle, high)
        for start in range(0, high, self.cells_per_step):
            growth.remove(ranking[start : min(start + self.cells_per_step, high)])
        return "chance" if (yield from self._measure(growth))[0] <= chance else "exhausted"

    def _result(self, growth: Growth, reason: str) -> Attribution:
        order = np.array(growth.order, np.intp)
        steps = np.arange(len(order)) // self.cells_per_step
        flat = np.zeros(growth.n_cells, np.float32)
        flat[order] = 1 - steps / (steps.max(initial=0) + 1)
        coarse = flat.reshape(self.grid, self.grid)
        heatmap = growth.enlarge.pixels(coarse.astype(np.float64)).astype(np.float32)
        details: dict[str, Any] = {
            "reason": reason,
            "gain": self.gain,
            "area": len(order) / growth.n_cells,
            "gains": growth.gains_of_order,
            "trajectory": growth.trajectory,
        }
        if self.gain == "difference":
            details["sweep"] = self.sweep
        if growth.audits:
            details["audits"] = growth.audits
            details["disagreement"] = float(np.mean([missed for _, missed in growth.audits]))
        return Attribution(heatmap, coarse, order, details)
