"""What the methods share that pass a gradient through rectifiers by another rule."""

from __future__ import annotations

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.inside import RuleTable, Tensors
from onnxplain.methods.gradients.channels import Channels, join_channels
from onnxplain.methods.layers.at_layer import describe_inside

EXTENDED = "apply the rule to activations besides rectifiers; else such a model is an error"
MEANING = Meaning("signal that reaches the pixel backwards through the rectifiers, without a unit")


def make_wants(table: str, score: ScoreKind, *, extended: bool) -> Tensors:
    """Make the wish for a gradient by the image under a rule table."""
    return Tensors(image=True, score=score, rules=RuleTable(table, (("extended", extended),)))


def draw_signal(wants: Tensors, case: Case, channels: Channels) -> Flow[Attribution]:
    """Ask for one gradient under the rules, and make a map of it."""
    reply = yield ImageQuery(case.image[None], wants=wants)
    assert reply.grads is not None
    heatmap = join_channels(reply.grads[0], channels)
    return Attribution(heatmap, details=describe_inside(wants, reply), meaning=MEANING)
