"""SmoothGrad (Smilkov, Thorat, Kim, Viégas & Wattenberg, 2017).

References
----------
.. [1] Smilkov, Thorat, Kim, Viégas & Wattenberg, SmoothGrad: removing noise by adding noise,
   2017, sec. 3, :arXiv:`1706.03825`
.. [2] Adebayo, Gilmer, Goodfellow & Kim, Local explanation methods for deep neural networks lack
   sensitivity to parameter values, ICLR workshop 2018, :arXiv:`1810.03307`
.. [3] Hooker, Erhan, Kindermans & Kim, A benchmark for interpretability methods in deep neural
   networks, NeurIPS 2019, :arXiv:`1806.10758`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, ScoreKind, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.gradients.channels import CHANNELS, Channels, join_channels
from onnxplain.methods.gradients.rectified import make_wants
from onnxplain.methods.layers.at_layer import SCORE, describe_inside

MEANINGS = {
    "mean": Meaning("mean change of the score with the pixel, over noisy copies of the image"),
    "square": Meaning("mean squared change of the score with the pixel, over noisy copies"),
    "variance": Meaning("variance of the change of the score with the pixel, over noisy copies"),
}


@dataclass(frozen=True)
class SmoothGrad(Parametrised):
    """Mean gradient of noisy copies of the image [1]_.

    Parameters
    ----------
    n_samples : int
        Number of noisy copies; four times as many halve the noise in the map.
    level : float
        Standard deviation of the noise, as a share of the range of the image's values.
    of : {'gradient', 'guided-backprop', 'deconvnet'}
        The method that is averaged.
    statistic : {'mean', 'square', 'variance'}
        The mean of the gradients, of their squares (SmoothGrad squared [3]_), or their variance
        (VarGrad [2]_).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated.
    channels : {'max-abs', 'sum', 'l2', 'sum-abs'}
        How red, green and blue become one number.

    Notes
    -----
    As in the paper, the noisy values are not clipped to [0, 1]: clipping would bias the mean.
    """

    name: ClassVar[str] = "smoothgrad"
    no_formula: ClassVar[str] = "it draws at random"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    n_samples: Annotated[int, Param("number of noisy copies of the image", ge=2)] = 50
    level: Annotated[
        float, Param("standard deviation of the noise, relative to the image's range", gt=0, le=1)
    ] = 0.15
    of: Annotated[
        Literal["gradient", "guided-backprop", "deconvnet"], Param("the method that is averaged")
    ] = "gradient"
    statistic: Annotated[
        Literal["mean", "square", "variance"], Param("what is shown of the noisy gradients")
    ] = "mean"
    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        if self.of == "gradient":
            return Tensors(image=True, score=self.score)
        table = "guided" if self.of == "guided-backprop" else self.of
        return make_wants(table, self.score, extended=True)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per copy."""
        return self.n_samples

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case with random noise."""
        sigma = self.level * float(np.ptp(case.image))
        noise = rng.normal(0, sigma, (self.n_samples, *case.image.shape))
        reply = yield ImageQuery((case.image + noise).astype(np.float32), wants=self.wants)
        assert reply.grads is not None
        grads = reply.grads.astype(np.float64)
        mean = ((grads**2) if self.statistic == "square" else grads).mean(axis=0)
        shown = grads.var(axis=0) if self.statistic == "variance" else mean
        details = describe_inside(self.wants, reply, passes=self.n_samples)
        heatmap = join_channels(shown, self.channels)
        return Attribution(heatmap, details=details, meaning=MEANINGS[self.statistic])
