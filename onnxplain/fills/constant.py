"""Fills of one colour, the same for every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import IMAGENET_MEAN, RGB, Image
from onnxplain.core.params import Param, Parametrised


@dataclass(frozen=True)
class DatasetMean(Parametrised):
    """The mean colour of ImageNet, (.485, .456, .406): the grey of the paper [1]_.

    A classifier trained with the usual normalisation sees zeros there.

    References
    ----------
    .. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
       generative models, ACCV 2020, :arXiv:`1910.04256`
    """

    name: ClassVar[str] = "dataset-mean"

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a picture of that colour, of the image's shape (H, W, 3)."""
        return make_plain_picture(image, IMAGENET_MEAN)


@dataclass(frozen=True)
class Black(Parametrised):
    """Black, 0 in every channel."""

    name: ClassVar[str] = "black"

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a black picture of the image's shape (H, W, 3)."""
        return make_plain_picture(image, (0, 0, 0))


@dataclass(frozen=True)
class White(Parametrised):
    """White, 1 in every channel."""

    name: ClassVar[str] = "white"

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a white picture of the image's shape (H, W, 3)."""
        return make_plain_picture(image, (1, 1, 1))


@dataclass(frozen=True)
class Colour(Parametrised):
    """One colour of your choice; mid-grey unless given.

    Parameters
    ----------
    rgb : (red, green, blue), each in [0, 1]
        The colour.

    Examples
    --------
    >>> Colour(rgb=(1.0, 0.5, 0.0)).prepare(np.zeros((1, 1, 3), np.float32), None).tolist()
    [[[1.0, 0.5, 0.0]]]
    """

    name: ClassVar[str] = "colour"
    rgb: Annotated[RGB, Param("red, green and blue of the colour", ge=0, le=1)] = (0.5, 0.5, 0.5)

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a picture of that colour, of the image's shape (H, W, 3)."""
        return make_plain_picture(image, self.rgb)


def make_plain_picture(image: Image, colour: object) -> Image:
    """Make a picture of one colour, of the image's shape (H, W, 3)."""
    return np.broadcast_to(np.asarray(colour, np.float32), image.shape).copy()


# The fills of this file: they look at no image.
PLAIN = (Black, Colour, DatasetMean, White)
