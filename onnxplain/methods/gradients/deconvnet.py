"""DeconvNet (Zeiler & Fergus, ECCV 2014).

References
----------
.. [1] Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014,
   sec. 2.1, :arXiv:`1311.2901`
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
class DeconvNet(Parametrised):
    """Positive gradients through all rectifiers.

    At a rectifier the positive part of the gradient passes on, active or not [1]_.

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
    Of equal values a max-pooling passes the signal to the first, as in the ordinary gradient;
    the map depends on that more than those of other methods do.
    """

    name: ClassVar[str] = "deconvnet"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"
    extended: Annotated[bool, Param(EXTENDED)] = True

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return make_wants("deconvnet", self.score, extended=self.extended)

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
