"""The metrics of fills as plain functions: what they leave of an object, and what they add.

Offered as `onnxplain.metrics.fill_score` and so on. `onnxplain.metrics.judge` tells the
arguments that they share; boxes are where the object is, in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike

from onnxplain.core.data import Box, Image, Images
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.engine.run import Job, collect_values
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.fills.filling import (
    Distance,
    FilledDistance,
    FilledSimilarity,
    FrechetDistance,
    StillRecognised,
    fill_object,
    make_recogniser,
)
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.fills.perturbed import OffObjectChange
from onnxplain.metrics.judging import AnyClassifier, choose_fill, judge, prepare_case
from onnxplain.subjects import ImageSource

_AT_ONCE = 16  # images that are held at a time; of the others only the features


def fill_score(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Score of the target when the whole image is removed; lower is more neutral.

    See Also
    --------
    onnxplain.metrics.FillScore : what else it tells, and where the metric comes from.
    """
    return judge(FillScore(), classifier, image, None, target, fill=fill, seed=seed)


def off_object_change(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    patch: int = OffObjectChange.patch,
    stride: int = OffObjectChange.stride,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Mean change of the score while a patch lies outside the object; lower is better.

    See Also
    --------
    onnxplain.metrics.OffObjectChange : the parameters, and where the metric comes from.
    """
    metric = OffObjectChange(patch=patch, stride=stride)
    return judge(metric, classifier, image, None, target, boxes=boxes, fill=fill, seed=seed)


def still_recognised(
    classifier: AnyClassifier,
    image: ImageSource,
    target: int | str | None = None,
    *,
    boxes: Sequence[Box],
    by: Classifier | Callable[[Images], ArrayLike] | None = None,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Whether an image is still known when the object is removed; lower is better.

    It is asked of `by`, another classifier of the same classes, or a function of images that
    returns their probabilities; of the classifier itself if it is not given.

    See Also
    --------
    onnxplain.metrics.StillRecognised : what it tells, and where the metric comes from.
    """
    metric = StillRecognised(recognise=by if by is None or callable(by) else make_recogniser(by))
    return judge(metric, classifier, image, None, target, boxes=boxes, fill=fill, seed=seed)


def filled_similarity(
    classifier: AnyClassifier,
    image: ImageSource,
    *,
    boxes: Sequence[Box],
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """MS-SSIM of the image and the one whose object is removed; lower is more removed.

    See Also
    --------
    onnxplain.metrics.FilledSimilarity : where the metric comes from.
    """
    return judge(FilledSimilarity(), classifier, image, None, boxes=boxes, fill=fill, seed=seed)


def filled_distance(
    classifier: AnyClassifier,
    image: ImageSource,
    distance: Distance,
    *,
    boxes: Sequence[Box],
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """A distance of the image and the one whose object is removed; higher is more removed.

    `distance` is what `onnxplain.load_distance` gives, or any function of two arrays
    (N, H, W, 3) in [0, 1] that returns (N,) distances.

    See Also
    --------
    onnxplain.metrics.FilledDistance : where the metric comes from.
    """
    metric = FilledDistance(distance)
    return judge(metric, classifier, image, None, boxes=boxes, fill=fill, seed=seed)


def filled_frechet(
    classifier: AnyClassifier,
    images: Iterable[ImageSource],
    features: Callable[[Images], ArrayLike],
    *,
    boxes: Iterable[Sequence[Box]],
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Fréchet distance between images and those whose objects are removed; lower is better.

    It judges a set of images, as one has no distribution. `features` is what
    `onnxplain.load_features` gives, of the classifier explained or better another, or any
    function of images (N, H, W, 3) in [0, 1] that returns their features (N, D).

    Raises
    ------
    ValueError
        If there are fewer than two images, or not one group of boxes for each.

    See Also
    --------
    onnxplain.metrics.FrechetDistance : what it tells, and where the metric comes from.
    """
    metric = FrechetDistance()
    before, after = [], []
    pairs = enumerate(zip(images, boxes, strict=True))
    while some := list(islice(pairs, _AT_ONCE)):
        asked = [
            prepare_case(classifier, image, None, where, position=place)
            for place, (image, where) in some
        ]
        photos = [one.case.image for one in asked]
        if len(sizes := {photo.shape for photo in photos}) > 1:
            raise ValueError(f"the images of a set have one size, got {sorted(sizes)}")
        jobs = [
            Job((one.case,), (fill_object(one.case, None, metric.name),), choose_fill(fill), seed)
            for one in asked
        ]
        removed: list[Image] = collect_values(asked[0].classifier, jobs)
        before.append(np.asarray(features(np.stack(photos))))
        after.append(np.asarray(features(np.stack(removed))))
    if not before:
        raise ValueError("the Fréchet distance is taken over two images or more, got none")
    return metric.judge(np.concatenate(before), np.concatenate(after))
