"""The metrics of heatmaps as plain functions on arrays and any classifier.

Offered as `onnxplain.metrics.deletion` and so on. `onnxplain.metrics.judge` tells the
arguments that they share; the metric's own are those of its class.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from onnxplain.core.data import Box
from onnxplain.core.protocols import Fill
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.heatmaps.boxes import Around
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion, Ties
from onnxplain.metrics.heatmaps.localisation import LocalisationError, Truth
from onnxplain.metrics.heatmaps.pointing import PointingGame
from onnxplain.metrics.heatmaps.regions import ABPC, LeRF, MoRF
from onnxplain.metrics.heatmaps.saliency import SaliencyMetric
from onnxplain.metrics.judging import AnyClassifier, judge
from onnxplain.subjects import ImageSource


def deletion(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    step: int | None = Deletion.step,
    ties: Ties = Deletion.ties,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Area under the score while the most salient pixels are removed; lower is better.

    See Also
    --------
    onnxplain.metrics.Deletion : the parameters, and where the metric comes from.
    """
    metric = Deletion(step=step, ties=ties)
    return judge(metric, classifier, image, heatmap, target, fill=fill, seed=seed)


def insertion(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    step: int | None = Insertion.step,
    ties: Ties = Insertion.ties,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Area under the score while the most salient pixels are brought back; higher is better.

    Without `fill` the curve starts from a blurred copy of the image, `onnxplain.FoldedBlur`.

    See Also
    --------
    onnxplain.metrics.Insertion : the parameters, and where the metric comes from.
    """
    metric = Insertion(step=step, ties=ties)
    return judge(metric, classifier, image, heatmap, target, fill=fill, seed=seed)


def saliency_metric(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    alpha: float = SaliencyMetric.alpha,
    around: Around = SaliencyMetric.around,
    smallest_area: float = SaliencyMetric.smallest_area,
    grid: bool = SaliencyMetric.grid,
) -> MetricResult:
    """How small a crop the classifier is sure of; lower is better.

    See Also
    --------
    onnxplain.metrics.SaliencyMetric : the parameters, and where the metric comes from.
    """
    metric = SaliencyMetric(alpha=alpha, around=around, smallest_area=smallest_area, grid=grid)
    return judge(metric, classifier, image, heatmap, target)


def morf(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    patch: int = MoRF.patch,
    steps: int = MoRF.steps,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Mean drop of the score while the most relevant regions go first; higher is better.

    Without `fill` they become uniform noise.

    See Also
    --------
    onnxplain.metrics.MoRF : the parameters, and where the metric comes from.
    """
    metric = MoRF(patch=patch, steps=steps)
    return judge(metric, classifier, image, heatmap, target, fill=fill, seed=seed)


def lerf(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    patch: int = LeRF.patch,
    steps: int = LeRF.steps,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Mean drop of the score while the least relevant regions go first; lower is better.

    Without `fill` they become uniform noise.

    See Also
    --------
    onnxplain.metrics.LeRF : the parameters, and where the metric comes from.
    """
    metric = LeRF(patch=patch, steps=steps)
    return judge(metric, classifier, image, heatmap, target, fill=fill, seed=seed)


def abpc(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    patch: int = ABPC.patch,
    steps: int = ABPC.steps,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Area between the curves of `morf` and `lerf`; higher is better.

    See Also
    --------
    onnxplain.metrics.ABPC : the parameters, and where the metric comes from.
    """
    metric = ABPC(patch=patch, steps=steps)
    return judge(metric, classifier, image, heatmap, target, fill=fill, seed=seed)


def localisation_error(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    alpha: float = LocalisationError.alpha,
    truth: Truth = LocalisationError.truth,
    around: Around = LocalisationError.around,
    overlap: float = LocalisationError.overlap,
) -> MetricResult:
    """Whether the box around what a heatmap marks misses the object; lower is better.

    See Also
    --------
    onnxplain.metrics.LocalisationError : the parameters, and where the metric comes from.
    """
    metric = LocalisationError(alpha=alpha, truth=truth, around=around, overlap=overlap)
    return judge(metric, classifier, image, heatmap, target, boxes=boxes)


def pointing_game(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    tolerance: float = PointingGame.tolerance,
) -> MetricResult:
    """Whether a heatmap's maximum lies on the object; higher is better.

    See Also
    --------
    onnxplain.metrics.PointingGame : the parameters, and where the metric comes from.
    """
    metric = PointingGame(tolerance=tolerance)
    return judge(metric, classifier, image, heatmap, target, boxes=boxes)
