"""The blurred image that RISE's insertion curves start from (Petsiuk et al., BMVC 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import IMAGENET_MEAN, RGB, Image
from onnxplain.core.params import Param, Parametrised

# A Gaussian of standard deviation 5 over 11 pixels whose tails are folded back at its ends,
# which makes it nearly a box. The authors' curves use it, not a Gaussian cut off at 11 pixels.
HALF = (0.087958145777, 0.088896119777, 0.090474196549, 0.092191117819, 0.093489388443)
KERNEL = (*HALF, 0.093982063268, *reversed(HALF))


@dataclass(frozen=True)
class FoldedBlur(Parametrised):
    """The image blurred over 11 pixels, where the insertion curves of RISE's authors start [1]_.

    Parameters
    ----------
    border : (red, green, blue), each in [0, 1]
        Colour beyond the border of the image. Give the mean that the classifier subtracts:
        the authors blur the normalised image and pad it with zeros.

    References
    ----------
    .. [1] Petsiuk, Das & Saenko, RISE: Randomized input sampling for explanation of black-box
       models, BMVC 2018, sec. 4.1, :arXiv:`1806.07421`
    """

    name: ClassVar[str] = "folded-blur"
    border: Annotated[
        RGB, Param("colour beyond the border: the mean that the classifier subtracts", ge=0, le=1)
    ] = IMAGENET_MEAN

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the blurred image (H, W, 3)."""
        from scipy.ndimage import correlate1d  # 0.1 s to import, and rarely needed

        border = np.array(self.border, np.float32)
        blurred = image - border
        for axis in (0, 1):
            blurred = correlate1d(blurred, KERNEL, axis, mode="constant", cval=0.0)
        return np.clip((blurred + border).astype(np.float32), 0, 1)
