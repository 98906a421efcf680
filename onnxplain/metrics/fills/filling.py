"""How well a fill removes an object: what is left to see, and how unlike the photo it is.

The object is removed and filled. A classifier, best another than the one explained, should
no longer know it; the filled image should differ from the photo (MS-SSIM, or any distance
of two images); and filled images should look like photos (Fréchet distance of features).

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
from onnxplain.core.scores import are_probabilities, to_probabilities
from onnxplain.image import resize
from onnxplain.masks.families import ArrayMasks
from onnxplain.metrics.base import Direction, MetricResult
from onnxplain.metrics.fills.multiscale import ms_ssim
from onnxplain.metrics.heatmaps.boxes import clip_object_boxes, make_box_mask

# Distance of each pair of images (N, H, W, 3) in [0, 1], shape (N,): ST-LPIPS, for one.
Distance: TypeAlias = Callable[[Images, Images], ArrayLike]
# Probabilities (N, K) of images (N, H, W, 3) in [0, 1].
Recogniser: TypeAlias = Callable[[Images], ArrayLike]


@dataclass(frozen=True)
class StillRecognised(Parametrised):
    """Whether a classifier's top class is still the target when the object is removed.

    The mean over images is the accuracy row of table 1 of [1]_, there of Inception-v3, which
    is not the classifier explained. What is removed are the case's boxes.

    Parameters
    ----------
    fill : Fill, optional
        What stands in for the object; the job's fill if not given.
    recognise : callable, optional
        Another classifier, from `make_recogniser` or any function that takes images
        (N, H, W, 3) of the case's size and gives probabilities (N, K) of the same classes.
        Without it the classifier explained is asked.
    """

    name: ClassVar[str] = "still-recognised"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of images"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    fill: Fill | None = None
    recognise: Recogniser | None = None

    def evaluations(self, size: Size) -> int:
        """One for the photo and one for the filled image, by one classifier or the other."""
        return 2

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill; does not look at the heatmap."""
        if self.recognise is None:
            mask = make_object_mask(case, self.name)
            both = ArrayMasks(np.stack([np.zeros_like(mask), mask]))
            reply = yield MaskQuery(both, fill=self.fill, classes=True)
            classes: NDArray[Any] | None = reply.classes
            assert classes is not None
        else:
            after = yield from fill_object(case, self.fill, self.name)
            classes = _recognised(self.recognise, np.stack([case.image, after]), case)
        top_before, top_after = (int(top) for top in classes.argmax(axis=1))
        details = {
            "top_before": top_before,
            "top_after": top_after,
            "recognised_before": top_before == case.target,
            "score_before": float(classes[0, case.target]),
            "score_after": float(classes[1, case.target]),
        }
        return MetricResult(float(top_after == case.target), details)


@dataclass(frozen=True)
class FilledSimilarity(Parametrised):
    """MS-SSIM of the photo and the image whose object is removed; 1 where nothing changed.

    Parameters
    ----------
    fill : Fill, optional
        What stands in for the object, which are the case's boxes; the job's if not given.
    """

    name: ClassVar[str] = "ms-ssim"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "index, at most 1"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """None: the classifier is not asked."""
        return 0

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill; does not look at the heatmap."""
        after = yield from fill_object(case, self.fill, self.name)
        return MetricResult(ms_ssim(case.image, after))


@dataclass(frozen=True)
class FilledDistance(Parametrised):
    """A distance of the photo and the image whose object is removed.

    Parameters
    ----------
    distance : callable
        Takes two (N, H, W, 3) arrays in [0, 1] and returns (N,) distances.
    fill : Fill, optional
        What stands in for the object, which are the case's boxes; the job's if not given.
    """

    name: ClassVar[str] = "filled-distance"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "of the distance"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    distance: Distance
    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """None: the classifier is not asked."""
        return 0

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill; does not look at the heatmap."""
        after = yield from fill_object(case, self.fill, self.name)
        found = np.asarray(self.distance(case.image[None], after[None]), np.float64)
        if found.size != 1 or not np.isfinite(found).all():
            raise ValueError(f"the distance of two images must be one finite number, got {found}")
        return MetricResult(found.item())


@dataclass(frozen=True)
class FrechetDistance(Parametrised):
    """Fréchet distance between photos and the images whose objects are removed.

    It judges sets of images by their features, and tells how much filled images look like
    photos: FID where the features are those of Inception-v3.
    """

    name: ClassVar[str] = "frechet"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "of the features, squared"

    def judge(self, first: ArrayLike, second: ArrayLike) -> MetricResult:
        """Judge features (N, D) and (M, D); see `frechet_distance`."""
        value = frechet_distance(first, second)
        return MetricResult(value, {"images": [len(np.asarray(first)), len(np.asarray(second))]})


def make_recogniser(classifier: Classifier) -> Recogniser:
    """A classifier as what recognises images, which are resized to its size."""
    size, outputs = classifier.size, classifier.outputs

    def recognise(images: Images) -> NDArray[np.float64]:
        if images.shape[1:3] != size:
            images = np.stack([resize(image, size, antialias=True) for image in images])
        return to_probabilities(classifier.scores(images), outputs)

    return recognise


def _recognised(recognise: Recogniser, images: Images, case: Case) -> NDArray[Any]:
    classes = np.asarray(recognise(images))
    expected = len(images), case.n_classes or classes.shape[-1]
    if classes.shape != expected:
        raise ValueError(
            f"what recognises filled images must know the classes of the classifier explained, "
            f"and give scores of shape {expected}, got {classes.shape}"
        )
    if not are_probabilities(classes):
        raise ValueError(
            f"what recognises filled images must give probabilities in [0, 1], got values from "
            f"{classes.min():g} to {classes.max():g}"
        )
    return classes


def make_object_mask(case: Case, metric: str) -> NDArray[np.float32]:
    """The pixels (H, W) of a case's boxes as a mask; 1 removes."""
    return make_box_mask(clip_object_boxes(case.boxes, case.size, metric), case.size).astype(
        np.float32
    )


def fill_object(case: Case, fill: Fill | None, metric: str) -> Flow[Image]:
    """The image with the object removed (eq. 1 of [1]_)."""
    mask = make_object_mask(case, metric)
    reply = yield FillQuery(ArrayMasks(mask[None]), fill=fill)
    assert reply.images is not None
    removed = mask[..., None]
    composed: Image = case.image * (1 - removed) + reply.images[0] * removed
    return composed


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Fréchet distance of two Gaussians fitted to features, 0 for the same features.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` [1]_, the FID where the features are those
    of Inception-v3.

    Parameters
    ----------
    first, second : (N, D) and (M, D) arrays
        Features of images. With fewer images than features the covariances are singular and
        the distance is biased upwards: compare only equal N.

    Returns
    -------
    distance : float
        At least 0; lower is more alike.

    Raises
    ------
    ValueError
        If the arrays do not hold two rows or more of equal length, of finite numbers.

    References
    ----------
    .. [1] Dowson & Landau, The Fréchet distance between multivariate normal distributions,
       J. Multivariate Anal. 12, 1982, :doi:`10.1016/0047-259X(82)90077-X`
    .. [2] Heusel et al., GANs trained by a two time-scale update rule converge to a local
       Nash equilibrium, NeurIPS 2017, :arXiv:`1706.08500`
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features are (N, D) and (M, D) with two rows or more, got {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features hold NaN or infinite values; give finite ones")
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    # C1 C2 has the eigenvalues of the symmetric root(C1) C2 root(C1): no complex numbers.
    eigenvalues, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ cov_b @ root)
    apart = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    spread = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(np.maximum(shared, 0)).sum()
    return float(max(apart + spread, 0.0))
