"""The values that pass between the layers, and their conventions.

Images are float32 RGB in [0, 1]; masks are float32 in [0, 1] where **1 removes** and 0
keeps, ``x_bar = x * (1 - m) + f * m`` [1]_ (eq. 1); heatmaps are float32, larger values
meaning more evidence for the target. Sizes are ``(rows, columns)``.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, :arXiv:`1910.04256`
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", np.float32, np.float64)
Image: TypeAlias = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]
Images: TypeAlias = NDArray[np.float32]  # (N, H, W, 3)
Mask: TypeAlias = NDArray[np.float32]  # (N, H, W) in [0, 1]; 1 removes
Heatmap: TypeAlias = NDArray[np.float32]  # (H, W)
Scores: TypeAlias = NDArray[np.float32]  # (N, K), the raw outputs of the model
Size: TypeAlias = tuple[int, int]  # (rows, columns)
Outputs: TypeAlias = Literal["logits", "probabilities"]
ScoreKind: TypeAlias = Literal["probability", "log-odds", "logit", "raw", "contrast"]
Fit: TypeAlias = Literal["crop", "stretch", "pad"]
Interpolation: TypeAlias = Literal["bilinear", "bicubic", "nearest", "area"]
RGB: TypeAlias = tuple[float, float, float]

IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue in grey


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: rows ``top`` to ``bottom``, columns ``left`` to ``right``.

    The end is exclusive: the pixels inside are ``image[top:bottom, left:right]``.
    """

    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a photo is brought to the size of the classifier.

    Parameters
    ----------
    fit : {'crop', 'stretch', 'pad'}
        Cut out the photo's centre, squeeze the whole photo, or add borders to it.
    crop : float in (0, 1]
        With ``fit='crop'``: side of the centre that is kept, relative to the largest centred
        rectangle of the photo that has the classifier's aspect ratio.
    interpolation : {'bilinear', 'bicubic', 'nearest', 'area'}
        How pixels are resampled.
    """

    fit: Fit = "crop"
    crop: float = 1.0
    interpolation: Interpolation = "bilinear"


@dataclass(frozen=True, eq=False)
class Case:
    """One question: why does the classifier give this image's target its score?

    Parameters
    ----------
    name : str
        Name of the image in results; together with the seed it decides every random draw.
    image : (H, W, 3) ndarray of float32 in [0, 1]
        The photo at the classifier's size.
    target : int
        Index of the class to explain.
    boxes : tuple of Box
        Where the object is, in pixels of `image`; used by some metrics.
    n_classes : int, optional
        Number of classes of the classifier, K; chance level is 1 / K.
    """

    name: str
    image: Image
    target: int
    boxes: tuple[Box, ...] = ()
    n_classes: int | None = None

    @property
    def size(self) -> Size:
        """Rows and columns of the image."""
        rows, columns, _ = self.image.shape
        return rows, columns


@dataclass(frozen=True, slots=True)
class Layer:
    """A tensor inside a classifier that has values for a grid of positions.

    Parameters
    ----------
    tensor : str
        Its name in the model's file.
    axes : str
        A letter per axis: N images, C channels, H and W rows and columns, T tokens.
    channels : int
        Number of values per position.
    grid : (rows, columns)
        Number of positions.
    prefix : int
        Number of tokens in front of those of the grid, such as a class token.
    is_cut : bool
        Whether the scores depend on the image through this tensor alone.
    note : str
        Why it was chosen, where that is not obvious.
    """

    tensor: str
    axes: str
    channels: int
    grid: Size
    prefix: int = 0
    is_cut: bool = True
    note: str = field(default="", compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        return self.channels, *self.grid

    def arrange(self, values: NDArray[F]) -> NDArray[F]:
        """Bring values of this tensor, or gradients by it, into the order (N, C, rows, columns)."""
        order = "NCT" if "T" in self.axes else "NCHW"
        moved = values.transpose([self.axes.index(axis) for axis in order])
        if "T" in self.axes:
            moved = moved[:, :, self.prefix :].reshape(len(moved), *self.shape)
        return moved

    def restore(self, arranged: NDArray[F]) -> NDArray[F]:
        """Bring values (N, C, rows, columns) back into the order of this tensor.

        Raises
        ------
        ValueError
            If the tensor has tokens besides those of the grid.
        """
        if self.prefix:
            raise ValueError(f"{self.tensor} has {self.prefix} tokens besides those of its grid")
        if "T" in self.axes:
            arranged = arranged.reshape(*arranged.shape[:2], -1)
        order = "NCT" if "T" in self.axes else "NCHW"
        return np.ascontiguousarray(arranged.transpose([order.index(axis) for axis in self.axes]))


@dataclass(frozen=True, eq=False)
class Attribution:
    """The result of a method for one case.

    Parameters
    ----------
    heatmap : (H, W) ndarray of float32
        At the size of the case's image; larger = more evidence for the target.
    coarse : ndarray, optional
        The map before it was enlarged to the image: (rows, columns) of patches or cells,
        or one value per segment.
    order : ndarray of int, optional
        Cells in the order in which the method removed them.
    details : mapping
        Further facts about the run, as values that JSON can hold.
    """

    heatmap: Heatmap
    coarse: NDArray[np.float32] | None = None
    order: NDArray[np.intp] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def make_rng(seed: int, *names: str) -> np.random.Generator:
    """Make a random generator that depends on the seed and the names, and on nothing else.

    Draws therefore do not depend on order, batch size, sharding or on what else runs.

    Examples
    --------
    >>> float(make_rng(0, "cat", "rise").random()) == float(make_rng(0, "cat", "rise").random())
    True
    """
    # File names may hold bytes that are not valid text.
    words = (zlib.crc32(name.encode(errors="surrogateescape")) for name in names)
    return np.random.default_rng([seed, *words])
