"""Ablation-CAM (Desai & Ramaswamy, WACV 2020).

References
----------
.. [1] Desai & Ramaswamy, Ablation-CAM: Visual explanations for deep convolutional network via
   gradient-free localization, WACV 2020, eq. 3 and 4, :doi:`10.1109/WACV45572.2020.9093360`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery, TailQuery
from onnxplain.core.params import Param
from onnxplain.methods.layers.at_layer import (
    ByChannel,
    describe_inside,
    make_attribution,
)
from onnxplain.methods.layers.reduce import stabilise

QUOTIENT_EPS = 1e-6
MEANING = Meaning("values of the channels without which the class's score falls, as a share of it")


@dataclass(frozen=True)
class AblationCAM(ByChannel):
    """Channels weighed by the score lost without them.

    The weight of a channel is ``(z - z_without) / z``, where z is the score and the channel is
    set to 0 [1]_. Only what is behind the layer runs for each channel. No gradient is used, so
    that quantised models can be explained.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`): a cut, through which alone the scores
        depend on the image. Each of its channels is an evaluation of what is behind it.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The score in the denominator is moved away from 0 by 1e-6 and keeps its sign. If it is
    negative, the quotient is positive for channels that lower the score, and the map shows
    those; ``negative_score`` in the record says so. The program grad-cam takes a value far below
    all others in place of 0 where activations can be negative, and then divides differently.
    """

    name: ClassVar[str] = "ablation-cam"
    no_formula: ClassVar[str] = "it runs what is behind the layer once per channel"
    usual_fill: ClassVar[str] = NO_FILL

    score: Annotated[ScoreKind, Param("the score that channels are taken from")] = "raw"

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        (layer,) = self.found
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        values, score = reply.layers[0][0, 0], reply.scores[0]

        def remove_channels(start: int, stop: int) -> NDArray[np.float32]:
            versions = np.repeat(values[None], stop - start, axis=0)
            versions[range(stop - start), range(start, stop)] = 0
            return versions

        without = (yield TailQuery(layer, len(values), remove_channels, kind=self.score)).scores
        weights = (score - without) / stabilise(score, QUOTIENT_EPS)
        signed = np.einsum("c,chw->hw", weights, values.astype(np.float64))
        details = {
            **describe_inside(self.wants, reply),
            "tails": len(values),
            "negative_score": bool(score < 0),
        }
        return make_attribution(case, signed, details, relu=True, meaning=MEANING)
