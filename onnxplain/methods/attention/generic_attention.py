"""Generic attention explainability (Chefer, Gur & Wolf, ICCV 2021).

References
----------
.. [1] Chefer, Gur & Wolf, Generic attention-model explainability for interpreting bi-modal and
   encoder-decoder transformers, ICCV 2021, eq. 1, 5 and 6, :arXiv:`2103.15679`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.inside import Array, Tensors
from onnxplain.core.params import Param
from onnxplain.methods.attention.on_attention import OnAttention, begin
from onnxplain.methods.layers.at_layer import SCORE, describe_inside


@dataclass(frozen=True)
class GenericAttention(OnAttention):
    """Attention that speaks for the class, followed through all blocks.

    The relevance R of patches for tokens begins as the identity, and each block adds to it what
    is read through attention with a positive effect on the score: ``R + mean_heads((G A)+) R``,
    with the attention weights A and the slopes G of the score by them [1]_.

    Parameters
    ----------
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    layer : str
        ``attention``, or with the grid of the patches behind it, ``attention@14x14``.
    found : tuple of Layer
        The attention weights of each block, which the classifier finds.
    """

    name: ClassVar[str] = "generic-attention"
    adaptive: ClassVar[bool] = True  # the slopes are of one target
    meaning: ClassVar[Meaning] = Meaning("attention that speaks for the class, without a unit")

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(self.found, score=self.score)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=weigh_heads)
        blocks = [weights.astype(np.float64) for (weights,) in reply.layers]
        read = begin(self.tokens, len(blocks[0]))
        for attention in reversed(blocks):
            read = read + read @ attention
        return self.draw_patches(case, read, describe_inside(self.wants, reply))


def weigh_heads(values: Array, grads: Array | None) -> NDArray[np.floating[Any]]:
    """Return the mean over heads (N, T, T) of what speaks for the class, ``(G A)+``."""
    assert grads is not None
    mean: NDArray[np.floating[Any]] = np.maximum(values * grads, 0).mean(axis=1)
    return mean
