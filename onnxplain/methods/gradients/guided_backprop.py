"""Guided backpropagation (Springenberg, Dosovitskiy, Brox & Riedmiller, ICLR workshop 2015).

References
----------
.. [1] Springenberg, Dosovitskiy, Brox & Riedmiller, Striving for simplicity: The all
   convolutional net, ICLR workshop 2015, fig. 1, :arXiv:`1412.6806`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, ScoreKind, Size
from onnxplain.core.flow import NO_FILL, Flow
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.gradients.channels import CHANNELS, JOINS, Channels
from onnxplain.methods.gradients.rectified import EXTENDED, draw_signal, make_wants
from onnxplain.methods.layers.at_layer import SCORE


@dataclass(frozen=True)
class GuidedBackprop(Parametrised):
    """Positive gradients through active rectifiers.

    At a rectifier that is active the positive part of the gradient passes on [1]_.

    Parameters
    ----------
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is passed back; the authors take the raw one.
    channels : {'max-abs', 'sum', 'l2', 'sum-abs'}
        How red, green and blue become one number.
    extended : bool
        Whether activations besides rectifiers, for which the paper gives no rule, follow the
        same formula. If not, a model with one is an error.

    Notes
    -----
    It shows edges sharply, and hardly depends on the class or on the weights: the sanity checks
    of Adebayo et al. (2018) are not passed. Take it for looks, not as evidence.
    """

    name: ClassVar[str] = "guided-backprop"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"
    extended: Annotated[bool, Param(EXTENDED)] = True

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return make_wants("guided", self.score, extended=self.extended)

    @property
    def closed_form(self) -> ClosedForm:
        """How its map is made."""
        return ClosedForm(JOINS[self.channels])

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        return (yield from draw_signal(self.wants, case, self.channels))
