"""Generic attention explainability (Chefer, Gur & Wolf, ICCV 2021).

References
----------
.. [1] Chefer, Gur & Wolf, Generic attention-model explainability for interpreting bi-modal and
   encoder-decoder transformers, ICCV 2021, eq. 1, 5 and 6, :arXiv:`2103.15679`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.formulas import CHANNELS, ClosedForm, Formula, Ops, Values
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param
from onnxplain.methods.attention.on_attention import OnAttention, add_what_is_read
from onnxplain.methods.layers.at_layer import SCORE, describe_inside


@Formula
def weigh_heads(ops: Ops, values: Values, grads: Values) -> Values:
    """Return the mean over heads of what speaks for the class, ``(G A)+``."""
    return ops.mean(ops.relu(grads * values), CHANNELS)


@dataclass(frozen=True)
class GenericAttention(OnAttention):
    """Attention that speaks for the class.

    The relevance R of patches for tokens begins as the identity, and each block adds to it what
    is read through attention with a positive effect on the score: ``R + mean_heads((G A)+) R``,
    with the attention weights A and the gradient G of the score by them [1]_.

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

    closed_form: ClassVar[ClosedForm] = ClosedForm(weigh_heads, follow=add_what_is_read)

    score: Annotated[ScoreKind, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(self.found, score=self.score)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=weigh_heads)
        details = describe_inside(self.wants, reply)
        return self.draw_patches(case, reply.layers, add_what_is_read, details)
