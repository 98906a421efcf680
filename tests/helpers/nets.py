"""NumPy classifiers with known answers, for tests that need no ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import (
    Attribution,
    Case,
    Image,
    Images,
    Outputs,
    Preprocessing,
    ScoreKind,
    Scores,
    Size,
)
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import Method
from onnxplain.core.protocols import Differentiable, Fill, Part
from onnxplain.engine.jobs import Outcome, make_jobs
from onnxplain.engine.run import run


@dataclass(eq=False)
class Net:
    """The plainest possible `Classifier`: a function of images, with masks composed plainly."""

    function: Any  # (N, H, W, 3) -> (N, K)
    size: Size
    preprocessing = Preprocessing()
    outputs: Outputs = "probabilities"
    batch_size: int = 4
    workers: int = 1
    calls: list[int] = field(default_factory=list)  # number of images in each call
    slopes: Differentiable | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("no", "yes")

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"model": "net"}

    def scores(self, images: Images) -> Scores:
        parts = [images[i : i + self.batch_size] for i in range(0, len(images), self.batch_size)]
        self.calls += [len(part) for part in parts]
        return np.concatenate([np.asarray(self.function(part), np.float32) for part in parts])

    def planes(self, image: Image, fill: Image) -> tuple[Image, Image]:
        return image, fill

    def gradients(self) -> Differentiable:
        if self.slopes is None:
            raise ModelError("a net has no gradients")
        return self.slopes

    def masked_scores(self, parts: Sequence[Part]) -> Scores:
        composed = []
        for (image, fill), masks, start, stop in parts:
            removed = masks.render(start, stop)[..., None]
            composed.append(image * (1 - removed) + fill * removed)
        return self.scores(np.concatenate(composed))


def additive(weights: NDArray[np.float32], base: float = 0.0) -> Any:
    """A score of class 1 that is a weighted sum of all pixels: parts do not interact."""

    def function(images: Images) -> Scores:
        score = base + np.einsum("nhwc,hwc->n", images.astype(np.float64), weights)
        return np.stack([1 - score, score], axis=1)

    return function


def curved(weights: NDArray[np.float32]) -> Any:
    """A smooth non-linear score of class 1 in (0, 1), different for every image."""

    def function(images: Images) -> Scores:
        inner = np.einsum("nhwc,hwck->nk", images.astype(np.float64), weights)
        score = 1 / (1 + np.exp(-np.sin(inner).sum(axis=1)))
        return np.stack([1 - score, score], axis=1)

    return function


@dataclass(frozen=True, eq=False)
class CurvedGradients:
    """The gradients of `curved`, in closed form."""

    weights: NDArray[np.float32]

    def score_grads(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        inner = np.einsum("nhwc,hwck->nk", images.astype(np.float64), self.weights)
        score = 1 / (1 + np.exp(-np.sin(inner).sum(axis=1)))
        slope = np.ones_like(score) if kind == "log-odds" else score * (1 - score)
        slope = np.where(targets == 1, slope, -slope)
        grads = np.einsum("n,nk,hwck->nhwc", slope, np.cos(inner), self.weights)
        return np.stack([1 - score, score], axis=1).astype(np.float32), grads.astype(np.float32)


@dataclass(frozen=True)
class Picture:
    """A fill of one value everywhere."""

    value: float = 0.0

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        return np.full_like(image, self.value)


@dataclass(frozen=True)
class ShiftedWhereRemoved:
    """A fill that depends on the mask: the image plus the share of pixels removed."""

    def prepare(self, image: Image, rng: np.random.Generator) -> Any:
        return lambda masks: np.clip(image + masks.mean(axis=(1, 2))[:, None, None, None], 0, 1)


def explain_image(net: Net, method: Method, fill: Fill, image: Image) -> Outcome[Attribution]:
    """Explain class 1 of one image through the engine, and raise its error if it fails."""
    case = Case("photo", image, 1)
    (outcome,) = run(net, make_jobs(method, [case], fill, 0))
    if outcome.error:
        raise outcome.error
    return outcome
