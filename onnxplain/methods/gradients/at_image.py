"""What methods have in common that look once at numbers by pixel: gradients, signal, relevance."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Heatmap, Meaning, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery, Reply
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Parametrised
from onnxplain.methods.gradients.channels import JOINS, Channels, join_channels
from onnxplain.methods.layers.at_layer import describe_inside


class AtImage(Parametrised):
    """The flow of these methods; they say what they want, and how channels become one number."""

    adaptive: ClassVar[bool] = True  # the numbers are of one target
    usual_fill: ClassVar[str] = NO_FILL
    meaning: ClassVar[Meaning]

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        raise NotImplementedError

    @property
    def joined(self) -> Channels:
        """How red, green and blue become one number."""
        raise NotImplementedError

    @property
    def closed_form(self) -> ClosedForm:
        """How its map is made."""
        return ClosedForm(JOINS[self.joined])

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        assert reply.grads is not None
        heatmap = join_channels(reply.grads[0], self.joined)
        return Attribution(heatmap, details=self.describe(reply, heatmap), meaning=self.meaning)

    def describe(self, reply: Reply, heatmap: Heatmap) -> dict[str, Any]:
        """Describe for the record what was looked at."""
        return describe_inside(self.wants, reply)
