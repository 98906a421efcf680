"""The image itself, blurred (Fong & Vedaldi, ICCV 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Image
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import gaussian_blur


@dataclass(frozen=True)
class Blur(Parametrised):
    """The image under a Gaussian blur, which removes detail and keeps colour and layout [1]_.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels; larger removes more detail.

    References
    ----------
    .. [1] Fong & Vedaldi, Interpretable explanations of black boxes by meaningful
       perturbation, ICCV 2017, :arXiv:`1704.03296`
    """

    name: ClassVar[str] = "blur"
    sigma: Annotated[
        float, Param("standard deviation in pixels; larger removes more detail", gt=0, le=1000)
    ] = 10.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the blurred image (H, W, 3)."""
        return np.clip(gaussian_blur(image, self.sigma), 0, 1)
