"""The gradient of the score by the image (Simonyan, Vedaldi & Zisserman, ICLR workshop 2014).

References
----------
.. [1] Simonyan, Vedaldi & Zisserman, Deep inside convolutional networks: Visualising image
   classification models and saliency maps, 2014, sec. 3.1, :arXiv:`1312.6034`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.gradients.channels import CHANNELS, JOINS, Channels, join_channels
from onnxplain.methods.layers.at_layer import SCORE, describe_inside

MEANING = Meaning("change of the score with the pixel, which goes from 0 to 1")


@dataclass(frozen=True)
class Gradient(Parametrised):
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
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(image=True, score=self.score)

    @property
    def closed_form(self) -> ClosedForm:
        """How its map is made."""
        return ClosedForm(JOINS[self.channels])

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        assert reply.grads is not None
        heatmap = join_channels(reply.grads[0], self.channels)
        return Attribution(heatmap, details=describe_inside(self.wants, reply), meaning=MEANING)
