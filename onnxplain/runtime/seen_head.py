"""What a classifier's scores are, seen from its answers to a few probe images.

The graph's tail, a flag or a file may say what the scores are, and the answers must agree.
Where nothing says it, the answers have to show it, or the user is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.cache import recall_parsed, remember
from onnxplain.core.errors import ModelError
from onnxplain.core.scores import SLACK
from onnxplain.core.spec import Head, ModelSpec
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.head import decode_output
from onnxplain.runtime.ort import get_ort_version
from onnxplain.runtime.session import open_session
from onnxplain.version import __version__

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and is not always needed
    from onnxplain.graph.load import ModelFile

SEEN = "seen"  # as the source of a value
ROUNDING = {"float64": 1e-4, "float32": 1e-3, "float16": 0.02}  # of a row's sum
QUANTISED_ROUNDING = 0.15  # of a sum of a thousand rounded probabilities
# Classes from which on rows that are all sorted are no chance, even if all rows are alike.
SORTED_CLASSES = 8


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


def settle_head(model: ModelFile, spec: ModelSpec) -> ModelSpec:
    """Compare what a model's scores are said to be with its answers; take what is plain to see.

    The answers cost a few runs on CPU, and are remembered in the cache folder.

    Returns
    -------
    spec : ModelSpec
        As given; where nobody said what the scores are, what was seen.

    Raises
    ------
    ModelError
        If the answers contradict what was said, or show no scores of classes, or nothing says
        what they are. It says what was seen and what to do.
    """
    from onnxplain.describe.score_tail import read_tail

    seen = _see(model, spec)
    if seen is None:  # NaN or infinite: said where they are met
        return spec
    tail = read_tail(model, spec.output, seen.classes)
    known = tail is not None and tail.are_probabilities
    kind = "" if tail is None else tail.kind

    return _judge(spec, seen, model.path.name, known=known, kind=kind)


def settle_function_head(name: str, spec: ModelSpec, raw: NDArray[Any]) -> ModelSpec:
    """Do what `settle_head` does for the answers of a function to `make_probe_images`.

    Parameters
    ----------
    name : str
        The function's name in error texts.
    spec : ModelSpec
        How it is described.
    raw : (N, K) ndarray
        Its answers, one row per image.

    Raises
    ------
    ModelError
        As `settle_head`.
    """
    scores = decode_output(raw, len(raw), spec).astype(np.float64)
    if not np.isfinite(scores).all():
        return spec
    seen = SeenScores.of(scores, ROUNDING.get(raw.dtype.name, QUANTISED_ROUNDING))
    return _judge(spec, seen, name, known=False, kind="")


def _judge(spec: ModelSpec, seen: SeenScores, name: str, *, known: bool, kind: str) -> ModelSpec:
    """Return the spec with what was seen; `known` and `kind` are what the graph's tail shows."""

    def fail(text: str) -> ModelError:
        return ModelError(f"{name}: {text}")

    check = _Verdict(spec, seen, known, fail)
    check.check_classes(kind)
    sources = dict(spec.sources)
    if sources.get("output_scale") == "default":
        sources["output_scale"] = SEEN
    if spec.head in ("sigmoid", "logit"):
        check.check_single()
        return replace(spec, sources=sources)
    head = check.decide()
    if head != spec.head or sources.get("head") == "default":
        sources["head"] = SEEN
    return replace(spec, head=head, sources=sources)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The judgement of what was seen; `known`: the graph's tail makes probabilities."""

    spec: ModelSpec
    seen: SeenScores
    known: bool
    fail: Callable[[str], ModelError]

    @property
    def is_said(self) -> bool:
        """Whether a flag or a file says what the scores are."""
        return self.spec.sources.get("head", "default") not in ("default", "graph")

    @property
    def saying(self) -> str:
        """Who says what the scores are."""
        return f"{self.spec.sources.get('head')} says {self.spec.head}"

    def check_classes(self, kind: str) -> None:
        """Raise an error if the scores are none of classes, whatever they are said to be."""
        seen, elsewhere = self.seen, "give another output with --output-name, or export the model"
        if kind == "softmax of another axis" or (seen.are_equal and (seen.total or 0) > 1.5):
            raise self.fail(
                f"every class has the same score for every image: {seen.describe()}; a softmax "
                f"over a wrong axis does that: {elsewhere} with a softmax over its classes"
            )
        if seen.are_equal:
            raise self.fail(
                f"every class has the same score for every image: {seen.describe()}; {elsewhere} "
                f"again"
            )
        is_sorted = seen.are_sorted and seen.classes >= SORTED_CLASSES
        if kind == "top values" or is_sorted:
            raise self.fail(
                f"the scores of every image are sorted, as the values of a TopK: they do not "
                f"belong to the same classes; {elsewhere} without it"
            )
        unknown = self.spec.sources.get("output_scale") == "default"
        if unknown and not (seen.are_distributions or (self.known and seen.fit_unit)):
            raise self.fail(
                f"its quantised scores have no scale that the graph tells, and as 256 steps from 0 "
                f"to 1 they are no probabilities: {seen.describe()}; put output_scale = [scale, "
                f"zero point] and head = ... into the TOML file beside the model"
            )

    def check_single(self) -> None:
        """Check the one number per image of a sigmoid or a logit."""
        if self.spec.head == "sigmoid" and not self.seen.fit_unit:
            raise self.fail(
                f"{self.saying}, a probability, but {self.seen.describe()}; write --head logit"
            )
        if self.spec.head == "logit" and self.known:
            raise self.fail(
                f"{self.saying}, but the graph makes a probability of it, and "
                f"{self.seen.describe()}; write --head sigmoid"
            )

    def decide(self) -> Head:
        """Return what the scores of several classes are."""
        seen, said = self.seen, self.spec.head
        if said == "probabilities":
            self._check_probabilities()
            return said
        if seen.are_distributions or (self.known and self.is_said):
            if self.is_said:
                raise self.fail(
                    f"{self.saying}, but {seen.describe()}: they are probabilities; write "
                    f"--head probabilities, or leave it out"
                )
            return "probabilities"
        if seen.is_total_telling:
            raise self.fail(
                f"{seen.describe()}: they are neither logits nor probabilities; export the model "
                f"with scores that sum to 1, or give another output with --output-name"
            )
        if (seen.fit_unit or seen.total) and self.spec.sources.get("head") == "default":
            raise self.fail(
                f"cannot tell what the scores are: {seen.describe()}; pass --head probabilities if "
                f"they are probabilities, each of its own, or --head logits"
            )
        return "logits"

    def _check_probabilities(self) -> None:
        seen = self.seen
        if not (seen.low >= -SLACK and seen.high <= 1 + SLACK):
            hint = (
                "export the model with scores that sum to 1"
                if seen.total is not None
                else "write --head logits, or leave it out"
            )
            raise self.fail(f"{self.saying}, but {seen.describe()}; {hint}")
        if seen.is_total_telling and not self.known and not seen.are_distributions:
            raise self.fail(
                f"{self.saying}, but {seen.describe()} instead of 1; export the model with scores "
                f"that sum to 1, or give another output with --output-name"
            )


def _see(model: ModelFile, spec: ModelSpec) -> SeenScores | None:
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
        rounding = ROUNDING.get(raw.dtype.name, QUANTISED_ROUNDING)
    return np.stack(answers).astype(np.float64), rounding
