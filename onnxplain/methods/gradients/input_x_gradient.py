"""Input times gradient (Shrikumar, Greenside, Shcherbina & Kundaje, 2016).

References
----------
.. [1] Shrikumar, Greenside, Shcherbina & Kundaje, Not just a black box: Learning important
   features through propagating activation differences, 2016, :arXiv:`1605.01713`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind, Size
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.gradients.baseline import ask_baseline, multiply
from onnxplain.methods.gradients.channels import draw_pixels
from onnxplain.methods.layers.at_layer import SCORE, describe_inside

MEANING = Meaning("change of the score along the line to the fill, to first order")


@dataclass(frozen=True)
class InputXGradient(Parametrised):
    """Difference from the fill times the gradient.

    It is summed over colours [1]_.

    Parameters
    ----------
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated.

    Notes
    -----
    The literature multiplies by the normalised input, whose 0 is the mean of the dataset: with
    the usual fill the map is the same for models that are fed with pixels less that mean.
    """

    name: ClassVar[str] = "input-x-gradient"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "dataset-mean"
    closed_form: ClassVar[ClosedForm] = ClosedForm(multiply)

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(image=True, score=self.score)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        baseline = yield from ask_baseline(case)
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        assert reply.grads is not None
        heatmap = draw_pixels(multiply, case.image - baseline, reply.grads[0])
        details = describe_inside(self.wants, reply)
        return Attribution(heatmap, details=details, meaning=MEANING)
