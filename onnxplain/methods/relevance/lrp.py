"""Layer-wise relevance propagation (Bach et al., PLoS ONE 2015).

References
----------
.. [1] Bach et al., On pixel-wise explanations for non-linear classifier decisions by layer-wise
   relevance propagation, PLoS ONE 2015
.. [2] Kohlbrenner et al., Towards best practice in explaining neural network decisions with LRP,
   IJCNN 2020, :arXiv:`1910.09840`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param
from onnxplain.methods.relevance.composites import (
    COMPOSITES,
    Composite,
    make_relevance_wants,
)
from onnxplain.methods.relevance.handed_down import HandedDown

# The scores of which relevance is linear in what the last layer makes.
LinearScore: TypeAlias = Literal["raw", "contrast"]
SCORE = "the score that is handed down: the logit, or the logit less those of similar classes"


@dataclass(frozen=True)
class LRP(HandedDown):
    """The score, handed down layer by layer.

    Each layer shares out what it was given among its inputs, by what they contributed [1]_. Which
    contributions count is a rule of the layer, and a composite says which layer has which rule
    [2]_.

    Parameters
    ----------
    composite : str
        The rules. ``epsilon-plus-flat``: positive contributions alone in convolutions, all of
        them in dense layers, and the same for all inputs in the layer that reads the image.
        ``epsilon-plus`` is the same without the last. ``epsilon-alpha2-beta1`` and
        ``epsilon-alpha2-beta1-flat`` also show what speaks against the class, and
        ``epsilon-gamma-box`` favours positive contributions and knows how dark and bright a pixel
        can be. ``gamma`` and ``epsilon`` have one rule everywhere; ``epsilon`` with a small
        epsilon is input times gradient.
    epsilon : float
        What is added to denominators of the rule epsilon, away from 0. Where it is large, weak
        contributions are left out.
    gamma : float
        How much positive contributions are favoured by the rule gamma.
    zero_bias : bool
        Whether biases count as nothing, so that they keep no share of the score.
    score : {'raw', 'contrast'}
        The score of the target that is handed down.

    Notes
    -----
    The record says how much of the score arrives (``conserved``); biases keep the rest. A batch
    normalisation is merged into the layer before it, and factors such as the gates of SiLU and
    squeeze-and-excitation are held fixed. Where a batch normalisation cannot be merged it hands
    everything down to its input.
    """

    name: ClassVar[str] = "lrp"

    composite: Annotated[Composite, Param("which rule each layer has")] = "epsilon-plus-flat"
    epsilon: Annotated[
        float, Param("in the rule epsilon: what keeps denominators from 0", gt=0)
    ] = 1e-6
    gamma: Annotated[
        float, Param("in the rule gamma: how much positive contributions are favoured", ge=0)
    ] = 0.25
    zero_bias: Annotated[bool, Param("leave biases out, so that they keep no share")] = False
    score: Annotated[LinearScore, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        numbers = {"epsilon": self.epsilon, "gamma": self.gamma, "zero_bias": self.zero_bias}
        return make_relevance_wants(self.score, {**COMPOSITES[self.composite], **numbers})
