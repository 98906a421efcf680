"""The parts that values of cooperative games share: the players, the flow and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Heatmap, Meaning, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.core.protocols import Masks
from onnxplain.image.superpixels import find_superpixels
from onnxplain.masks.enlarge import Enlargement
from onnxplain.masks.families import SegmentMasks, SmoothCellMasks
from onnxplain.methods.masks.optim import check_grid
from onnxplain.methods.scores.coalitions import count_pairs, list_all_pairs
from onnxplain.methods.scores.intervals import (
    Array,
    Estimate,
    Fit,
    InterimLook,
    describe_precision,
    is_narrow,
    leave_out_replicates,
    plan_looks,
)

FEW_PLAYERS = 16  # up to so many, all sets might be scored


@dataclass(frozen=True, eq=False)
class Players:
    """The parts of a photo that are kept or removed: superpixels, or cells of a smooth grid."""

    shape: tuple[int, ...]
    size: Size
    segments: NDArray[np.int64] | None = None

    def make_masks(self, kept: NDArray[np.bool_]) -> Masks:
        """Make the masks that keep these players (N, d) and remove the others."""
        removed = (~kept).astype(np.uint8)
        if self.segments is not None:
            return SegmentMasks(self.segments, removed)
        return SmoothCellMasks(removed.reshape(-1, *self.shape), self.size)

    def enlarge(self, values: Array) -> Heatmap:
        """Give each pixel the value of its superpixel, or interpolate between cells as masks do."""
        if self.segments is not None:
            return values.astype(np.float32)[self.segments]
        cells = values.reshape(self.shape)
        return Enlargement.bilinear(len(cells), self.size).pixels(cells).astype(np.float32)


@dataclass(frozen=True)
class Game(Parametrised):
    """Base of the methods whose players are parts of the photo; their docstrings say the rest."""

    name: ClassVar[str]
    usual_fill: ClassVar[str] = "dataset-mean"
    needs_ends: ClassVar[bool] = False  # whether all players and none are scored as well
    meaning: ClassVar[str]

    players: Annotated[
        Literal["grid", "superpixels"],
        Param("what is kept or removed: the cells of a grid, or superpixels"),
    ] = "grid"
    grid: Annotated[int, Param("cells per side", ge=2)] = 7
    n_segments: Annotated[int, Param("about how many superpixels to make", ge=2)] = 50
    score: Annotated[
        Literal["probability", "log-odds"], Param("the score of the class that is explained")
    ] = "probability"
    n_replicates: Annotated[
        int, Param("independent designs, each of 128 evaluations for 32 to 63 players", ge=1)
    ] = 3
    tolerance: Annotated[
        float | None,
        Param("stop when the widest interval is at most this share of the map's range", gt=0),
    ] = None
    max_replicates: Annotated[int, Param("most designs with a tolerance", ge=1)] = 32
    interval: Annotated[
        Literal["hc3", "replicates"],
        Param("errors from the residuals of the regression, or from the spread of the replicates"),
    ] = "hc3"

    @property
    def adaptive(self) -> bool:
        """Whether the number of evaluations depends on the scores or on the superpixels."""
        return self.tolerance is not None or (self.players != "grid" and self._may_list_all)

    @property
    def _may_list_all(self) -> bool:
        """Whether there may be few enough players to score every set."""
        return self._n_players <= FEW_PLAYERS

    @property
    def _n_players(self) -> int:
        """The number of players, or about how many superpixels there will be."""
        return self.grid**2 if self.players == "grid" else self.n_segments

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: two per pair; the most, with a tolerance or few superpixels."""
        n = 2 * self._count_most_pairs()
        if self.players == "grid" and self._lists_all(self._n_players):
            return int(2**self._n_players)
        return n + 2 * self.needs_ends

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case: score pairs of sets of players, regress, and look whether to go on."""
        players = self.find_players(case)
        d = int(np.prod(players.shape))
        if self._lists_all(d):
            signs = list_all_pairs(d)
            differences = yield from self._ask(players, signs)
            exact = Estimate(self.solve(signs, differences), np.zeros(d))
            return self._finish(players, exact, InterimLook(2 * len(signs), 0.0), 2 * len(signs))
        n_pairs = count_pairs(self._n_players)  # of a replicate
        ends = np.ones((int(self.needs_ends), d))
        total = float((yield from self._ask(players, ends))[0]) if self.needs_ends else 0.0
        signs, differences = np.empty((0, d)), np.empty(0)
        for look in plan_looks(2 * n_pairs, 2 * self._count_most_pairs(), self.tolerance):
            n_new = (look.n // 2 - len(signs)) // n_pairs
            new = np.concatenate([self.draw(rng, d, n_pairs) for _ in range(n_new)])
            differences = np.append(differences, (yield from self._ask(players, new)))
            signs = np.concatenate([signs, new])
            estimate = self._estimate(signs, differences, total, n_pairs)
            if is_narrow(estimate, look, self.tolerance):
                break
        return self._finish(players, estimate, look, look.n + 2 * len(ends))

    def draw(self, rng: np.random.Generator, n_players: int, n_pairs: int) -> Array:
        """Draw one replicate: signs (n_pairs, n_players)."""
        raise NotImplementedError

    def fit(self, signs: Array, differences: Array, total: float) -> Fit:
        """Fit the values of the players to the differences of pairs that were drawn.

        `total` is the score of all players minus that of none, if the method asks for it.
        """
        raise NotImplementedError

    def solve(self, signs: Array, differences: Array) -> Array:
        """Compute the values from all pairs, the pair of all and none first."""
        raise NotImplementedError

    def _count_most_pairs(self) -> int:
        """Return the pairs of all replicates that may be scored."""
        n_replicates = self.n_replicates if self.tolerance is None else self.max_replicates
        return n_replicates * count_pairs(self._n_players)

    def _lists_all(self, n_players: int) -> bool:
        """Return whether all sets are no more than those that the replicates would score."""
        n_pairs = self.n_replicates * count_pairs(self._n_players)
        is_small = self._may_list_all or n_players == 1
        return is_small and 2**n_players <= 2 * min(n_pairs, self._count_most_pairs())

    def find_players(self, case: Case) -> Players:
        """Find the superpixels, or lay the grid."""
        if self.players == "grid":
            check_grid(self.grid, case.size, type(self).__name__)
            return Players((self.grid, self.grid), case.size)
        segments = find_superpixels(
            case.image, n_segments=self.n_segments, compactness=30.0, sigma=3.0
        )
        return Players((int(segments.max()) + 1,), case.size, segments)

    def _ask(self, players: Players, signs: Array) -> Flow[Array]:
        """Score both sets of each pair, and return the differences of their scores."""
        kept = np.stack([signs > 0, signs < 0], axis=1).reshape(-1, signs.shape[1])
        scores = (yield MaskQuery(players.make_masks(kept), kind=self.score)).scores
        return scores[0::2] - scores[1::2]

    def _estimate(self, signs: Array, differences: Array, total: float, n_pairs: int) -> Estimate:
        """Fit the values to all replicates, with errors of the chosen kind."""
        fit = self.fit(signs, differences, total)
        if self.interval == "hc3":
            return Estimate(fit.values, fit.errors, fit.degrees)
        n_replicates = len(signs) // n_pairs
        if n_replicates < 2:
            return Estimate(fit.values, np.full_like(fit.values, np.inf))

        def fit_replicates(chosen: NDArray[np.intp]) -> Array:
            rows = (chosen[:, None] * n_pairs + np.arange(n_pairs)).ravel()
            return self.fit(signs[rows], differences[rows], total).values

        errors = leave_out_replicates(fit_replicates, n_replicates)
        return Estimate(fit.values, errors, n_replicates - 1)

    def _finish(
        self, players: Players, estimate: Estimate, look: InterimLook, n_evaluations: int
    ) -> Attribution:
        """Make the map, and say how sure it is."""
        values = estimate.values
        details: dict[str, Any] = {
            "n_players": len(values),
            **describe_precision(estimate, look, self.tolerance),
            "evaluations": n_evaluations,
        }
        known = np.isfinite(estimate.errors).all()
        unit = "probability" if self.score == "probability" else "log-odds"
        meaning = Meaning(
            self.meaning.format(unit=unit, part="cell" if self.players == "grid" else "superpixel"),
            is_score=self.score == "probability",
            noise=float(estimate.errors.mean()) if known else 0.0,
        )
        coarse = values.reshape(players.shape).astype(np.float32)
        return Attribution(players.enlarge(values), coarse=coarse, details=details, meaning=meaning)
