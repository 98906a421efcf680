"""Prove that a graph gives each image of a batch the answer that it has alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from onnxplain.core.data import Images, Size
from onnxplain.graph.shapes import list_fed_inputs, read_declared_dims

RTOL = 1e-4  # tolerance, relative to the largest answer
# Different images' answers must differ by at least this many times the tolerance.
CLEARLY = 100
ROWS = 3  # images of the batch that is tried

Run: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


def read_fixed_batch(proto: ModelProto, input: str | None = None) -> int | None:
    """Return the batch that a graph declares for its image input; None if it is dynamic."""
    for value in list_fed_inputs(proto.graph):
        if input in (None, value.name):
            dims = read_declared_dims(value)
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
        What was observed.
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
    """Compare the answers to a batch with the answers to each of its images alone.

    Parameters
    ----------
    run_single : callable
        Returns the scores (1, ...) of an input (1, ...).
    run_batched : callable
        Returns the scores (N, ...) of inputs (N, ...), by the rewritten or the same graph.
        Any exception that it raises means that the graph does not take the batch.
    inputs : (M, ...) ndarray
        Encoded images, M >= 3. The three whose answers differ most are compared; if even
        these hardly differ, agreement would show nothing.
    """
    alone = np.concatenate(
        [_flatten_rows(run_single(inputs[i : i + 1])) for i in range(len(inputs))]
    )
    if not np.isfinite(alone).all():
        return BatchProof(False, "the answers to the probe images are not all finite")
    scale = float(np.abs(alone).max()) or 1.0
    chosen, spread = _choose_most_different(alone / scale)
    try:
        answer = np.asarray(run_batched(np.ascontiguousarray(inputs[chosen])))
    except Exception as error:  # each runtime has its own, and any of them answers the question
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return BatchProof(False, f"it does not run at batch {ROWS}: {line}", spread=spread)
    if len(answer) != ROWS or answer.size != alone[chosen].size:
        shape = tuple(answer.shape)
        return BatchProof(False, f"{ROWS} images give an answer of shape {shape}", spread=spread)
    difference = float(np.abs(_flatten_rows(answer) - alone[chosen]).max()) / scale
    if not difference <= RTOL:
        reason = f"answers differ by {difference:.1e} of the largest from those to single images"
        return BatchProof(False, reason, difference, spread)
    if spread < CLEARLY * RTOL:
        reason = f"different images get answers that hardly differ (by {spread:.1e}), so that "
        return BatchProof(False, reason + "agreement shows nothing", difference, spread)
    reason = (
        f"{ROWS} images agree within {difference:.1e} and differ by {spread:.1e} from one another"
    )
    return BatchProof(True, reason, difference, spread)


def make_probe_images(size: Size) -> Images:
    """Make clearly different images (N, H, W, 3) in [0, 1] to run a proof on.

    Noise at two scales, a gradient in each direction, a bright spot, plain colours, stripes.
    """
    rows, columns = size
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    coarse = rng.random((8, 8, 3))
    images = [
        rng.random((rows, columns, 3)),
        coarse[(y * 7.99).astype(int), (x * 7.99).astype(int)],
        np.stack([y, x, 1 - y], axis=2),
        np.stack([np.exp(-20 * ((y - 0.5) ** 2 + (x - 0.5) ** 2))] * 3, axis=2),
        np.full((rows, columns, 3), (0.8, 0.2, 0.1)),
        np.full((rows, columns, 3), (0.1, 0.3, 0.9)),
        np.stack([(np.sin(x * 40) > 0) * 1.0] * 3, axis=2),
    ]
    return np.stack(images).astype(np.float32)


def _flatten_rows(answer: NDArray[Any]) -> NDArray[np.float64]:
    array = np.asarray(answer)
    rows: NDArray[np.float64] = array.reshape(len(array), -1).astype(np.float64)
    return rows


def _choose_most_different(answers: NDArray[np.float64]) -> tuple[list[int], float]:
    """Return the indices of three answers far apart, and the least distance between two."""
    distances = np.array([np.abs(answers - answer).max(axis=1) for answer in answers])
    first, second = np.unravel_index(distances.argmax(), distances.shape)
    nearest = np.minimum(distances[first], distances[second])
    third = int(nearest.argmax())
    chosen = [int(first), int(second), third]
    pairs = [distances[a, b] for a in chosen for b in chosen if a < b]
    return chosen, float(min(pairs, default=0.0))
