"""Random pixels, drawn once per image, so that all masks of an image show the same noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Image
from onnxplain.core.params import Param, Parametrised


@dataclass(frozen=True)
class UniformNoise(Parametrised):
    """Every channel of every pixel drawn uniformly from [0, 1)."""

    name: ClassVar[str] = "uniform-noise"

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return noise of the image's shape (H, W, 3)."""
        return rng.random(image.shape, np.float32)


@dataclass(frozen=True)
class GaussianNoise(Parametrised):
    """Every channel of every pixel drawn from a normal distribution, clipped to [0, 1].

    Parameters
    ----------
    mean : float
        Mean of the distribution, before clipping.
    sd : float
        Standard deviation of the distribution, before clipping; larger is noisier. With the
        defaults one value in 22 is clipped.
    """

    name: ClassVar[str] = "gaussian-noise"
    mean: Annotated[float, Param("mean of the noise, before clipping to [0, 1]", ge=0, le=1)] = 0.5
    sd: Annotated[
        float, Param("standard deviation of the noise, before clipping", gt=0, le=100)
    ] = 0.25

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return noise of the image's shape (H, W, 3)."""
        noise: Image = rng.standard_normal(image.shape, np.float32)
        noise *= self.sd
        noise += self.mean
        return np.clip(noise, 0, 1)
