"""Which batch a graph takes: what it declares, and what is proved by running it.

A declared dynamic batch can lie, and one that was made (`onnxplain.graph.rebatch`) can go wrong
without an error, so neither is believed without `prove_batch`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from onnxplain.data import Images, Size
from onnxplain.graph.shapes import declared, image_inputs

RTOL = 1e-4
# Outputs must differ from one another by so many times the tolerance.
CLEARLY = 100
ROWS = 3

Run: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


def batch_axis(proto: ModelProto, input: str | None = None) -> int | None:
    """The batch that a graph declares for its image input; None if it is dynamic."""
    for value in image_inputs(proto.graph):
        if input in (None, value.name):
            dims = declared(value)
            return dims[0] if dims else None
    return None


@dataclass(frozen=True, slots=True)
class BatchProof:
    """Whether a batch gives each image the answer that it has alone.

    Parameters
    ----------
    proved : bool
        Whether it was shown.
    reason : str
        What was seen.
    error : float
        Largest difference between both answers, relative to the largest answer.
    spread : float
        Least difference between the answers to two images, on the same scale.
    """

    proved: bool
    reason: str
    error: float = math.nan
    spread: float = math.nan


def prove_batch(run_single: Run, run_batched: Run, inputs: NDArray[Any]) -> BatchProof:
    """Compare answers to a batch with the answers to each of its images alone.

    Parameters
    ----------
    run_single : callable
        Scores (1, ...) of an input (1, ...).
    run_batched : callable
        Scores (N, ...) of inputs (N, ...); by the rewritten or the same graph. Whatever it
        raises means that the graph does not take the batch.
    inputs : (M, ...) ndarray
        Encoded images, M >= 3. The three whose answers differ most are compared; if even
        these hardly differ, agreement would show nothing.
    """
    alone = np.concatenate([_rows(run_single(inputs[i : i + 1])) for i in range(len(inputs))])
    if not np.isfinite(alone).all():
        return BatchProof(False, "the answers to the probe images are not all finite")
    scale = float(np.abs(alone).max()) or 1.0
    chosen, spread = _most_different(alone / scale)
    try:
        answer = np.asarray(run_batched(np.ascontiguousarray(inputs[chosen])))
    except Exception as raised:  # each runtime has its own, and any of them answers the question
        first = (str(raised).strip().splitlines() or [type(raised).__name__])[0]
        return BatchProof(False, f"it does not run at batch {ROWS}: {first}", spread=spread)
    if len(answer) != ROWS or answer.size != alone[chosen].size:
        shape = tuple(answer.shape)
        return BatchProof(False, f"{ROWS} images give an answer of shape {shape}", spread=spread)
    error = float(np.abs(_rows(answer) - alone[chosen]).max()) / scale
    if not error <= RTOL:
        reason = f"answers differ by {error:.1e} of the largest from those to single images"
        return BatchProof(False, reason, error, spread)
    if spread < CLEARLY * RTOL:
        reason = f"different images get answers that hardly differ (by {spread:.1e}), so that "
        return BatchProof(False, reason + "agreement shows nothing", error, spread)
    reason = f"{ROWS} images agree within {error:.1e} and differ by {spread:.1e} from one another"
    return BatchProof(True, reason, error, spread)


def probe_images(size: Size) -> Images:
    """Clearly different images (N, H, W, 3) in [0, 1] to run a proof on.

    Noise at two scales, a gradient in each direction, plain colours and stripes.
    """
    rows, columns = size
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    coarse = rng.random((8, 8, 3))
    made = [
        rng.random((rows, columns, 3)),
        coarse[(y * 7.99).astype(int), (x * 7.99).astype(int)],
        np.stack([y, x, 1 - y], axis=2),
        np.stack([np.exp(-20 * ((y - 0.5) ** 2 + (x - 0.5) ** 2))] * 3, axis=2),
        np.full((rows, columns, 3), (0.8, 0.2, 0.1)),
        np.full((rows, columns, 3), (0.1, 0.3, 0.9)),
        np.stack([(np.sin(x * 40) > 0) * 1.0] * 3, axis=2),
    ]
    return np.stack(made).astype(np.float32)


def _rows(answer: NDArray[Any]) -> NDArray[np.float64]:
    wide = np.asarray(answer)
    rows: NDArray[np.float64] = wide.reshape(len(wide), -1).astype(np.float64)
    return rows


def _most_different(answers: NDArray[np.float64]) -> tuple[list[int], float]:
    """Three answers that lie far apart, and the least distance between two of them."""
    apart = np.abs(answers[:, None] - answers[None]).max(axis=2)
    first, second = np.unravel_index(apart.argmax(), apart.shape)
    nearest = np.minimum(apart[first], apart[second])
    third = int(nearest.argmax())
    chosen = [int(first), int(second), third]
    pairs = [apart[a, b] for a in chosen for b in chosen if a < b]
    return chosen, float(min(pairs, default=0.0))
