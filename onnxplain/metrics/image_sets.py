"""Metrics of a set of images.

Offered as `onnxplain.metrics.label_bias` and `filled_frechet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike

from onnxplain.core.data import Box, Image, Images
from onnxplain.core.flow import Method, start_flow
from onnxplain.core.protocols import Fill
from onnxplain.engine.run import Job, collect_values
from onnxplain.engine.settle import settle_method
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.fills.filling import fill_object
from onnxplain.metrics.fills.frechet import FrechetDistance
from onnxplain.metrics.judging import AnyClassifier, choose_fill, prepare_case
from onnxplain.metrics.stability.label_bias import LabelBias, record_labels
from onnxplain.registry import choose_method_and_fill
from onnxplain.subjects import ImageSource

_HELD_IMAGES = 16  # images held in memory at a time; of the others only features are kept


def label_bias(
    classifier: AnyClassifier,
    images: Iterable[ImageSource],
    method: Method | str,
    *,
    fill: Fill | str | None = None,
    top: int = LabelBias.top,
    seed: int = 0,
) -> MetricResult:
    """Return the share of a method's samples that fall into the few most common classes.

    Parameters
    ----------
    classifier, seed
        As in `judge`.
    images : iterable of ndarray or path
        The images whose samples are pooled.
    method : Method or str
        Explains the predicted class of each image.
    fill : Fill or str, optional
        As in `sweep`.
    top : int
        Number of the most common classes that are counted.
    """
    labels = []
    choice = choose_method_and_fill(method, fill)
    for position, image in enumerate(images):
        prepared = prepare_case(classifier, image, position=position)
        settled, gradients = settle_method(choice.method, prepared.classifier)
        flow = record_labels(start_flow(settled, prepared.case, seed))
        job = Job((prepared.case,), (flow,), choice.fill, seed)
        ((_, image_labels),) = collect_values(prepared.classifier, [job], gradients=gradients)
        labels.append(image_labels)
    return LabelBias(top=top).judge(np.concatenate(labels) if labels else [])


def filled_frechet(
    classifier: AnyClassifier,
    images: Iterable[ImageSource],
    features: Callable[[Images], ArrayLike],
    *,
    boxes: Iterable[Sequence[Box]],
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Return the Fréchet distance between images and the same images without their objects.

    Lower is better. It judges a set of images, because a single one has no distribution.

    Parameters
    ----------
    classifier, fill, seed
        As in `judge`.
    images : iterable of ndarray or path
        Two or more images that the classifier sees at one size.
    features : callable
        From `onnxplain.load_features`, preferably of another classifier than the one explained;
        or any function of images (N, H, W, 3) in [0, 1] that returns their features (N, D).
    boxes : iterable of sequence of Box
        The boxes of each image, in its pixels.

    Raises
    ------
    ValueError
        If there are fewer than two images, or not as many groups of boxes as images.

    See Also
    --------
    onnxplain.metrics.FrechetDistance : the metric, with its references.
    """
    metric = FrechetDistance()
    before, after = [], []
    pairs = enumerate(zip(images, boxes, strict=True))
    while group := list(islice(pairs, _HELD_IMAGES)):
        prepared = [
            prepare_case(classifier, image, None, image_boxes, position=position)
            for position, (image, image_boxes) in group
        ]
        cases = [item.case for item in prepared]
        if len(sizes := {case.image.shape for case in cases}) > 1:
            raise ValueError(f"the images of a set must have one size, got {sorted(sizes)}")
        jobs = [
            Job((case,), (fill_object(case, None, metric.name),), choose_fill(fill), seed)
            for case in cases
        ]
        filled: list[Image] = collect_values(prepared[0].classifier, jobs)
        before.append(np.asarray(features(np.stack([case.image for case in cases]))))
        after.append(np.asarray(features(np.stack(filled))))
    if not before:
        raise ValueError("the Fréchet distance is taken over two images or more, got none")
    return metric.judge(np.concatenate(before), np.concatenate(after))
