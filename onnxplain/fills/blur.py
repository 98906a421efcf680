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

    Notes
    -----
    The program of Agarwal & Nguyen [2]_ blurs the photo by 10 of its own pixels and then shrinks
    it; this fill blurs what the classifier sees of it by `sigma` of the classifier's pixels,
    which removes more. On 24 ImageNet photos EfficientNet-Lite0 gives the blurred photo a mean
    probability of 0.041 in the program's way and 0.031 with ``sigma=10``; with a sigma of 10
    times the classifier's pixels per pixel of the photo (6.1 to 9.9 here) it is 0.037
    (`benchmarks/paper_programs.py`).

    References
    ----------
    .. [1] Fong & Vedaldi, Interpretable explanations of black boxes by meaningful
       perturbation, ICCV 2017, :arXiv:`1704.03296`
    .. [2] Agarwal & Nguyen, Explaining image classifiers by removing input features using
       generative models, ACCV 2020, sec. 3.2, :arXiv:`1910.04256`
    """

    name: ClassVar[str] = "blur"
    sigma: Annotated[
        float, Param("standard deviation in pixels; larger removes more detail", gt=0, le=1000)
    ] = 10.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the blurred image (H, W, 3)."""
        return np.clip(gaussian_blur(image, self.sigma), 0, 1)
