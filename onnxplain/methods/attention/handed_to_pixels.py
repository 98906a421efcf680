"""What methods have in common that hand relevance down through a transformer to the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param
from onnxplain.methods.relevance.composites import make_relevance_wants
from onnxplain.methods.relevance.handed_down import HandedDown
from onnxplain.methods.relevance.lrp import SCORE, LinearScore

DENSE = "how much positive contributions are favoured in dense layers; 0: not at all"
CONV = "the same in convolutions, such as that which cuts the image into patches"

NEGLIGIBLE = 1e-12  # where positive contributions are not favoured: the rule is the gradient's


@dataclass(frozen=True)
class HandedToPixels(HandedDown):
    """The parameters of both methods.

    Parameters
    ----------
    gamma : float
        How much positive contributions are favoured in dense layers; 0 for not at all.
    conv_gamma : float
        The same in convolutions, such as that which cuts the image into patches.
    score : {'raw', 'contrast'}
        The score of the target that is handed down.
    """

    through_attention: ClassVar[bool]

    gamma: Annotated[float, Param(DENSE, ge=0)] = 0.05
    conv_gamma: Annotated[float, Param(CONV, ge=0)] = 0.25
    score: Annotated[LinearScore, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        options = {
            "conv": "gamma" if self.conv_gamma else "epsilon",
            "dense": "gamma" if self.gamma else "epsilon",
            "gamma": self.gamma,
            "conv_gamma": self.conv_gamma,
            "epsilon": NEGLIGIBLE,
            "through_attention": self.through_attention,
        }
        return make_relevance_wants(self.score, options)
