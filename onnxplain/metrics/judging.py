"""Judge heatmaps of any origin, for any classifier, by any metric.

Each call judges one image; a study runs many images in one engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxplain.core.data import Box, Case, make_rng
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.engine.run import Job, collect_values
from onnxplain.image import MAX_PIXELS, Frame
from onnxplain.metrics.base import Metric, MetricResult, fit_heatmap
from onnxplain.metrics.heatmaps.chance import draw_random_heatmap
from onnxplain.metrics.naming import to_metric
from onnxplain.registry import DEFAULT_FILL, to_fill
from onnxplain.runtime.network import convert_to_array
from onnxplain.runtime.plain_function import check_function, from_callable
from onnxplain.subjects import ImageSource, name_image, read_subject
from onnxplain.targets import choose_targets, parse_targets

AnyClassifier: TypeAlias = Classifier | Callable[[Any], Any]


def judge(
    metric: Metric | str,
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
    metric : Metric or str
        A metric with its parameters, such as ``Deletion(step=500)``, or its name in `METRICS`
        with parameters, such as ``"deletion:step=500"``; the parameter ``fill=blur`` gives the
        metric a fill of its own, and ``model=NAME`` gives ``still-recognised`` its classifier
        and ``filled-distance`` its distance.
    classifier : Classifier or callable
        From `onnxplain.load`, `from_torch`, `from_keras` or `from_callable`; or a function
        that takes images (N, rows, columns, 3), float32 RGB in [0, 1], of the size of
        `image`, and returns probabilities (N, K).
    image : path, bytes, ndarray or Pillow image
        As for `onnxplain.explain`, and brought to the classifier's size as there.
    heatmap : (H, W) array, or Explanation
        At the classifier's size, or at the size of `image`: then it is cropped and resized as
        `image` is (if both sizes are equal, it is at the classifier's). Arrays (1, H, W) and
        tensors of PyTorch are taken as well. An Explanation is of the part of the photo that
        the classifier sees. Larger means more evidence for the target. None for the metrics of
        fills, which do not look at it.
    target : int or str, optional
        Index or name of the class that the heatmap explains. If not given, that of an
        Explanation, and the predicted class for other heatmaps.
    boxes : sequence of Box
        Where the object is, in pixels of `image`, for metrics that look at boxes.
    fill : Fill or str, optional
        What stands in for removed pixels if the metric has no fill of its own. If not given,
        the fill of the metric's paper, or the dataset mean if the paper names none.
    seed : int
        Seed of random ties and random fills.

    Returns
    -------
    score : MetricResult
        In the metric's unit; the curve and other facts are in its details.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used.
    OnnxplainError
        If the image cannot be read or the classifier cannot be run.

    Examples
    --------
    >>> def redness(images):
    ...     red = images[..., 0].mean(axis=(1, 2))
    ...     return np.stack([red, 1 - red], axis=1)
    >>> photo = np.zeros((8, 8, 3), np.uint8)
    >>> photo[:, :4, 0] = 255
    >>> red = photo[..., 0]
    >>> good = judge("deletion:step=16", redness, photo, red, target=0, fill="black")
    >>> bad = judge("deletion:step=16", redness, photo, 255 - red, target=0, fill="black")
    >>> good.value, bad.value
    (0.125, 0.375)
    """
    if target is None:
        target = getattr(heatmap, "target", None)  # of an Explanation
    prepared = prepare_case(classifier, image, target, boxes)
    case = prepared.case
    metric = to_metric(metric, _list_names(prepared.classifier))
    fitted: ArrayLike = [] if heatmap is None else prepared.fit_heatmap(heatmap)
    flow = metric.flow(case, np.asarray(fitted), make_rng(seed, case.name, metric.name))
    job = Job((case,), (flow,), choose_fill(fill or metric.usual_fill), seed)
    (score,) = collect_values(prepared.classifier, [job])
    return score


def random_baseline(
    metric: Metric | str,
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    n_maps: int = 10,
    boxes: Sequence[Box] = (),
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Return the mean score of random heatmaps of independent uniform values.

    Parameters
    ----------
    metric, classifier, image, target, boxes, fill, seed
        As in `judge`.
    n_maps : int
        Number of heatmaps that are drawn and judged.

    Returns
    -------
    score : MetricResult
        Its details hold the value of each map and their standard deviation.
    """
    metric = to_metric(metric)
    if n_maps < 1:
        raise ValueError(f"n_maps must be >= 1, got {n_maps}")
    prepared = prepare_case(classifier, image, target, boxes)
    case = prepared.case
    jobs = []
    for i in range(n_maps):
        rng = make_rng(seed, case.name, metric.name, f"random-{i}")
        flow = metric.flow(case, draw_random_heatmap(case.size, rng), rng)
        jobs.append(Job((case,), (flow,), choose_fill(fill or metric.usual_fill), seed))
    values = [score.value for score in collect_values(prepared.classifier, jobs)]
    details = {"values": values, "deviation": float(np.std(values))}
    return MetricResult(float(np.mean(values)), details)


class PreparedCase(NamedTuple):
    """An image and a target, ready for a classifier, with the probabilities of its classes."""

    classifier: Classifier
    case: Case
    probabilities: NDArray[np.float64]  # (K,)
    frame: Frame  # which part of the photo the classifier sees

    def fit_heatmap(self, heatmap: Any) -> NDArray[np.float64]:
        """Return a heatmap of the photo, or of what the classifier sees, at the latter's size."""
        return fit_heatmap(heatmap, self.frame)


def prepare_case(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    boxes: Sequence[Box] = (),
    *,
    position: int = 0,
) -> PreparedCase:
    """Make a classifier of a function, fit the image to it and choose the target.

    An image given as an array is named by its `position` among several, as in
    `onnxplain.explain_many`; its random draws depend on that name.
    """
    if others := [box for box in boxes if not isinstance(box, Box)]:
        raise TypeError(f"a box is an onnxplain.Box(top, left, bottom, right), got {others[0]!r}")
    if callable(classifier):
        classifier = _make_classifier(classifier, image)
    subject = read_subject(classifier, name_image(image, position), max_pixels=MAX_PIXELS)
    targets = choose_targets(parse_targets(target, classifier.class_names), subject.probabilities)
    if len(targets) != 1:
        raise ValueError(f"a metric judges the map of one class, got target={target!r}")
    boxes_seen = tuple(subject.frame.box(box) for box in boxes)
    case = replace(subject.case(targets[0]), boxes=boxes_seen)
    return PreparedCase(classifier, case, subject.probabilities, subject.frame)


def choose_fill(fill: Fill | str | None) -> Fill:
    """Return the fill itself, the fill of a name, or the default fill for None."""
    return to_fill(DEFAULT_FILL if fill is None else fill)


def _list_names(classifier: Classifier) -> tuple[str, ...]:
    """List the names of a classifier's classes; empty if they have only numbers."""
    names = tuple(classifier.class_names)
    return () if names == tuple(str(number) for number in range(len(names))) else names


def _make_classifier(function: Callable[[Any], Any], image: ImageSource) -> Classifier:
    """Make a classifier from a function that takes images of the size of this image."""
    check_function("the classifier", function)
    if not isinstance(image, np.ndarray) or image.ndim != 3:
        raise TypeError(
            "a classifier given as a function takes images of one size: give the image as an array "
            "(rows, columns, 3), or make the classifier with onnxplain.from_callable"
        )
    rows, columns, _ = image.shape
    scores = convert_to_array(function(np.zeros((1, rows, columns, 3), np.float32)))
    # The comparison is False for NaN too.
    if scores.ndim != 2 or not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(
            f"the classifier must return probabilities (N, K) in [0, 1], got shape {scores.shape}"
            " or values outside; give logits through onnxplain.from_callable(outputs='logits'), "
            "and independent labels through outputs='multilabel-probabilities'"
        )
    return from_callable(function, size=(rows, columns), n_classes=scores.shape[1])
