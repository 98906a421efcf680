"""Score-CAM (Wang et al., CVPR workshop 2020).

References
----------
.. [1] Wang, Wang, Du, Yang, Zhang, Ding, Mardziel & Hu, Score-CAM: Score-weighted visual
   explanations for convolutional neural networks, CVPR workshop 2020, alg. 1,
   :arXiv:`1910.01279`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind
from onnxplain.core.flow import Flow, ImageQuery, MaskQuery
from onnxplain.core.params import Param
from onnxplain.masks.families import MapMasks
from onnxplain.methods.layers.at_layer import (
    ByChannel,
    describe_inside,
    make_attribution,
)

MEANING = Meaning("values of the channels whose own part of the photo keeps the class's score")


@dataclass(frozen=True)
class ScoreCAM(ByChannel):
    """Channels weighed by the score of what they show.

    Each channel, enlarged and brought to [0, 1], is a mask of what is kept of the photo. The
    scores of the masked photos, through a softmax over the channels, are the weights [1]_. No
    gradient is used, so that quantised models can be explained.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`). Each of its channels is an evaluation.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target; the softmax over the channels is almost one-hot if those of raw
        ones are far apart.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The paper subtracts the score of a baseline image from all scores, which does not change
    their softmax. What is removed is filled as by any other method: the default is what 0 is
    after normalisation, as in the public programs. Channels are enlarged with the centres of
    cells at half-integers; the program grad-cam enlarges from corner to corner, which moves maps
    by up to a third of their maximum. A constant channel keeps nothing of the photo.
    """

    name: ClassVar[str] = "score-cam"
    no_formula: ClassVar[str] = "it asks the model once per channel"
    usual_fill: ClassVar[str] = "dataset-mean"

    score: Annotated[ScoreKind, Param("the score of the photos that channels mask")] = "raw"

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        values = reply.layers[0][0, 0]
        scores = (yield MaskQuery(MapMasks(values, case.size), kind=self.score)).scores
        weights = _soften(scores)
        signed = np.einsum("c,chw->hw", weights, values.astype(np.float64))
        details = {
            **describe_inside(self.wants, reply, passes=1 + len(values)),
            "largest_weight": float(weights.max()),
        }
        return make_attribution(case, signed, details, relu=True, meaning=MEANING)


def _soften(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax of scores (C,)."""
    raised = np.exp(scores - scores.max())
    weights: NDArray[np.float64] = raised / raised.sum()
    return weights
