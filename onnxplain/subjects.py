"""Images as users give them, brought before a classifier."""

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
from onnxplain.core.scores import are_probabilities, to_probabilities
from onnxplain.image import Frame, place_frame, read_image, read_pillow

ImageSource: TypeAlias = str | os.PathLike[str] | NDArray[Any] | PIL.Image.Image


class NamedImage(NamedTuple):
    """An image that is still to be read.

    `label` tells it from others in messages and results: its path, or its place in the
    list. `name` decides random draws and stays when a file moves: the file's name.
    """

    label: str
    name: str
    source: ImageSource


@dataclass(frozen=True, eq=False)
class Subject:
    """One image, and what a classifier makes of it.

    Parameters
    ----------
    label, name : str
        As in `NamedImage`.
    photo : (rows, columns, 3) ndarray of uint8
        The photo in its own size.
    sha256 : str
        Of its pixels.
    frame : Frame
        Which part of the photo the classifier sees.
    image : (H, W, 3) ndarray of float32 in [0, 1]
        That part, at the classifier's size.
    probabilities : (K,) ndarray of float64
        Of its classes.
    """

    label: str
    name: str
    photo: NDArray[np.uint8]
    sha256: str
    frame: Frame
    image: Image
    probabilities: NDArray[np.float64]

    def case(self, target: int) -> Case:
        """The question why it scores as it does for one class."""
        return Case(self.name, self.image, target, n_classes=len(self.probabilities))


def name_images(images: Iterable[ImageSource]) -> list[NamedImage]:
    """Every image with what it is called."""
    if isinstance(images, str | os.PathLike | np.ndarray | PIL.Image.Image):
        raise TypeError("explain_many takes a list of images; explain takes one")
    return [name_image(one, position) for position, one in enumerate(images)]


def name_image(source: ImageSource, position: int) -> NamedImage:
    """An image with what it is called: by its file, or by its place among the others."""
    if not isinstance(source, str | os.PathLike):
        name = f"image-{position}"
        if not isinstance(source, np.ndarray | PIL.Image.Image):
            raise TypeError(
                f"{name} would be a path, an array (rows, columns, 3) or a Pillow image, got "
                f"{type(source).__name__}"
            )
        return NamedImage(name, name, source)
    # File names need not be text: what is none becomes a replacement character.
    name = os.fsencode(Path(source).name).decode(errors="replace")
    return NamedImage(os.fspath(source), name, source)


def read_subject(classifier: Classifier, named: NamedImage, *, max_pixels: int) -> Subject:
    """Read an image, bring it to the classifier's size and let it be classified.

    Raises
    ------
    ImageError
        If the file or the Pillow image cannot be read.
    ScoreError
        If the classifier answers with what is no number, or no probability where that is
        what it gives.
    ValueError, TypeError
        If an array is no image.
    """
    if isinstance(named.source, np.ndarray):
        photo = from_array(named.source)
    elif isinstance(named.source, PIL.Image.Image):
        photo = read_pillow(named.source, named.label)
    else:
        photo = read_image(named.source, max_pixels=max_pixels)
    frame, image = fit_to_classifier(classifier, photo)
    found = classify(classifier, image)
    pixels = to_uint8(photo)
    return Subject(named.label, named.name, pixels, hash_pixels(pixels), frame, image, found)


def to_uint8(photo: Image) -> NDArray[np.uint8]:
    """A photo (rows, columns, 3) in 8 bits."""
    return np.rint(photo * 255).astype(np.uint8)


def hash_pixels(pixels: NDArray[np.uint8]) -> str:
    """What tells one photo's pixels from those of others, whatever file they came from."""
    return hashlib.sha256(pixels.data).hexdigest()


def classify(classifier: Classifier, image: Image) -> NDArray[np.float64]:
    """The probabilities (K,) that a classifier gives an image of its size.

    Raises
    ------
    ScoreError
        If it answers with what is no number, or no probability where that is what it gives.
    """
    raw = classifier.scores(image[None])
    if not np.isfinite(raw).all():
        raise ScoreError(
            "the classifier answered with NaN or infinite scores; the model file may be "
            "damaged, or its preprocessing wrong (see onnxplain inspect)"
        )
    found: NDArray[np.float64] = to_probabilities(raw, classifier.outputs)[0]
    if not are_probabilities(found):
        raise ScoreError(
            f"the classifier's probabilities lie in [{found.min():.4g}, {found.max():.4g}]; "
            f"they are logits, or a sigmoid or softmax is missing from the model; say what "
            f"the scores are by --head, or by outputs= of from_callable"
        )
    return found


def fit_to_classifier(classifier: Classifier, photo: Image) -> tuple[Frame, Image]:
    """Bring a photo to the classifier's size, and tell which part of it the classifier sees."""
    rows, columns, _ = photo.shape
    wanted = classifier.preprocessing
    frame = place_frame((rows, columns), classifier.size, wanted.fit, wanted.crop)
    return frame, frame.bring(photo, wanted.interpolation)


def from_array(array: NDArray[Any]) -> Image:
    """A photo out of an array.

    Parameters
    ----------
    array : (rows, columns, 3) ndarray, or (rows, columns) if grey
        RGB; uint8, or float in [0, 1].

    Raises
    ------
    ValueError, TypeError
        If it is none of these.

    Examples
    --------
    >>> from_array(np.full((1, 1), 51, np.uint8)).round(2).tolist()
    [[[0.20000000298023224, 0.20000000298023224, 0.20000000298023224]]]
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise ValueError(
            f"an image array has shape (rows, columns, 3), or (rows, columns) if it is grey; "
            f"got {array.shape}"
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
