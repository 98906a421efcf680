"""Judge heatmaps made anywhere, for any classifier, by any metric.

Each call asks one question of one image; what judges many images at once gives the engine
many flows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxplain.core.data import Box, Case, make_rng
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.engine.run import Job, collect_values
from onnxplain.image import MAX_PIXELS
from onnxplain.metrics.base import Metric, MetricResult
from onnxplain.metrics.heatmaps.chance import random_heatmap
from onnxplain.registry import DEFAULT_FILL, to_fill
from onnxplain.runtime.callable import convert_to_array, from_callable
from onnxplain.subjects import ImageSource, name_image, read_subject
from onnxplain.targets import choose_targets, parse_targets

T = TypeVar("T")
AnyClassifier: TypeAlias = Classifier | Callable[[Any], Any]

log = logging.getLogger(__name__)


def judge(
    metric: Metric,
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike | None,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box] = (),
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Judge one heatmap of one image by any metric.

    Parameters
    ----------
    metric : Metric
        A metric with its parameters, as ``Deletion(step=500)``.
    classifier : Classifier or callable
        From `onnxplain.load` or `onnxplain.from_callable`; or a function of any framework
        that takes images (N, rows, columns, 3), float32 RGB in [0, 1], of the size of
        `image`, and returns probabilities (N, K).
    image : ndarray or path
        (rows, columns, 3), uint8 or float in [0, 1]; it is brought to the classifier's size
        as `onnxplain.explain` does it.
    heatmap : (H, W) array, or Explanation
        At the classifier's size; larger means more evidence for the target. None for the
        metrics of fills, which do not look at it.
    target : int or str, optional
        Index or name of the class that the heatmap explains; the predicted one if not given.
    boxes : sequence of Box
        Where the object is, in pixels of `image`, for metrics that ask.
    fill : Fill or str, optional
        What stands in for removed pixels where the metric has no fill of its own; that of
        its paper if not given, else the dataset mean.
    seed : int
        Decides random ties and fills that draw.

    Returns
    -------
    score : Score
        In the metric's unit; the curve and other facts are in its details.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used.
    OnnxplainError
        If the image cannot be read or the classifier cannot be run.

    Examples
    --------
    >>> from onnxplain.metrics import Deletion
    >>> def redness(images):
    ...     red = images[..., 0].mean(axis=(1, 2))
    ...     return np.stack([red, 1 - red], axis=1)
    >>> photo = np.zeros((8, 8, 3), np.uint8)
    >>> photo[:, :4, 0] = 255
    >>> red = photo[..., 0]
    >>> good = judge(Deletion(step=16), redness, photo, red, target=0, fill="black")
    >>> bad = judge(Deletion(step=16), redness, photo, 255 - red, target=0, fill="black")
    >>> good.value, bad.value
    (0.125, 0.375)
    """
    _check_metric(metric)
    known, case, _ = ask(classifier, image, target, boxes)
    given: ArrayLike = [] if heatmap is None else getattr(heatmap, "heatmap", heatmap)
    flow = metric.flow(case, np.asarray(given), make_rng(seed, case.name, metric.name))
    (score,) = collect_values(
        known, [Job((case,), (flow,), fill_of(fill or metric.usual_fill), seed)]
    )
    return score


def random_baseline(
    metric: Metric,
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    n_maps: int = 10,
    boxes: Sequence[Box] = (),
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """What a metric gives for heatmaps of independent uniform noise: their mean score.

    Its details hold the score of each of the `n_maps` maps and their standard deviation. The
    other parameters are those of `judge`.
    """
    _check_metric(metric)
    if n_maps < 1:
        raise ValueError(f"n_maps must be >= 1, got {n_maps}")
    known, case, _ = ask(classifier, image, target, boxes)
    jobs = []
    for i in range(n_maps):
        rng = make_rng(seed, case.name, metric.name, f"random-{i}")
        flow = metric.flow(case, random_heatmap(case.size, rng), rng)
        jobs.append(Job((case,), (flow,), fill_of(fill or metric.usual_fill), seed))
    values = [score.value for score in collect_values(known, jobs)]
    details = {"values": values, "deviation": float(np.std(values))}
    return MetricResult(float(np.mean(values)), details)


def _check_metric(metric: object) -> None:
    if isinstance(metric, type) or not hasattr(metric, "flow"):
        made_by = f"{metric.__name__}()" if isinstance(metric, type) else "Deletion()"
        raise TypeError(f"a metric is a value, as {made_by}, got {metric!r}")


class Asked(NamedTuple):
    """A question to a classifier, and what it makes of the image itself."""

    classifier: Classifier
    case: Case
    probabilities: NDArray[np.float64]  # (K,)


def ask(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    boxes: Sequence[Box] = (),
    *,
    position: int = 0,
) -> Asked:
    """Make a function a classifier, bring the image to its size and choose the target.

    What is drawn for an array depends on its `position` among others, as in `explain_many`.
    """
    if odd := [box for box in boxes if not isinstance(box, Box)]:
        raise TypeError(f"a box is an onnxplain.Box(top, left, bottom, right), got {odd[0]!r}")
    known = _known(classifier, image) if callable(classifier) else classifier
    subject = read_subject(known, name_image(image, position), max_pixels=MAX_PIXELS)
    chosen = choose_targets(parse_targets(target, known.class_names), subject.probabilities)
    if len(chosen) != 1:
        raise ValueError(f"the question is about one class, got target={target!r}")
    inside = tuple(subject.frame.box(box) for box in boxes)
    n_classes = len(known.class_names)
    case = replace(subject.case(chosen[0]), boxes=inside, n_classes=n_classes)
    return Asked(known, case, subject.probabilities)


def fill_of(fill: Fill | str | None) -> Fill:
    """A fill, by name if it is one; the default if it is None."""
    return to_fill(DEFAULT_FILL if fill is None else fill)


def _known(function: Callable[[Any], Any], image: ImageSource) -> Classifier:
    """A function of images of the size of the given one, as a classifier."""
    if not isinstance(image, np.ndarray) or image.ndim != 3:
        raise TypeError(
            "a function as the classifier takes images of one size: give the image as an array "
            "(rows, columns, 3), or make a classifier with onnxplain.from_callable"
        )
    rows, columns, _ = image.shape
    answer = convert_to_array(function(np.zeros((1, rows, columns, 3), np.float32)))
    # The comparison is False for NaN too.
    if answer.ndim != 2 or not (answer.min() >= 0 and answer.max() <= 1):
        raise ValueError(
            f"the classifier must return probabilities (N, K) in [0, 1], got shape {answer.shape}"
            " or values outside; give logits through onnxplain.from_callable(outputs='logits')"
        )
    return from_callable(function, size=(rows, columns), n_classes=answer.shape[1])
