"""FullGrad (Srinivas & Fleuret, NeurIPS 2019).

The score of a piecewise linear network is a sum: of the image times its gradient, and of every
bias times the gradient at the positions where it is added.

References
----------
.. [1] Srinivas & Fleuret, Full-gradient representation for neural network visualization, NeurIPS
   2019, prop. 1 and eq. 4, :arXiv:`1905.00780`
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Layer, Meaning, ScoreKind, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.inside import BIASES, Array, Tensors
from onnxplain.core.params import Param, Parametrised
from onnxplain.methods.layers.at_layer import SCORE, describe_inside
from onnxplain.methods.layers.norm_grad import ROUNDING
from onnxplain.methods.layers.reduce import enlarge

Rescale: TypeAlias = Literal["layer", "channel", "none"]
Wide: TypeAlias = NDArray[np.float64]
MEANING = Meaning("magnitudes of what image and biases add to the score there")


@dataclass(frozen=True)
class FullGrad(Parametrised):
    """Shares of the image and of all biases in the score.

    The map is the sum, over the image and all layers with a grid, of the magnitudes of values
    times gradients, where the values are the normalised image, and the biases elsewhere [1]_.

    Parameters
    ----------
    rescale : {'layer', 'channel', 'none'}
        What is brought to [0, 1] before it is summed: each layer as a whole, as in the authors'
        program; each channel, as in the paper; or nothing, so that a layer counts as much as it
        adds to the score.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The image and the layers with a bias, which the classifier finds.

    Notes
    -----
    A batch normalisation, and products and sums with constants behind a layer, count as part of
    the layer, so that the map does not depend on whether an exporter merged them. Biases behind
    the last grid add to the score, but have no place in the map. For rectifiers, max-pooling and
    all that is linear, the shares sum to the score. Other activations have biases of their own,
    which the method leaves out; `gap` in the record is the part of the score that is missing,
    relative to the larger of sum and score.
    """

    name: ClassVar[str] = "fullgrad"
    no_formula: ClassVar[str] = "it enlarges the maps of all layers, each of its own size"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL
    layer: ClassVar[str] = BIASES

    rescale: Annotated[Rescale, Param("what is brought to [0, 1] before it is summed")] = "layer"
    score: Annotated[ScoreKind, Param(SCORE)] = "raw"
    found: tuple[Layer, ...] = field(default=(), repr=False, kw_only=True)

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        return Tensors(self.found, score=self.score)

    def at(self, layers: tuple[Layer, ...]) -> FullGrad:
        """Return the method with its layers found."""
        return replace(self, found=layers)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reductions = tuple(partial(_reduce, layer.bias, self.rescale) for layer in self.found)
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=reductions)
        heatmap = np.zeros(case.size)
        total = 0.0
        for layer, ((magnitudes, sums),) in zip(self.found, reply.layers, strict=True):
            total += float(sums.sum(dtype=np.float64))
            if min(layer.grid) > 1:
                heatmap += enlarge(magnitudes, case.size)
        score = float(reply.scores[0])
        details = {
            **describe_inside(self.wants, reply),
            "sum": total,
            "gap": abs(total - score) / max(abs(total), abs(score), 1e-6),
        }
        return Attribution(heatmap.astype(np.float32), details=details, meaning=MEANING)


def _reduce(
    bias: NDArray[np.floating[Any]] | None, rescale: Rescale, values: Array, grads: Array | None
) -> NDArray[np.floating[Any]]:
    """Return the summed magnitudes and the sums of what each channel adds, (N, 2, h, w)."""
    assert grads is not None
    shares = (values if bias is None else bias.astype(np.float32)) * grads
    maps = [(_add_magnitudes(share, rescale), share.sum(0, np.float64)) for share in shares]
    return np.array(maps)


def _add_magnitudes(share: NDArray[np.float32], rescale: Rescale) -> Wide:
    """Sum the magnitudes (h, w) of what each channel adds, (C, h, w); a flat one counts as 0."""
    sizes = np.abs(share)
    low, high = (np.zeros(len(sizes)), np.ones(len(sizes)))
    if rescale == "channel":
        low, high = (end((1, 2)).astype(np.float64) for end in (sizes.min, sizes.max))
    elif rescale == "layer":
        low, high = (np.full(len(sizes), end(), np.float64) for end in (sizes.min, sizes.max))
    varies = high - low > ROUNDING * high
    weights = np.where(varies, 1 / np.where(varies, high - low, 1), 0)
    # What is subtracted is the same at all positions.
    summed: Wide = np.tensordot(weights, sizes, 1) - weights @ low
    return summed
