"""What the methods share that pass a gradient through rectifiers by another rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from onnxplain.core.data import Meaning, ScoreKind
from onnxplain.core.inside import RuleTable, Tensors
from onnxplain.core.params import Param
from onnxplain.methods.gradients.at_image import AtImage
from onnxplain.methods.gradients.channels import CHANNELS, Channels
from onnxplain.methods.layers.at_layer import SCORE

EXTENDED = "apply the rule to activations besides rectifiers; else such a model is an error"
MEANING = Meaning("signal that reaches the pixel backwards through the rectifiers, without a unit")


@dataclass(frozen=True)
class Rectified(AtImage):
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
    meaning: ClassVar[Meaning] = MEANING

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"
    extended: Annotated[bool, Param(EXTENDED)] = True

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return make_wants(self.table, self.score, extended=self.extended)

    @property
    def joined(self) -> Channels:
        """How red, green and blue become one number."""
        return self.channels


def make_wants(table: str, score: ScoreKind, *, extended: bool) -> Tensors:
    """Make the wish for a gradient by the image under a rule table."""
    return Tensors(image=True, score=score, rules=RuleTable(table, (("extended", extended),)))
