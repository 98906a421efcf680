"""MP2: a mask grown cell by cell until the class is gone (Agarwal & Nguyen, ACCV 2020).

From an empty mask, every step removes the two cells of a coarse grid whose removal lowers the
target's score most, until its probability is at chance level [1]_ (sec. 3.3). With an
inpainter as the fill it is MP2-G.

The gain of a cell is a difference, ``score(x_bar(M)) - score(x_bar(M + cell))``. It needs
only scores of the classifier, and its masks are binary, as an inpainter needs them. As in
the paper, the gain can also be read off the gradient with respect to the mask.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 3.3, :arXiv:`1910.04256`
.. [2] Leskovec et al., Cost-effective outbreak detection in networks, KDD 2007: lazy
   evaluation of a greedy choice
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from onnxplain.core.data import Attribution, Case, Image, Meaning, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Usual, name_owner
from onnxplain.image import gaussian_blur
from onnxplain.methods.masks.cell_method import CellMethod
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.mp2.probe import Probe
from onnxplain.methods.masks.mp2.sweeps import (
    find_shortest_row,
    try_all,
    try_promising,
    try_proposed,
)
from onnxplain.methods.masks.optim import check_grid

# By default, a step tries the number of cells in the grid divided by this.
PARTS: Mapping[str, int] = {"lazy": 16, "coarse": 16, "propose": 22}

MEANING = Meaning("how early the cell is removed: 1 first, 0 not at all")


@dataclass(frozen=True)
class MP2(CellMethod):
    """Greedy removal of cells until chance level.

    Parameters
    ----------
    grid : int
        Cells per side of the mask. More cells draw a finer mask and need more evaluations.
    cells_per_step : int
        Cells removed in every step; 2 in the paper. A larger number takes fewer steps and
        chooses cells less carefully.
    gain : {'auto', 'difference', 'gradient', 'propose'}
        How the gain of a cell is found. ``difference`` removes the cell. ``gradient`` takes
        the derivative at the current mask. ``propose`` removes each of `n_tried` cells: a
        third are those with the largest gains remembered from earlier steps; the others are
        proposed in turn by two derivatives, one at the current mask and one half way to
        removing all cells that are left. ``auto`` is ``gradient`` if the classifier has
        gradients, else ``difference``.
    selection : {'signed', 'absolute'}
        Which cells ``gain=gradient`` removes. ``signed``: cells that lower the score most.
        ``absolute``: also cells that raise it most, which is the paper's "highest gradient
        norms" taken literally.
    sweep : {'coarse', 'lazy', 'full', 'static'}
        Which cells ``gain=difference`` tries in a step. ``full`` tries all that are left, as
        MP2 is defined; T steps of a 28 x 28 grid need ``786 T - T**2 + 1`` evaluations.
        ``lazy`` tries all cells in the first step. Later a cell promises its remembered gain plus
        `caution` times the doubt about it, and the cells that promise most are tried, `n_tried`
        at a time, until the best found gains exceed what the others promise [2]_. The doubt
        grows with every cell removed, most for near cells, and its scale is learned on the way.
        ``coarse`` does the same after another first step, which tries sets of four cells half a
        grid apart. Cells so far apart hardly change each other's gains, so that each is remembered
        with a quarter of the set's gain, in doubt. ``static`` ranks the cells once, and removes as
        few from the top of the ranking as reach chance level.
    n_tried : int, optional
        Cells tried at a time; a larger number chooses better and costs more evaluations. If
        not given, 1/16 of the grid's cells for ``lazy`` and ``coarse``, and 1/22 for ``propose``.
    caution : float
        How many standard deviations of doubt a remembered gain is given with ``lazy`` and
        ``coarse``. 0 trusts remembered gains; a larger number tries more cells and comes closer
        to ``full``.
    look_ahead : {'lattice', 'exact', 'static', 'blur'}
        What an untried cell is filled with, if the fill depends on the mask. ``lattice``
        fills every `lattice`-th cell in both directions at once, so that a step needs
        ``lattice**2 + 1`` fills and the holes still see their surroundings. ``static`` does so
        once, with the empty mask, and needs 1 fill per step after that. ``exact`` makes a fill
        for every mask that is tried. ``blur`` fills cells with the blurred image while they
        are ranked, so that they come in the order of MP2 with a blur; this costs one more
        evaluation per step. The decision to stop always uses the fill of the current mask.
    lattice : int
        Distance in cells between holes that share a fill, with ``look_ahead=lattice`` or
        ``static``. Smaller is cheaper; larger lets an inpainter see more around each hole.
    refresh : int
        Steps from one look-ahead to the next with ``look_ahead=lattice``. In between, cells keep
        the fill that they had, and a step needs 1 fill, that of the current mask. Larger is
        faster; an inpainter sees the latest holes later.
    blur_sigma : float
        Standard deviation, in pixels, of the blur with ``look_ahead=blur``.
    chance : float, optional
        Probability at which the mask stops growing. If not given: one over the number of classes,
        or one half for an independent label. A higher value stops earlier, with a smaller mask.
    max_area : float
        Share of the cells at which the mask stops growing in any case.

    Notes
    -----
    Cells are ranked by log-odds, which still change where the probability of a confident
    classifier hardly does; the probability decides when to stop. A binary map would not order
    its pixels, so the heatmap is ``1 - step / T`` for a removed cell and 0 for others:
    ``coarse > 0`` is the mask itself.
    With a compositing inpainter the image equals its fill outside the mask, so the gradient
    there is 0: ``gradient`` and ``propose`` need a look-ahead other than ``exact``.
    On a device every call for scores holds the same number of images, padded if there are
    fewer, so that the image under the current mask and the candidates are scored by the same
    kernel (calls for slopes are not padded). The candidates of a step, whose ranking decides
    the result, are scored in one query.
    """

    name: ClassVar[str] = "mp2"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "blur"
    without_gradients: ClassVar[str] = "gain=difference"

    grid: Annotated[int, Param("cells per side of the mask", ge=1)] = Usual(28)
    cells_per_step: Annotated[int, Param("cells removed per step", ge=1)] = 2
    gain: Annotated[
        Literal["auto", "difference", "gradient", "propose"],
        Param("how the effect of removing a cell is found; auto: by gradients if there are any"),
    ] = "auto"
    selection: Annotated[
        Literal["signed", "absolute"],
        Param(
            "with gain=gradient: signed takes cells that lower the score, "
            "absolute also those that raise it"
        ),
    ] = "signed"
    sweep: Annotated[
        Literal["coarse", "lazy", "full", "static"],
        Param("with gain=difference: which cells a step tries; full tries all, and is slow"),
    ] = "coarse"
    n_tried: Annotated[
        int | None,
        Param(
            "cells tried at a time; 1/16 (lazy, coarse) or 1/22 (propose) of the grid if not given",
            ge=1,
        ),
    ] = None
    caution: Annotated[
        float,
        Param("lazy and coarse: doubt given to remembered gains; larger tries more", ge=0),
    ] = 1.25
    look_ahead: Annotated[
        Literal["lattice", "exact", "static", "blur"],
        Param("how tried cells are filled if the fill depends on the mask"),
    ] = "lattice"
    lattice: Annotated[
        int, Param("distance in cells between holes that are filled together", ge=1)
    ] = 4
    refresh: Annotated[
        int, Param("with look_ahead=lattice: steps from one look-ahead to the next", ge=1)
    ] = 1
    blur_sigma: Annotated[
        float,
        Param("with look_ahead=blur: standard deviation of the blur in pixels", gt=0, le=1000),
    ] = 10.0
    chance: Annotated[
        float | None,
        Param(
            "stop at this probability; if not given, 1 / number of classes, or 0.5 for an "
            "independent label",
            gt=0,
            lt=1,
        ),
    ] = None
    max_area: Annotated[
        float, Param("largest share of the cells that may be removed", gt=0, le=1)
    ] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._limit:
            raise ValueError(
                f"{name_owner(self)}: max_area of {self.max_area:g} is less than one of the "
                f"{self.grid**2} cells"
            )

    def evaluations(self, size: Size) -> int:
        """Count the evaluations up to `max_area`; a mask that stops earlier needs fewer.

        The count is exact for ``full``, ``propose`` and ``gradient``, an upper bound otherwise.
        """
        cells, step = self.grid**2, self.cells_per_step
        n_steps = -(-self._limit // step)
        # One for the image and one after every step; `blur` ranks cells from one more per step.
        measures = n_steps + 1 + n_steps * (self.look_ahead == "blur")
        left = [cells - i * step for i in range(n_steps)]
        if self.gain == "gradient":
            return measures
        if self.gain == "propose":
            return measures + n_steps + sum(min(self._n_tried, n) for n in left)
        if self.sweep == "static":
            return cells + 2 * cells.bit_length() + 3
        n_sets = (-(-self.grid // 2)) ** 2 if self.sweep == "coarse" else 0
        return measures + n_sets + sum(left)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        if self.gain == "auto":
            return (yield from self.settled(gradients=False).flow(case, rng))
        check_grid(self.grid, case.size, self.name)
        chance = self._find_chance(case)
        probe = Probe(Growth(case.image, self.grid))
        if self.gain == "difference" and self.sweep == "static":
            reason = yield from self._cut_ranking(probe, chance)
        else:
            reason = yield from self._grow(probe, chance)
        return self._make_result(probe.growth, reason)

    def _grow(self, probe: Probe, chance: float) -> Flow[str]:
        """Remove the best cells step by step; return why the mask stopped growing."""
        growth = probe.growth
        for step in range(growth.n_cells + 1):
            probability, slope = yield from self._measure(probe)
            if probability <= chance:
                return "chance"
            n_best = min(self.cells_per_step, self._limit - len(growth.order))
            if n_best <= 0:
                break
            ranked_slope = yield from self._fill_ahead(probe, step)
            slope = slope if ranked_slope is None else ranked_slope
            if step == 0 and slope is not None and probe.fills.changes_nothing:
                raise ValueError(
                    f"{self.name}: the fill equals the image wherever nothing is removed, so that "
                    f"all gains from gradients are 0 with look_ahead={self.look_ahead!r}; "
                    "use look_ahead='lattice'"
                )
            growth.start_step()
            yield from self._find_gains(probe, slope, step, n_best)
            growth.remove(growth.rank_up_to_date()[:n_best])
        return "exhausted"

    def _cut_ranking(self, probe: Probe, chance: float) -> Flow[str]:
        """Rank all cells once; remove as few from the top as reach chance level."""
        if (yield from self._measure(probe))[0] <= chance:
            return "chance"
        yield from self._fill_ahead(probe, 0)
        yield from try_all(probe)
        ranking = probe.growth.rank_cells()[: self._limit]
        n_cells = yield from find_shortest_row(probe, ranking, chance, self.cells_per_step)
        probe.growth.remove(ranking[:n_cells])
        return "chance" if (yield from self._measure(probe))[0] <= chance else "exhausted"

    def _measure(self, probe: Probe) -> Flow[tuple[float, Image | None]]:
        """Find the probability under the current mask, and the slope if cells are chosen by it."""
        if self.gain != "difference" and self.look_ahead != "blur":
            return (yield from probe.differentiate())
        if self.look_ahead in ("lattice", "static"):
            yield from probe.fills.update()
        return (yield from probe.measure()), None

    def _fill_ahead(self, probe: Probe, step: int) -> Flow[Image | None]:
        """Set the fill of tried cells; return the slope under it if cells are chosen by that."""
        growth, fills = probe.growth, probe.fills
        if self.look_ahead == "blur":
            if step == 0:
                fills.rank_by(gaussian_blur(growth.image, self.blur_sigma).clip(0, 1))
            if self.gain != "difference":
                return (yield from probe.differentiate_ranked())
            yield from probe.measure_ranked()
        elif self.look_ahead in ("lattice", "static"):
            if step == 0 or (self.look_ahead == "lattice" and step % self.refresh == 0):
                yield from fills.fill_lattices(self.lattice)
            fills.fix_candidates()
        return None

    def _find_gains(self, probe: Probe, slope: Image | None, step: int, n_best: int) -> Flow[None]:
        """Find the gains of enough cells to include the `n_best` best."""
        if slope is not None:
            if self.gain == "propose":
                yield from try_proposed(probe, slope, n_tried=self._n_tried)
            else:
                gains = probe.estimate_gains(slope)
                probe.growth.adopt_gains(abs(gains) if self.selection == "absolute" else gains)
        elif self.sweep == "full":
            yield from try_all(probe)
        else:
            if step == 0:
                yield from try_all(probe) if self.sweep == "lazy" else probe.try_quarters()
            yield from try_promising(probe, n_best, n_tried=self._n_tried, caution=self.caution)

    def _find_chance(self, case: Case) -> float:
        """Find the probability at which to stop.

        It is slightly above chance level, so that equal probabilities of all classes reach it
        however they are rounded.
        """
        if self.chance is not None:
            return self.chance
        if case.chance is None:
            raise ValueError(f"{self.name}: the case has no number of classes; pass chance")
        return (1 + 1e-6) * case.chance

    @property
    def _limit(self) -> int:
        """Largest number of cells to remove."""
        return int(self.max_area * self.grid**2 + 1e-9)  # 0.29 of 100 is 28.999999999999996

    @property
    def _n_tried(self) -> int:
        part = PARTS.get(self.sweep if self.gain == "difference" else self.gain, 1)
        return max(self.n_tried or self.grid**2 // part, self.cells_per_step)

    def _make_result(self, growth: Growth, reason: str) -> Attribution:
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
            "gains": list(growth.gains_of_order),
            "trajectory": list(growth.trajectory),
        }
        if self.gain == "difference":
            details["sweep"] = self.sweep
        return Attribution(heatmap, coarse, order, details, MEANING)
