"""The gradient of the score by the image (Simonyan, Vedaldi & Zisserman, ICLR workshop 2014).

References
----------
.. [1] Simonyan, Vedaldi & Zisserman, Deep inside convolutional networks: Visualising image
   classification models and saliency maps, 2014, sec. 3.1, :arXiv:`1312.6034`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from onnxplain.core.data import Meaning, ScoreKind
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param
from onnxplain.methods.gradients.at_image import AtImage
from onnxplain.methods.gradients.channels import CHANNELS, Channels
from onnxplain.methods.layers.at_layer import SCORE

MEANING = Meaning("change of the score with the pixel, which goes from 0 to 1")


@dataclass(frozen=True)
class Gradient(AtImage):
    """How much the score changes with each pixel.

    Parameters
    ----------
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    channels : {'max-abs', 'sum', 'l2', 'sum-abs'}
        How red, green and blue become one number; the authors take the largest magnitude.

    Notes
    -----
    The gradient is with respect to pixels in [0, 1], not to normalised ones, which differ by
    the standard deviation of each channel.
    """

    name: ClassVar[str] = "gradient"
    meaning: ClassVar[Meaning] = MEANING

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(image=True, score=self.score)

    @property
    def joined(self) -> Channels:
        """How red, green and blue become one number."""
        return self.channels
