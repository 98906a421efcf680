"""Images as users give them: named, read, brought to a classifier's size and classified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxplain.core.data import Case, Image
from onnxplain.core.errors import ScoreError
from onnxplain.core.protocols import Classifier
from onnxplain.core.scores import find_fault, is_multilabel, to_probabilities
from onnxplain.image import Frame, place_frame, read_image, read_pillow

ImageSource: TypeAlias = str | os.PathLike[str] | NDArray[Any] | PIL.Image.Image


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


def name_images(images: Iterable[ImageSource]) -> list[NamedImage]:
    """Name every image of a list.

    Raises
    ------
    TypeError
        If a single image is given in place of a list, or something is not an image.
    """
    if isinstance(images, str | os.PathLike | np.ndarray | PIL.Image.Image):
        raise TypeError("explain_many takes a list of images; explain takes one")
    return [name_image(image, position) for position, image in enumerate(images)]


def name_image(source: ImageSource, position: int) -> NamedImage:
    """Name an image after its file, or after its position among the others."""
    if not isinstance(source, str | os.PathLike):
        name = f"image-{position}"
        if not isinstance(source, np.ndarray | PIL.Image.Image):
            raise TypeError(
                f"{name} must be a path, an array (rows, columns, 3) or a Pillow image, got "
                f"{type(source).__name__}"
            )
        return NamedImage(name, name, source)
    # File names may not be valid text: invalid bytes become a replacement character.
    name = os.fsencode(Path(source).name).decode(errors="replace")
    return NamedImage(os.fspath(source), name, source)


def read_subject(classifier: Classifier, named: NamedImage, *, max_pixels: int) -> Subject:
    """Read an image, bring it to the classifier's size and classify it.

    Raises
    ------
    ImageError
        If the file or the Pillow image cannot be read.
    ScoreError
        If the classifier returns NaN or infinite scores, or as probabilities what cannot be any.
    ValueError, TypeError
        If an array is not an image.
    """
    if isinstance(named.source, np.ndarray):
        photo = from_array(named.source)
    elif isinstance(named.source, PIL.Image.Image):
        photo = read_pillow(named.source, named.label)
    else:
        photo = read_image(named.source, max_pixels=max_pixels)
    frame, image = fit_to_classifier(classifier, photo)
    probabilities = classify(classifier, image)
    pixels = to_uint8(photo)
    return Subject(
        named.label,
        named.name,
        pixels,
        hash_pixels(pixels),
        frame,
        image,
        probabilities,
        is_multilabel(classifier.outputs),
    )


def to_uint8(photo: Image) -> NDArray[np.uint8]:
    """Convert a photo (rows, columns, 3) to 8 bits."""
    return np.rint(photo * 255).astype(np.uint8)


def hash_pixels(pixels: NDArray[np.uint8]) -> str:
    """Return the sha256 of a photo's pixels, which does not depend on its file."""
    return hashlib.sha256(pixels.data).hexdigest()


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


def from_array(array: NDArray[Any]) -> Image:
    """Make a photo from an array.

    Parameters
    ----------
    array : (rows, columns, 3) ndarray, or (rows, columns) if grey
        RGB; uint8, or float in [0, 1].

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
        photo = array.astype(np.float32) / 255
    elif np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(
                f"a float image lies in [0, 1], got values from {array.min():g} to "
                f"{array.max():g}; divide by 255, or pass uint8"
            )
        photo = array.astype(np.float32)
    else:
        raise TypeError(f"an image array is uint8, or float in [0, 1]; got {array.dtype}")
    return np.ascontiguousarray(np.broadcast_to(photo, (*array.shape[:2], 3)))
