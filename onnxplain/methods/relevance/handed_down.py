"""What methods have in common that hand relevance down to the image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Parametrised
from onnxplain.methods.gradients.channels import JOINS, join_channels
from onnxplain.methods.layers.at_layer import describe_inside

MEANING = Meaning("share of the score that was handed down to the pixel")


class HandedDown(Parametrised):
    """The flow of these methods: one look at the relevance of the image's values."""

    adaptive: ClassVar[bool] = True  # the relevance is of one target
    usual_fill: ClassVar[str] = NO_FILL
    closed_form: ClassVar[ClosedForm] = ClosedForm(JOINS["sum"])

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        raise NotImplementedError

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        assert reply.grads is not None
        heatmap = join_channels(reply.grads[0], "sum")
        score, total = float(reply.scores[0]), float(heatmap.sum(dtype=np.float64))
        details = {
            **describe_inside(self.wants, reply),
            "relevance": total,
            "conserved": total / score if score else None,
        }
        return Attribution(heatmap, details=details, meaning=MEANING)
