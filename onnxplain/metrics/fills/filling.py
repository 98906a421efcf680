"""How well a fill removes an object: what is left to recognise, and how the image differs.

The object is removed and filled. A classifier, preferably not the one explained, should
no longer recognise it, and the filled image should differ from the photo (MS-SSIM, or any
distance of two images).

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.2 and table 1, :arXiv:`1910.04256`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxplain.core.data import Case, Heatmap, Image, Images, Size
from onnxplain.core.flow import FillQuery, Flow, MaskQuery
from onnxplain.core.params import Parametrised
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.core.scores import (
    are_probabilities,
    is_multilabel,
    is_predicted,
    to_probabilities,
)
from onnxplain.image import resize
from onnxplain.masks.families import ArrayMasks
from onnxplain.metrics.base import Direction, MetricResult
from onnxplain.metrics.fills.multiscale import ms_ssim
from onnxplain.metrics.heatmaps.boxes import clip_object_boxes, make_box_mask

# Distance of each pair of images (N, H, W, 3) in [0, 1], shape (N,); for example ST-LPIPS.
Distance: TypeAlias = Callable[[Images, Images], ArrayLike]
# Probabilities (N, K) of images (N, H, W, 3) in [0, 1].
Recogniser: TypeAlias = Callable[[Images], ArrayLike]


@dataclass(frozen=True)
class StillRecognised(Parametrised):
    """Whether a classifier's top class is still the target when the object is removed.

    For a classifier of independent labels: whether it still finds the target more likely than
    not.

    The mean over images is the accuracy row of table 1 of [1]_, where Inception-v3 recognises
    and another classifier is explained. The case's boxes are removed.

    Parameters
    ----------
    fill : Fill, optional
        What stands in for the object; the job's fill if not given.
    recognise : callable, optional
        Another classifier, from `make_recogniser`, or any function that takes images
        (N, H, W, 3) of the case's size and returns probabilities (N, K) of the same classes.
        Without it, the classifier explained is used.
    """

    name: ClassVar[str] = "still-recognised"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of images"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    fill: Fill | None = None
    recognise: Recogniser | None = None

    def evaluations(self, size: Size) -> int:
        """Return 2: the photo and the filled image, by either classifier."""
        return 2

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill and ignore the heatmap."""
        if self.recognise is None:
            mask = make_object_mask(case, self.name)
            both = ArrayMasks(np.stack([np.zeros_like(mask), mask]))
            reply = yield MaskQuery(both, fill=self.fill, classes=True)
            classes: NDArray[Any] | None = reply.classes
            assert classes is not None
        else:
            filled = yield from fill_object(case, self.fill, self.name)
            classes = _recognise(self.recognise, np.stack([case.image, filled]), case)
        top_before, top_after = (int(top) for top in classes.argmax(axis=1))
        by = self.recognise
        multilabel = by.multilabel if isinstance(by, ClassifierRecogniser) else case.multilabel
        before, after = (is_predicted(row, case.target, multilabel=multilabel) for row in classes)
        details = {
            "top_before": top_before,
            "top_after": top_after,
            "recognised_before": before,
            "score_before": float(classes[0, case.target]),
            "score_after": float(classes[1, case.target]),
        }
        return MetricResult(float(after), details)


@dataclass(frozen=True)
class FilledSimilarity(Parametrised):
    """MS-SSIM of the photo and the image whose object is removed.

    It is 1 if nothing changed.

    Parameters
    ----------
    fill : Fill, optional
        What stands in for the object, which the case's boxes mark; the job's fill if not given.
    """

    name: ClassVar[str] = "ms-ssim"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "index, at most 1"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """Return 0: the classifier is not asked."""
        return 0

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill and ignore the heatmap."""
        after = yield from fill_object(case, self.fill, self.name)
        return MetricResult(ms_ssim(case.image, after))


@dataclass(frozen=True)
class FilledDistance(Parametrised):
    """Distance between the photo and the image whose object is removed.

    Parameters
    ----------
    distance : callable
        From `onnxplain.load_distance`, or any function of two arrays (N, H, W, 3) in [0, 1]
        that returns (N,) distances.
    fill : Fill, optional
        What stands in for the object, which the case's boxes mark; the job's fill if not given.
    """

    name: ClassVar[str] = "filled-distance"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "units of the distance"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    distance: Distance
    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """Return 0: the classifier is not asked."""
        return 0

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill and ignore the heatmap."""
        after = yield from fill_object(case, self.fill, self.name)
        distances = np.asarray(self.distance(case.image[None], after[None]), np.float64)
        if distances.size != 1 or not np.isfinite(distances).all():
            raise ValueError(
                f"the distance of two images must be one finite number, got {distances}"
            )
        return MetricResult(distances.item())


def make_still_recognised(
    by: Classifier | Callable[[Images], ArrayLike] | None = None,
) -> StillRecognised:
    """Make the metric that uses another classifier than the one explained.

    Parameters
    ----------
    by : Classifier or callable, optional
        Another classifier of the same classes, or a function of images that returns their
        probabilities; the classifier explained if not given.
    """
    return StillRecognised(recognise=by if by is None or callable(by) else make_recogniser(by))


@dataclass(frozen=True, eq=False)
class ClassifierRecogniser:
    """A function that gives a classifier's probabilities for images of any size."""

    classifier: Classifier

    @property
    def multilabel(self) -> bool:
        """Whether its classes are independent labels."""
        return is_multilabel(self.classifier.outputs)

    def __call__(self, images: Images) -> NDArray[np.float64]:
        """Return the probabilities (N, K) of images (N, H, W, 3)."""
        size = self.classifier.size
        if images.shape[1:3] != size:
            images = np.stack([resize(image, size, antialias=True) for image in images])
        return to_probabilities(self.classifier.scores(images), self.classifier.outputs)


def make_recogniser(classifier: Classifier) -> Recogniser:
    """Make a function that gives a classifier's probabilities for images of any size."""
    return ClassifierRecogniser(classifier)


def _recognise(recognise: Recogniser, images: Images, case: Case) -> NDArray[Any]:
    """Return the probabilities that a recogniser gives, after checking them."""
    classes = np.asarray(recognise(images))
    expected = len(images), case.n_classes or classes.shape[-1]
    if classes.shape != expected:
        raise ValueError(
            f"the classifier that recognises filled images must know the classes of the one "
            f"explained, and give scores of shape {expected}, got {classes.shape}"
        )
    if not are_probabilities(classes):
        raise ValueError(
            f"the classifier that recognises filled images must give probabilities in [0, 1], "
            f"got values from {classes.min():g} to {classes.max():g}"
        )
    return classes


def make_object_mask(case: Case, metric: str) -> NDArray[np.float32]:
    """Return the pixels (H, W) of a case's boxes as a mask; 1 removes."""
    boxes = clip_object_boxes(case.boxes, case.size, metric)
    return make_box_mask(boxes, case.size).astype(np.float32)


def fill_object(case: Case, fill: Fill | None, metric: str) -> Flow[Image]:
    """Return the image with its object removed and filled (eq. 1 of [1]_)."""
    mask = make_object_mask(case, metric)
    reply = yield FillQuery(ArrayMasks(mask[None]), fill=fill)
    assert reply.images is not None
    removed = mask[..., None]
    composed: Image = case.image * (1 - removed) + reply.images[0] * removed
    return composed
