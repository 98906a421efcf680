"""Images as users give them: named, read, brought to a classifier's size and classified."""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Case, Image
from onnxplain.core.errors import ScoreError
from onnxplain.core.protocols import Classifier
from onnxplain.core.scores import find_fault, is_multilabel, to_probabilities
from onnxplain.image import MAX_PIXELS, Frame, place_frame, read_image, read_pillow, scale_deep

ImageSource: TypeAlias = str | os.PathLike[str] | NDArray[Any] | PIL.Image.Image | bytes


class ClassScore(NamedTuple):
    """A class of a photo: its index, its name, and its probability."""

    index: int  # type: ignore[assignment]  # it hides the method of tuples
    name: str
    score: float


class NamedImage(NamedTuple):
    """An image that has not been read yet.

    `label` identifies it in messages and results: its path, or its position in the list.
    `name` decides random draws: the file's name, which stays the same when the file moves.
    """

    label: str
    name: str
    source: ImageSource


@dataclass(frozen=True, eq=False)
class Subject:
    """An image as a classifier sees it, and its classification.

    Parameters
    ----------
    label, name : str
        As in `NamedImage`.
    photo : (rows, columns, 3) ndarray of uint8
        The photo at its own size.
    sha256 : str
        Hash of the photo's pixels.
    frame : Frame
        Which part of the photo the classifier sees.
    image : (H, W, 3) ndarray of float32 in [0, 1]
        That part at the classifier's size.
    probabilities : (K,) ndarray of float64
        Probabilities of all classes.
    multilabel : bool
        Whether the classes are independent labels.
    """

    label: str
    name: str
    photo: NDArray[np.uint8]
    sha256: str
    frame: Frame
    image: Image
    probabilities: NDArray[np.float64]
    multilabel: bool

    def case(self, target: int) -> Case:
        """Return the question of why the image gets its score for one class."""
        n_classes = len(self.probabilities)
        return Case(self.name, self.image, target, n_classes=n_classes, multilabel=self.multilabel)


def name_images(images: Iterable[ImageSource | NamedImage]) -> list[NamedImage]:
    """Name every image of a list.

    Raises
    ------
    TypeError
        If a single image is given in place of a list, or something is not an image.
    """
    if isinstance(images, str | os.PathLike | np.ndarray | PIL.Image.Image | bytes):
        raise TypeError("explain_many takes a list of images; explain takes one")
    return [name_image(image, position) for position, image in enumerate(images)]


def name_image(source: ImageSource | NamedImage, position: int) -> NamedImage:
    """Name an image after its file, or after its position among the others."""
    if isinstance(source, NamedImage):
        return source
    if not isinstance(source, str | os.PathLike):
        name = f"image-{position}"
        if not isinstance(source, np.ndarray | PIL.Image.Image | bytes):
            raise TypeError(
                f"{name} must be a path, an array (rows, columns, 3), a Pillow image or the bytes "
                f"of an image file, got {type(source).__name__}"
            )
        return NamedImage(name, name, source)
    # File names may not be valid text: invalid bytes become a replacement character.
    name = os.fsencode(Path(source).name).decode(errors="replace")
    return NamedImage(os.fspath(source), name, source)


def read_subject(
    classifier: Classifier, named: NamedImage, *, max_pixels: int, white: int | None = None
) -> Subject:
    """Read an image, bring it to the classifier's size and classify it.

    `max_pixels` and `white` are those of `onnxplain.image.read_image`.

    Raises
    ------
    ImageError
        If the file or the Pillow image cannot be read.
    ScoreError
        If the classifier returns NaN or infinite scores, or as probabilities what cannot be any.
    ValueError, TypeError
        If an array is not an image.
    """
    photo = read_source(named, max_pixels=max_pixels, white=white)
    frame, image = fit_to_classifier(classifier, photo)
    probabilities = classify(classifier, image)
    return Subject(
        named.label,
        named.name,
        to_uint8(photo),
        hash_photo(photo),
        frame,
        image,
        probabilities,
        is_multilabel(classifier.outputs),
    )


def read_source(named: NamedImage, *, max_pixels: int, white: int | None = None) -> Image:
    """Read an image (rows, columns, 3) of any kind; see `read_subject`."""
    if isinstance(named.source, np.ndarray):
        return from_array(named.source, named.label, white)
    if isinstance(named.source, PIL.Image.Image):
        return read_pillow(named.source, named.label, white=white)
    return read_image(named.source, max_pixels=max_pixels, white=white, name=named.label)


def predict_classes(
    classifier: Classifier,
    image: ImageSource,
    top: int = 5,
    *,
    max_pixels: int = MAX_PIXELS,
    white: int | None = None,
) -> list[ClassScore]:
    """Return the most probable classes of a photo.

    Parameters
    ----------
    classifier : Classifier
        Any classifier.
    image : path, bytes, ndarray or Pillow image
        A photo as `onnxplain.explain` takes it.
    top : int
        Number of classes, at least 1; of a classifier with fewer, all.
    max_pixels : int
        A file with more pixels is refused.
    white : int, optional
        The value of white in an image of more than 8 bits, as for `onnxplain.explain`.

    Returns
    -------
    classes : list of ClassScore
        Named tuples ``(index, name, score)``, the most probable class first; the score is the
        probability.

    Raises
    ------
    ImageError
        If the image cannot be read.
    ScoreError
        If the classifier returns no probabilities or finite scores.
    ValueError, TypeError
        If `top` is below 1, or the image is of no known kind.
    """
    if isinstance(top, bool) or not isinstance(top, SupportsIndex):
        raise TypeError(f"top takes a number of classes, got {top!r}")
    if operator.index(top) < 1:
        raise ValueError(f"top must be >= 1, got {top}")
    subject = read_subject(classifier, name_image(image, 0), max_pixels=max_pixels, white=white)
    ranked = np.argsort(-subject.probabilities, kind="stable")[:top].tolist()
    names = classifier.class_names
    return [ClassScore(i, names[i], float(subject.probabilities[i])) for i in ranked]


def to_uint8(photo: Image) -> NDArray[np.uint8]:
    """Convert a photo (rows, columns, 3) to 8 bits."""
    levels = photo * 255
    return np.rint(levels, out=levels).astype(np.uint8)


def hash_photo(photo: Image) -> str:
    """Return the sha256 of a photo's pixels, which does not depend on its file.

    A photo of 8 bits is hashed as such, whichever way it was read. Of a finer one, as of 16
    bits, all bits count: the classifier sees them.
    """
    pixels = to_uint8(photo)
    rest = photo * 255
    rest -= pixels
    if np.abs(rest, out=rest).max(initial=0) < 1e-3:  # a step of 16 bits is 0.0039
        return hashlib.sha256(pixels.data).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(photo).data).hexdigest()


def classify(classifier: Classifier, image: Image) -> NDArray[np.float64]:
    """Return the probabilities (K,) that a classifier gives an image of its size.

    Raises
    ------
    ScoreError
        If it returns NaN or infinite scores, or as probabilities what cannot be any.
    """
    raw = classifier.scores(image[None])
    if not np.isfinite(raw).all():
        raise ScoreError(
            "the classifier returned NaN or infinite scores; the model file may be damaged, or "
            "its preprocessing wrong (see onnxplain inspect)"
        )
    if fault := find_fault(raw, classifier.outputs):
        raise ScoreError(fault)
    probabilities: NDArray[np.float64] = to_probabilities(raw, classifier.outputs)[0]
    return probabilities


def fit_to_classifier(classifier: Classifier, photo: Image) -> tuple[Frame, Image]:
    """Bring a photo to the classifier's size; return the frame that was used, and the image."""
    rows, columns, _ = photo.shape
    frame = place_frame((rows, columns), classifier.size, classifier.preprocessing)
    return frame, frame.bring(photo)


def from_array(array: NDArray[Any], name: str = "image", white: int | None = None) -> Image:
    """Make a photo from an array.

    Parameters
    ----------
    array : (rows, columns, 3) ndarray, or (rows, columns) if grey
        RGB; uint8, uint16, or float in [0, 1].
    name : str
        Its name in warnings.
    white : int, optional
        The value of white of uint16; 65535 if not given.

    Raises
    ------
    ValueError, TypeError
        If the array has another shape, range or type.

    Examples
    --------
    >>> from_array(np.full((1, 1), 51, np.uint8)).round(2).tolist()
    [[[0.20000000298023224, 0.20000000298023224, 0.20000000298023224]]]
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise ValueError(
            f"an image array has shape (rows, columns, 3), or (rows, columns) if it is grey; got "
            f"{array.shape}"
        )
    if array.dtype == np.uint8:
        photo: Image = array.astype(np.float32) / np.float32(255)
    elif array.dtype == np.uint16:
        photo = scale_deep(array, name, white)
    elif np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(
                f"a float image lies in [0, 1], got values from {array.min():g} to "
                f"{array.max():g}; divide by 255, or pass uint8"
            )
        photo = array.astype(np.float32)
    else:
        raise TypeError(f"an image array is uint8, uint16, or float in [0, 1]; got {array.dtype}")
    return np.ascontiguousarray(np.broadcast_to(photo, (*array.shape[:2], 3)))
