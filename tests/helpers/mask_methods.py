"""A small case and nets on which the methods that optimise a mask are tested."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Case, Image, Mask, make_rng
from onnxplain.core.flow import Flow, ImageQuery, Query, Reply
from onnxplain.core.protocols import Classifier, Differentiable
from onnxplain.engine.run import Job, Outcome, run
from tests.helpers.nets import CurvedGradients, Net, Picture, curved

_RNG = np.random.default_rng(5)
SIZE = (16, 20)
IMAGE: Image = _RNG.random((*SIZE, 3), np.float32)
WEIGHTS: NDArray[np.float32] = (_RNG.standard_normal((*SIZE, 3, 2)) * 0.05).astype(np.float32)
REGION = np.zeros((*SIZE, 3), np.float32)
REGION[:8, :10] = 0.05  # one quarter of the image


def explain(
    method: Any,
    net: Classifier | None = None,
    fill: float = 0.5,
    gradients: Differentiable | None = None,
) -> Outcome:
    """Explain `IMAGE` on the curved net or another, by gradients if that is left open."""
    case = Case("photo", IMAGE, 1, n_classes=2)
    method = method.settled(gradients=True)
    job = Job((case,), (method.flow(case, make_rng(0, "photo")),), Picture(fill))
    net = net or Net(curved(WEIGHTS), SIZE)
    (outcome,) = run(net, [job], gradients=gradients or CurvedGradients(WEIGHTS))
    if outcome.error:
        raise outcome.error
    return outcome


def record_masks(flow: Flow[Any], seen: list[Mask]) -> Generator[Query, Reply, Any]:
    """Run the same flow, and append to `seen` all masks that it asks about."""
    reply: Any = None
    while True:
        try:
            query = flow.send(reply)
        except StopIteration as stop:
            return stop.value
        if not isinstance(query, ImageQuery):
            seen.append(query.masks.render(0, len(query)))
        reply = yield query


def score_region(images: Any) -> Any:
    """Log-odds of class 1 are the brightness of the region, less 3."""
    odds = np.einsum("nhwc,hwc->n", images.astype(np.float64), REGION) - 3
    return np.stack([np.zeros_like(odds), odds], axis=1)


class RegionGradients:
    """The gradients of `make_region_net`, in closed form."""

    def score_grads(self, images: Any, targets: Any, kind: str) -> Any:
        raw = score_region(images).astype(np.float32)
        p = 1 / (1 + np.exp(-raw[:, 1]))
        slope = np.ones_like(p) if kind == "log-odds" else p * (1 - p)
        return raw, (slope[:, None, None, None] * REGION).astype(np.float32)


def make_region_net() -> tuple[Net, RegionGradients]:
    """Log-odds grow with the brightness of one quarter of the image, and of nothing else."""
    return Net(score_region, SIZE, "logits"), RegionGradients()


def check_evidence_in_region(coarse: NDArray[np.float32]) -> None:
    """Check that the 2 x 2 cells of the region have more evidence than all others of 4 x 4."""
    inside = np.zeros((4, 4), bool)
    inside[:2, :2] = True
    assert coarse[inside].min() > coarse[~inside].max()
