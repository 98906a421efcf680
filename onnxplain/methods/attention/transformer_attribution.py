"""Transformer attribution (Chefer, Gur & Wolf, CVPR 2021).

References
----------
.. [1] Chefer, Gur & Wolf, Transformer interpretability beyond attention visualization, CVPR 2021,
   eq. 5 to 14, :arXiv:`2012.09838`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.inside import Array, RuleTable, Tensors
from onnxplain.core.params import Param
from onnxplain.methods.attention.generic_attention import weigh_heads
from onnxplain.methods.attention.on_attention import OnAttention, add_what_is_read
from onnxplain.methods.layers.at_layer import describe_inside
from onnxplain.methods.relevance.lrp import SCORE, LinearScore

RULES = {
    "conv": "zplus",
    "dense": "zplus",
    "residual": True,
    "start": "one",
    "through_attention": True,
    "tiny": 1e-9,  # what the authors add to denominators
    "zero_bias": True,
}


@dataclass(frozen=True)
class TransformerAttribution(OnAttention):
    """Attention for the class, weighed by relevance.

    Relevance propagation tells what attention weights contribute, R, and the gradient G of the
    score which of them speak for the class. The map is a rollout of ``I + mean_heads((G R)+)``
    over all blocks [1]_.

    Parameters
    ----------
    score : {'raw', 'contrast'}
        The score of the target that is differentiated and handed down.
    layer : str
        ``attention``, or with the grid of the patches behind it, ``attention@14x14``.
    found : tuple of Layer
        The attention weights of each block, which the classifier finds.

    Notes
    -----
    Dense layers share out by positive contributions without biases. As in the authors' program,
    normalisations hand relevance on as it is, and sums do not let what their terms get outgrow
    what there is. Both divide by single values, so that a number near 0 has a large share.
    """

    name: ClassVar[str] = "transformer-attribution"
    no_formula: ClassVar[str] = "it goes back twice, by the gradient and by relevance"
    adaptive: ClassVar[bool] = True  # slopes and relevance are of one target
    meaning: ClassVar[Meaning] = Meaning("relevant attention that speaks for the class, unitless")

    score: Annotated[LinearScore, Param(SCORE)] = "raw"

    @property
    def wants(self) -> Tensors:
        """What its query asks: relevance per unit of the weights, and the slopes by them."""
        table = RuleTable("relevance", tuple(sorted(RULES.items())), yields="relevance")
        return Tensors(self.found, score=self.score, rules=table, slopes=True)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        n = len(self.found)
        reductions = (*[multiply] * n, *[take_slopes] * n)
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=reductions)
        blocks = list(map(weigh_heads, reply.layers[:n], reply.layers[n:]))
        details = describe_inside(self.wants, reply)
        return self.draw_patches(case, blocks, add_what_is_read, details)


def take_slopes(values: Array, grads: Array | None) -> NDArray[np.float32]:
    """Return the slopes alone."""
    assert grads is not None
    return grads


def multiply(values: Array, grads: Array | None) -> NDArray[np.float32]:
    """Return the relevance of each weight: its value times that per unit."""
    assert grads is not None
    return values * grads
