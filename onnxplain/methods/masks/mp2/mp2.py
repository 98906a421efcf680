"""MP2: a mask grown cell by cell until the class is gone (Agarwal & Nguyen, ACCV 2020).

From an empty mask, every step removes the two cells of a coarse grid whose removal lowers the
target's score most, until its probability is at chance level [1]_ (sec. 3.3). With an
inpainter as the fill it is MP2-G.

The gain of a cell is a difference, ``score(x_bar(M)) - score(x_bar(M + cell))``. It needs
only scores of the classifier, and its masks are binary, as an inpainter wants them. Or the
gain is read off the gradient by the mask, as in the paper.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 3.3, :arXiv:`1910.04256`
.. [2] Leskovec et al., Cost-effective outbreak detection in networks, KDD 2007: lazy
   evaluation of a greedy choice
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from onnxplain.core.data import Attribution, Case, Image, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Parametrised, shrink_default
from onnxplain.image import gaussian_blur
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.mp2.probe import Probe
from onnxplain.methods.masks.mp2.sweeps import (
    find_shortest_row,
    try_all,
    try_coarsely,
    try_lazily,
    try_proposed,
)
from onnxplain.methods.masks.optim import check_grid

# The number of cells tried in a step, unless it is given: the cells of the grid over this.
PARTS: Mapping[str, int] = {"lazy": 12, "coarse": 20, "propose": 22}


@dataclass(frozen=True)
class MP2(Parametrised):
    """Greedy removal of cells until chance level.

    Parameters
    ----------
    grid : int
        Cells per side of the mask. More cells draw a finer mask and need more evaluations.
    cells_per_step : int
        Cells removed in every step; 2 in the paper. More take fewer steps and choose less
        carefully.
    gain : {'auto', 'difference', 'gradient', 'propose'}
        How the gain of a cell is found. ``difference`` removes the cell. ``gradient`` takes
        the derivative at the mask as it is. ``propose`` removes `n_tried` cells: a third are
        those remembered as best from earlier steps; the others are proposed in turn by the
        derivative at the mask as it is, and by that half way to removing all cells that are
        left. ``auto`` is ``gradient`` if the classifier has gradients, else ``difference``.
    selection : {'signed', 'absolute'}
        Which gains count as large with ``gain=gradient``. ``signed``: cells that lower the
        score. ``absolute``: also cells that raise it, which is the paper's "highest gradient
        norms" to the letter.
    sweep : {'coarse', 'lazy', 'full', 'static'}
        Which cells ``gain=difference`` tries in a step. ``full`` tries all that are left: the
        definition, at ``786 T - T**2 + 1`` evaluations for T steps of a 28 x 28 grid.
        ``lazy`` tries all cells in the first step, and later the `n_tried` cells with the
        largest remembered gains, and more if these gains do not hold [2]_; every `audit` steps
        it tries all again, and the result says how often it would have chosen other cells.
        ``coarse`` tries the `n_tried` cells with the largest remembered gains (twice as many
        in the first step) and those beside the cells removed last, whose gains have changed
        most; every `audit` steps it corrects the remembered gains by those of blocks of 2 x 2
        cells, tiled differently each time. ``static`` ranks the cells once and searches for
        the shortest row of them that reaches chance level.
    n_tried : int, optional
        Cells tried at a time; more choose better and cost more evaluations. If not given:
        the cells of the grid over 12 for ``lazy``, over 20 for ``coarse`` and over 22 for
        ``propose``.
    audit : int, optional
        Steps from one sweep over all cells to the next with ``lazy`` (16 if not given), or
        over all blocks with ``coarse`` (5 if not given). Remembered gains go out of date as
        the mask grows; fewer steps keep them fresher and cost more evaluations.
    look_ahead : {'lattice', 'exact', 'static', 'blur'}
        What an untried cell is filled with, if the fill depends on the mask. ``lattice``
        fills every `lattice`-th cell in both directions at once, so that a step needs
        ``lattice**2 + 1`` fills and the holes still see their surroundings. ``static`` does so
        once, with the empty mask, and needs 1 fill per step after that. ``exact`` makes a fill
        for every mask that is tried. ``blur`` ranks cells by the blurred image, so that they
        come in the order of MP2 with a blur, for one evaluation more per step. Whether to
        stop is always decided with the fill of the mask as it is.
    lattice : int
        Distance in cells between holes that share a fill, with ``look_ahead=lattice`` or
        ``static``. Smaller is cheaper; larger lets an inpainter see more around each hole.
    blur_sigma : float
        Standard deviation, in pixels, of the blur with ``look_ahead=blur``.
    chance : float, optional
        Probability at which the mask stops growing; one over the number of classes if not
        given. Higher stops earlier, at a smaller mask.
    max_area : float
        Share of the cells at which the mask stops growing in any case.

    Notes
    -----
    Cells are ranked by log-odds, which still move where the probability of a sure
    classifier does not; whether to stop is decided by the probability. A binary map leaves
    the order of its pixels open, so the heatmap is ``1 - step / T`` for a removed cell and 0
    for others: ``coarse > 0`` is the mask itself.
    With a compositing inpainter the image equals its fill outside the mask, so the gradient
    there is 0: ``gradient`` and ``propose`` need a look-ahead other than ``exact``.
    On a device every call for scores holds the same number of images, padded if there are
    fewer, so that the image under the mask as it is and the candidates are scored by the same
    kernel (calls for slopes are not padded). The candidates of a step, whose order decides
    everything, are asked for in one query.
    """

    name: ClassVar[str] = "mp2"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "blur"
    without_gradients: ClassVar[str] = "gain=difference"

    grid: Annotated[int, Param("cells per side of the mask", ge=1)] = 28
    cells_per_step: Annotated[int, Param("cells removed per step", ge=1)] = 2
    gain: Annotated[
        Literal["auto", "difference", "gradient", "propose"],
        Param("how the gain of a cell is found; auto: by gradients if there are any"),
    ] = "auto"
    selection: Annotated[
        Literal["signed", "absolute"],
        Param("with gain=gradient: take cells that lower the score, or also those that raise it"),
    ] = "signed"
    sweep: Annotated[
        Literal["coarse", "lazy", "full", "static"],
        Param("with gain=difference: which cells are tried; full is the definition, and slow"),
    ] = "coarse"
    n_tried: Annotated[
        int | None,
        Param("cells tried at a time; 1/12 (lazy), 1/20 or 1/22 of the grid if not given", ge=1),
    ] = None
    audit: Annotated[
        int | None,
        Param(
            "steps between sweeps over all cells or blocks; lazy 16, coarse 5 if not given", ge=1
        ),
    ] = None
    look_ahead: Annotated[
        Literal["lattice", "exact", "static", "blur"],
        Param("what cells that are tried are filled with, if the fill depends on the mask"),
    ] = "lattice"
    lattice: Annotated[int, Param("distance in cells between holes that share a fill", ge=1)] = 4
    blur_sigma: Annotated[
        float, Param("with look_ahead=blur: standard deviation in pixels", gt=0, le=1000)
    ] = 10.0
    chance: Annotated[
        float | None,
        Param("probability at which the mask is done; 1 / classes if not given", gt=0, lt=1),
    ] = None
    max_area: Annotated[
        float, Param("share of the cells at which the mask is done in any case", gt=0, le=1)
    ] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._limit:
            raise ValueError(
                f"MP2: max_area of {self.max_area:g} is less than one of the {self.grid**2} cells"
            )

    @property
    def wants_gradients(self) -> bool:
        """Whether it asks for gradients if it can."""
        return self.gain != "difference"

    @property
    def needs_gradients(self) -> bool:
        """Whether it cannot do without gradients."""
        return self.gain in ("gradient", "propose")

    def fitted(self, size: Size) -> MP2:
        """Return the same method with one cell per pixel, if the default has more."""
        return shrink_default(self, "grid", min(size), min(size))

    def settled(self, *, gradients: bool) -> MP2:
        """Return the same method with ``auto`` decided."""
        if self.gain != "auto":
            return self
        return replace(self, gain="gradient" if gradients else "difference")

    def evaluations(self, size: Size) -> int:
        """Count the evaluations if `max_area` is reached; fewer are made if chance level is.

        The count is exact for ``full``, ``propose`` and ``gradient``, an upper bound for others.
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
        """Explain one case; draw nothing."""
        if self.gain == "auto":
            return (yield from self.settled(gradients=False).flow(case, rng))
        check_grid(self.grid, case.size, "MP2")
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
                    f"MP2: where nothing is removed the fill is the image itself, so that all "
                    f"gains by gradients are 0 with look_ahead={self.look_ahead!r}; "
                    "take look_ahead='lattice'"
                )
            growth.start_step()
            yield from self._find_gains(probe, slope, step, n_best)
            growth.remove(growth.rank_up_to_date()[:n_best])
        return "exhausted"

    def _cut_ranking(self, probe: Probe, chance: float) -> Flow[str]:
        """Rank all cells once; remove the shortest row of them that reaches chance level."""
        if (yield from self._measure(probe))[0] <= chance:
            return "chance"
        yield from self._fill_ahead(probe, 0)
        yield from try_all(probe)
        ranking = probe.growth.rank_cells()[: self._limit]
        n_cells = yield from find_shortest_row(probe, ranking, chance, self.cells_per_step)
        probe.growth.remove(ranking[:n_cells])
        return "chance" if (yield from self._measure(probe))[0] <= chance else "exhausted"

    def _measure(self, probe: Probe) -> Flow[tuple[float, Image | None]]:
        """Find the probability under the mask as it is, and the slope there, if that decides."""
        if self.gain != "difference" and self.look_ahead != "blur":
            return (yield from probe.differentiate())
        if self.look_ahead in ("lattice", "static"):
            yield from probe.fills.update()
        return (yield from probe.measure()), None

    def _fill_ahead(self, probe: Probe, step: int) -> Flow[Image | None]:
        """Settle the fill of the cells that are tried; return its slope, if that decides."""
        growth, fills = probe.growth, probe.fills
        if self.look_ahead == "blur":
            if step == 0:
                fills.rank_by(gaussian_blur(growth.image, self.blur_sigma).clip(0, 1))
            if self.gain != "difference":
                return (yield from probe.differentiate_ranked())
            yield from probe.measure_ranked()
        elif self.look_ahead == "lattice" or (self.look_ahead == "static" and step == 0):
            yield from fills.fill_lattices(self.lattice)
        if self.look_ahead in ("lattice", "static"):
            fills.fix_candidates()
        return None

    def _find_gains(self, probe: Probe, slope: Image | None, step: int, n_best: int) -> Flow[None]:
        """Find the gains of cells among which the `n_best` best are."""
        if slope is not None:
            if self.gain == "propose":
                yield from try_proposed(probe, slope, n_tried=self._n_tried)
            else:
                gains = probe.estimate_gains(slope)
                probe.growth.adopt_gains(abs(gains) if self.selection == "absolute" else gains)
        elif self.sweep == "lazy":
            yield from try_lazily(probe, step, n_best, n_tried=self._n_tried, audit=self._audit)
        elif self.sweep == "coarse":
            yield from try_coarsely(
                probe,
                step,
                n_tried=self._n_tried,
                audit=self._audit,
                cells_per_step=self.cells_per_step,
            )
        else:
            yield from try_all(probe)

    def _find_chance(self, case: Case) -> float:
        """Find the probability at which to stop.

        A classifier of equal classes is at chance level, however its scores are rounded.
        """
        if self.chance is not None:
            return self.chance
        if case.n_classes is None:
            raise ValueError("MP2: the case has no number of classes; pass chance")
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
        if growth.audits:
            details["audits"] = list(growth.audits)
            details["disagreement"] = float(np.mean([missed for _, missed in growth.audits]))
        return Attribution(heatmap, coarse, order, details)
