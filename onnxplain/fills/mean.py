"""Mean colours of the image itself: of the whole, of each segment, or around each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Image
from onnxplain.core.params import Param, Parametrised
from onnxplain.fills.constant import make_plain_picture
from onnxplain.image import box_blur
from onnxplain.image.superpixels import find_superpixels


@dataclass(frozen=True)
class ChannelMean(Parametrised):
    """The image's own mean colour."""

    name: ClassVar[str] = "channel-mean"

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a picture (H, W, 3) of the mean of each channel."""
        return make_plain_picture(image, image.mean(axis=(0, 1), dtype=np.float64))


@dataclass(frozen=True)
class SegmentMean(Parametrised):
    """Every superpixel in its mean colour, which is how LIME's program fills by default [1]_.

    Parameters
    ----------
    n_segments : int
        Number of superpixels to ask SLIC for; more of them keep more detail of the image.
    compactness : float
        SLIC's weight of nearness against similarity of colour; high values give square
        superpixels.
    sigma : float
        Standard deviation, in pixels, of the smoothing before SLIC; larger gives smoother
        borders.

    References
    ----------
    .. [1] Ribeiro, Singh & Guestrin, "Why should I trust you?", KDD 2016, :arXiv:`1602.04938`
    """

    name: ClassVar[str] = "segment-mean"
    n_segments: Annotated[int, Param("about how many superpixels to make", ge=1)] = 50
    compactness: Annotated[
        float, Param("higher gives squarer superpixels, lower follows colours", gt=0)
    ] = 30.0
    sigma: Annotated[
        float,
        Param("smoothing before superpixels are made: standard deviation in pixels", ge=0, le=1000),
    ] = 3.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a picture (H, W, 3) of the superpixels, each in its mean colour."""
        segments = find_superpixels(
            image,
            n_segments=self.n_segments,
            compactness=self.compactness,
            sigma=self.sigma,
        )
        labels = segments.ravel()
        counts = np.bincount(labels)
        means = [np.bincount(labels, image[..., channel].ravel()) / counts for channel in range(3)]
        picture: Image = np.stack(means, axis=-1).astype(np.float32)[segments]
        return picture


@dataclass(frozen=True)
class LocalMean(Parametrised):
    """The mean colour of a square window around each pixel; the border is mirrored.

    Parameters
    ----------
    window : int
        Side of the window in pixels; a wider window leaves less detail.
    """

    name: ClassVar[str] = "local-mean"
    window: Annotated[int, Param("side of the window in pixels", ge=1, le=10_000)] = 31

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a picture (H, W, 3) of the local means."""
        return np.clip(box_blur(image, self.window), 0, 1)
