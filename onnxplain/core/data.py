"""The values that pass between the layers, and the conventions they keep.

Images are float32 RGB in [0, 1]; masks are float32 in [0, 1] where **1 removes** and 0
keeps, ``x_bar = x * (1 - m) + f * m`` [1]_ (eq. 1); heatmaps are float32, larger meaning
more evidence for the target. Sizes are ``(rows, columns)``.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, :arXiv:`1910.04256`
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]
Images: TypeAlias = NDArray[np.float32]  # (N, H, W, 3)
Mask: TypeAlias = NDArray[np.float32]  # (N, H, W) in [0, 1]; 1 removes
Heatmap: TypeAlias = NDArray[np.float32]  # (H, W)
Scores: TypeAlias = NDArray[np.float32]  # (N, K), as the model gives them
Size: TypeAlias = tuple[int, int]  # (rows, columns)
Outputs: TypeAlias = Literal["logits", "probabilities"]
ScoreKind: TypeAlias = Literal["probability", "log-odds", "logit"]
Fit: TypeAlias = Literal["crop", "stretch", "pad"]
Interpolation: TypeAlias = Literal["bilinear", "bicubic", "nearest", "area"]
RGB: TypeAlias = tuple[float, float, float]

IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: rows ``top`` to ``bottom``, columns ``left`` to ``right``.

    The last row and column are exclusive, so ``image[top:bottom, left:right]`` is inside.
    """

    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a photo is brought to the size of a classifier.

    Parameters
    ----------
    fit : {'crop', 'stretch', 'pad'}
        Take the photo's centre, squeeze the whole photo, or add borders to it.
    crop : float in (0, 1]
        With ``fit='crop'``: side of the centre that is kept, relative to the photo's largest
        centred rectangle of the classifier's aspect.
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
        Names the image in results; with the seed it decides every random draw.
    image : (H, W, 3) ndarray of float32 in [0, 1]
        The photo at the classifier's size.
    target : int
        Index of the class that is explained.
    boxes : tuple of Box
        Where the object is, in pixels of `image`; for the metrics that ask.
    n_classes : int, optional
        Classes that the classifier tells apart; one over it is chance level.
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


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method returns.

    Parameters
    ----------
    heatmap : (H, W) ndarray of float32
        At the size of the case's image; larger = more evidence for the target.
    coarse : ndarray, optional
        The map before it was brought to image size: (rows, columns) of patches or cells,
        or one value a segment.
    order : ndarray of int, optional
        Cells in the order in which the method removed them.
    details : mapping
        Further facts of the run that JSON can hold.
    """

    heatmap: Heatmap
    coarse: NDArray[np.float32] | None = None
    order: NDArray[np.intp] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def make_rng(seed: int, *names: str) -> np.random.Generator:
    """Random numbers that depend on the seed and the names, and on nothing else.

    Order of work, batch size, sharding and whatever else runs leave them as they are.

    Examples
    --------
    >>> float(make_rng(0, "cat", "rise").random()) == float(make_rng(0, "cat", "rise").random())
    True
    """
    # Names of files need not be text.
    words = (zlib.crc32(name.encode(errors="surrogateescape")) for name in names)
    return np.random.default_rng([seed, *words])
