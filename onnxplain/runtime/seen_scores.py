"""The answers of a classifier to a few probe images, in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.cache import recall_parsed, remember
from onnxplain.core.scores import SLACK, SUM_SLACK
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.head import decode_output
from onnxplain.runtime.ort import get_ort_version
from onnxplain.runtime.session import open_session
from onnxplain.version import __version__

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and is not always needed
    from onnxplain.graph.load import ModelFile

ROUNDING = {"float64": 1e-4, "float32": 1e-3, "float16": 0.02}  # of a row's sum


@dataclass(frozen=True, slots=True)
class SeenScores:
    """The answers to the probe images in a few numbers.

    Parameters
    ----------
    images, classes : int
        How many rows and columns were seen.
    low, high : float
        The least and the largest score.
    least_sum, most_sum : float
        Of the rows.
    spread : float
        The largest difference between two scores of a row.
    change : float
        The largest difference between two scores of a class.
    are_sorted : bool
        Whether every row falls, or every row rises, and not all scores are equal.
    rounding : float
        How far rounding may change the sum of a row of probabilities.
    """

    images: int
    classes: int
    low: float
    high: float
    least_sum: float
    most_sum: float
    spread: float
    change: float
    are_sorted: bool
    rounding: float

    @classmethod
    def of(cls, scores: NDArray[np.float64], rounding: float) -> SeenScores:
        """Describe scores (N, K)."""
        sums, steps = scores.sum(axis=1), np.diff(scores, axis=1)
        spread = float(np.ptp(scores, axis=1).max())
        return cls(
            images=len(scores),
            classes=scores.shape[1],
            low=float(scores.min()),
            high=float(scores.max()),
            least_sum=float(sums.min()),
            most_sum=float(sums.max()),
            spread=spread,
            change=float(np.ptp(scores, axis=0).max()),
            are_sorted=bool(spread > 0 and ((steps <= 0).all() or (steps >= 0).all())),
            rounding=rounding,
        )

    @property
    def are_equal(self) -> bool:
        """Whether all the classes of every image have the same score."""
        return self.classes > 1 and self.spread <= 1e-6 * max(abs(self.low), abs(self.high))

    @property
    def fit_unit(self) -> bool:
        """Whether all scores lie in [0, 1], up to rounding."""
        slack = min(SLACK, self.rounding)
        return self.low >= -slack and self.high <= 1 + slack

    @property
    def total(self) -> float | None:
        """The sum of every row, if no score is negative and all rows have the same."""
        middle = (self.least_sum + self.most_sum) / 2
        is_same = self.most_sum - self.least_sum <= 2 * self.rounding * abs(middle)
        nonnegative = self.low >= -self.rounding * abs(middle)
        return middle if self.classes > 1 and nonnegative and is_same and middle > 0 else None

    @property
    def is_total_telling(self) -> bool:
        """Whether the scores change so much that an equal sum of all rows is no chance."""
        return self.total is not None and self.change > 10 * self.rounding * self.total

    @property
    def are_percentages(self) -> bool:
        """Whether the rows look like percentages, which may be rounded to whole ones."""
        within = self.low >= 0 and self.high <= 100.5
        return within and self.least_sum >= 97 and self.most_sum <= 103 and self.change > 3

    @property
    def are_centred(self) -> bool:
        """Whether the scores lie in [-1, 1] and sum to 0 in every row, as none of a softmax do."""
        reach = max(abs(self.least_sum), abs(self.most_sum), -self.low - 1, self.high - 1)
        return self.classes > 1 and reach <= self.rounding and self.change > 10 * self.rounding

    @property
    def are_distributions(self) -> bool:
        """Whether every row lies in [0, 1] and its sum is 1."""
        reach = max(abs(self.least_sum - 1), abs(self.most_sum - 1))
        return self.classes > 1 and self.fit_unit and reach <= self.rounding

    def describe(self) -> str:
        """Say what was seen."""
        what = f"its answers to {self.images} probe images lie in [{self.low:.4g}, {self.high:.4g}]"
        if self.classes == 1:
            return what
        if self.total is not None:
            return f"{what} and the scores of each image sum to {self.total:.4g}"
        return f"{what} and their sums in [{self.least_sum:.4g}, {self.most_sum:.4g}]"


def see_scores(model: ModelFile, spec: ModelSpec) -> SeenScores | None:
    """Return what the answers to the probe images are like, None if they are not all finite."""
    names = "input", "output", "layout", "colour", "range", "mean", "std", "size", "output_scale"
    feeding = [str(getattr(spec, name)) for name in names]
    key = (model.sha256, *feeding, get_ort_version(), __version__)
    if (remembered := recall_parsed("scores", key, _parse_seen)) is not None:
        return remembered[0]
    scores, rounding = _score_probes(model, spec)
    seen = SeenScores.of(scores, rounding) if np.isfinite(scores).all() else None
    remember("scores", key, {} if seen is None else asdict(seen))
    return seen


def _parse_seen(facts: Mapping[str, Any]) -> tuple[SeenScores | None]:
    """Return what was remembered, which may be None; raise a ValueError if it cannot have been."""
    if not facts:
        return (None,)
    seen = SeenScores(**facts)
    counts = seen.images, seen.classes
    numbers = seen.low, seen.high, seen.least_sum, seen.most_sum, seen.spread, seen.change
    if not (
        all(type(count) is int and count >= 1 for count in counts)
        and all(type(n) is float and math.isfinite(n) for n in (*numbers, seen.rounding))
        and type(seen.are_sorted) is bool
        and seen.low <= seen.high
        and seen.least_sum <= seen.most_sum
    ):
        raise ValueError(f"these are no scores of probe images: {facts}")
    return (seen,)


def _score_probes(model: ModelFile, spec: ModelSpec) -> tuple[NDArray[np.float64], float]:
    """Return the scores (N, K) of the probe images, each run alone, and their rounding."""
    from onnxplain.graph.batch_proof import make_probe_images, read_fixed_batch

    session = open_session(model.content, Device("cpu"), name=model.path.name)
    composer, images = HostComposer(ModelSpace.of(spec)), make_probe_images(spec.size)
    rows = read_fixed_batch(model.proto, spec.input) or 1
    answers = []
    for image in images:
        (raw,) = session.run({spec.input: composer.enter(image[None], rows)}, [spec.output])
        answers.append(decode_output(raw, rows, spec)[0])
        rounding = get_rounding(raw.dtype)
    return np.stack(answers).astype(np.float64), rounding


def get_rounding(dtype: np.dtype[Any]) -> float:
    """Return how far rounding may change the sum of a row of probabilities of a type."""
    return ROUNDING.get(dtype.name, SUM_SLACK)
