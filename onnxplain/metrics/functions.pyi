"""The signatures of `functions.py`, written by ``python -m tests.helpers.metrics``."""

from collections.abc import Callable, Sequence
from typing import Literal

from numpy.typing import ArrayLike

from onnxplain.core.data import Box, Images
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.fills.filling import Distance
from onnxplain.metrics.judging import AnyClassifier
from onnxplain.subjects import ImageSource

def deletion(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    step: int | None = None,
    ties: Literal["row-major", "random"] = "row-major",
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def insertion(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    step: int | None = None,
    ties: Literal["row-major", "random"] = "row-major",
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def neutral_deletion(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    step: int | None = None,
    ties: Literal["row-major", "random"] = "row-major",
) -> MetricResult: ...
def neutral_insertion(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    step: int | None = None,
    ties: Literal["row-major", "random"] = "row-major",
) -> MetricResult: ...
def morf(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    patch: int = 9,
    steps: int = 100,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def lerf(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    patch: int = 9,
    steps: int = 100,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def abpc(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    patch: int = 9,
    steps: int = 100,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def localisation_error(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    alpha: float = 0.2,
    truth: Literal["any", "union"] = "any",
    around: Literal["all", "largest"] = "all",
    scale: Literal["min-max", "max"] = "min-max",
    overlap: float = 0.5,
) -> MetricResult: ...
def pointing_game(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    tolerance: float = 15.0,
) -> MetricResult: ...
def saliency_metric(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    alpha: float = 0.2,
    around: Literal["all", "largest"] = "all",
    scale: Literal["min-max", "max"] = "min-max",
    smallest_area: float = 0.05,
    grid: bool = True,
) -> MetricResult: ...
def fill_score(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def off_object_change(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    patch: int = 53,
    stride: int = 3,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def still_recognised(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    by: Classifier | Callable[[Images], ArrayLike] | None = None,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def filled_similarity(
    classifier: AnyClassifier,
    image: ImageSource,
    *,
    boxes: Sequence[Box],
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
def filled_distance(
    classifier: AnyClassifier,
    image: ImageSource,
    distance: Distance,
    *,
    boxes: Sequence[Box],
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult: ...
