"""What the methods share that pass a gradient through rectifiers by another rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import RuleTable, Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.gradients.channels import CHANNELS, JOINS, Channels, join_channels
from onnxplain.methods.layers.at_layer import SCORE, describe_inside

EXTENDED = "apply the rule to activations besides rectifiers; else such a model is an error"
MEANING = Meaning("signal that reaches the pixel backwards through the rectifiers, without a unit")


@dataclass(frozen=True)
class Rectified(Parametrised):
    """The parameters and the flow of these methods.

    Parameters
    ----------
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is passed back.
    channels : {'max-abs', 'sum', 'l2', 'sum-abs'}
        How red, green and blue become one number.
    extended : bool
        Whether activations besides rectifiers follow the same formula.
    """

    table: ClassVar[str]  # of the rules, in `onnxplain.gradient.rulesets`
    adaptive: ClassVar[bool] = True  # the gradients are of one target
    usual_fill: ClassVar[str] = NO_FILL

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"
    extended: Annotated[bool, Param(EXTENDED)] = True

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return make_wants(self.table, self.score, extended=self.extended)

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


def make_wants(table: str, score: ScoreKind, *, extended: bool) -> Tensors:
    """Make the wish for a gradient by the image under a rule table."""
    return Tensors(image=True, score=score, rules=RuleTable(table, (("extended", extended),)))
