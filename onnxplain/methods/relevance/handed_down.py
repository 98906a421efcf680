"""What methods have in common that hand relevance down to the image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from onnxplain.core.data import Heatmap, Meaning
from onnxplain.core.flow import Reply
from onnxplain.methods.gradients.at_image import AtImage
from onnxplain.methods.gradients.channels import Channels

MEANING = Meaning("share of the score that was handed down to the pixel")


class HandedDown(AtImage):
    """The flow of these methods, whose record says how much of the score arrives."""

    meaning: ClassVar[Meaning] = MEANING

    @property
    def joined(self) -> Channels:
        """How red, green and blue become one number."""
        return "sum"

    def describe(self, reply: Reply, heatmap: Heatmap) -> dict[str, Any]:
        """Describe for the record what was looked at, and what arrived."""
        score, total = float(reply.scores[0]), float(heatmap.sum(dtype=np.float64))
        conserved = total / score if score else None
        return {**super().describe(reply, heatmap), "relevance": total, "conserved": conserved}
