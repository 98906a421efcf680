"""Deep Taylor decomposition (Montavon et al., Pattern Recognition 2017).

References
----------
.. [1] Montavon et al., Explaining nonlinear classification decisions with deep Taylor
   decomposition, Pattern Recognition 2017, :arXiv:`1512.02479`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param
from onnxplain.methods.relevance.composites import make_relevance_wants
from onnxplain.methods.relevance.handed_down import HandedDown

FirstRule: TypeAlias = Literal["zbox", "wsquare"]


@dataclass(frozen=True)
class DeepTaylor(HandedDown):
    """Positive evidence, handed down to the pixels.

    It is for networks of rectifiers. Each layer is expanded around a point at which it would be 0,
    and shares out what it was given by the terms of that expansion [1]_: positive contributions
    inside, squares of weights in a last layer without a rectifier, and the box between black and
    white at the image. The map has no negative part.

    Parameters
    ----------
    first : {'zbox', 'wsquare'}
        The rule of the layer that reads the image: for pixels between black and white, or for
        any number.

    Notes
    -----
    It is defined for networks whose activations are rectifiers; others are an error. A logit of 0
    or less has no positive evidence, and an empty map.
    """

    name: ClassVar[str] = "deep-taylor"

    first: Annotated[FirstRule, Param("the rule of the layer that reads the image")] = "zbox"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        options = {
            "first": self.first,
            "conv": "zplus",
            "dense": "zplus",
            "last": "wsquare",
            "zero_bias": True,
            "start": "positive",
            "rectifiers_only": True,
        }
        return make_relevance_wants("raw", options)
