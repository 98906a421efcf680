"""An image, nets and fills for the tests of MP2 and its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Case, Image
from onnxplain.core.protocols import Classifier, Differentiable, Fill
from onnxplain.engine.run import Outcome, make_jobs, run
from onnxplain.methods import MP2
from tests.helpers.nets import Picture

SIZE = (24, 24)
IMAGE: Image = np.random.default_rng(4).random((*SIZE, 3), np.float32)
SWEEPS = ["full", "lazy", "coarse", "static"]


def draw_curved_weights(seed: int) -> NDArray[np.float32]:
    """Draw weights for `tests.helpers.nets.curved`."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)


def explain(
    net: Classifier,
    method: MP2,
    fill: Fill | None = None,
    gradients: Differentiable | None = None,
    case: Case | None = None,
) -> Outcome:
    """Explain `IMAGE` or another case; raise the error if it failed."""
    case = case or Case("photo", IMAGE, 1, n_classes=10)
    jobs = make_jobs(method, [case], fill or Picture(0.0), 0)
    (outcome,) = run(net, jobs, gradients=gradients)
    if outcome.error:
        raise outcome.error
    return outcome


def linear_logits(weights: NDArray[np.float32], bias: float = 0.0) -> Any:
    """Make a function whose log-odds of class 1 are the weighted sum of the pixels."""

    def compute_logits(images: Any) -> Any:
        logit = np.einsum("nhwc,hwc->n", images.astype(np.float64), weights) + bias
        return np.stack([np.zeros_like(logit), logit], axis=1)

    return compute_logits


@dataclass(frozen=True)
class LinearGradients:
    """The gradients of the log-odds of `linear_logits`."""

    weights: NDArray[np.float32]
    bias: float = 0.0

    def score_grads(self, images: Any, targets: Any, kind: str) -> Any:
        assert kind == "log-odds"
        raw = linear_logits(self.weights, self.bias)(images).astype(np.float32)
        return raw, np.broadcast_to(self.weights, images.shape)


def sum_cells(values: NDArray[Any], grid: int) -> NDArray[Any]:
    """Sum values (H, W) over each cell of a grid that divides the size."""
    side = len(values) // grid
    return values.reshape(grid, side, grid, side).sum(axis=(1, 3)).ravel()


def find_cell_effects(weights: NDArray[np.float32], grid: int) -> NDArray[Any]:
    """Find what each cell of `IMAGE` adds to the log-odds of `linear_logits`."""
    return sum_cells((weights * IMAGE).sum(axis=-1), grid)


@dataclass(frozen=True)
class NeighbourFill:
    """A composited fill: a hole gets the pixels 8 columns away, or grey if they are in the hole."""

    asked: list[int] = field(default_factory=list, compare=False)  # masks in each call

    def prepare(self, image: Image, rng: np.random.Generator) -> Any:
        other = np.roll(image, 8, axis=1)

        def fill_holes(masks: Any) -> Any:
            self.asked.append(len(masks))
            blocked = np.roll(masks, 8, axis=2)[..., None]
            inside = np.where(blocked > 0, 0.5, other)
            return np.where(masks[..., None] > 0, inside, image)

        return fill_holes
