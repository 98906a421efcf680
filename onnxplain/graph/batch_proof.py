"""Prove that a graph gives each image of a batch the answer that it has alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from onnxplain.core.data import Images, Size
from onnxplain.graph.shapes import list_fed_inputs, read_declared_dims

RTOL = 1e-4  # tolerance, relative to the largest answer
# Different images' answers must differ by at least this many times the tolerance.
CLEARLY = 100
TWICE = 3  # images that are run twice, to see whether the answer is the same

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
        Least difference between the answers to two of the three images whose answers differ
        most, on the same scale.
    """

    proved: bool
    reason: str
    error: float = math.nan
    spread: float = math.nan


@dataclass(frozen=True, slots=True)
class SingleAnswers:
    """The answers to images alone, each in a batch that holds nothing else.

    Parameters
    ----------
    values : (M, D) ndarray
        The answers, flattened.
    again : float
        Largest difference between two answers to the same image, relative to the largest answer.
    places : float
        Largest difference between the rows of a batch of one image, on the same scale.
    problem : str
        Why the answers are not one row per image, or "".
    """

    values: NDArray[np.float64]
    again: float = 0.0
    places: float = 0.0
    problem: str = ""

    @property
    def scale(self) -> float:
        """The largest answer."""
        finite = self.values[np.isfinite(self.values)]
        return float(np.abs(finite).max(initial=0)) or 1.0


def answer_alone(run: Run, inputs: NDArray[Any], rows: int = 1) -> SingleAnswers:
    """Run images alone, the first `TWICE` of them twice.

    Parameters
    ----------
    run : callable
        Returns the scores (rows, ...) of an input (rows, ...).
    inputs : (M, ...) ndarray
        Encoded images.
    rows : int
        Rows of the batch; each holds the same image.
    """

    def answer(i: int) -> NDArray[np.float64]:
        return _flatten_rows(run(np.repeat(inputs[i : i + 1], rows, axis=0)))

    answers = [answer(i) for i in range(len(inputs))]
    if any(len(answer) != rows for answer in answers):
        problem = f"a batch of {rows} gives {len(answers[0])} rows"
        return SingleAnswers(np.stack([answer.ravel() for answer in answers]), problem=problem)
    alone = SingleAnswers(np.stack([answer[0] for answer in answers]))
    again = max(
        _measure_difference(answer(i), first, alone.scale)
        for i, first in enumerate(answers[:TWICE])
    )
    places = max(_measure_difference(answer, answer[:1], alone.scale) for answer in answers)
    return replace(alone, again=again, places=places)


def fill_rows(n: int, rows: int) -> NDArray[np.intp]:
    """Return which of n images each row holds when they fill batches of `rows` rows in turn."""
    return np.arange(-(-n // rows) * rows) % n


def prove_batch(
    alone: SingleAnswers, run_batched: Run, inputs: NDArray[Any], rows: int | None = None
) -> BatchProof:
    """Compare the answers to a batch with the answers to each of its images alone.

    Parameters
    ----------
    alone : SingleAnswers
        The answers of the graph, or of the one that was rewritten, to each image alone. If even
        the three that differ most hardly differ, agreement would show nothing.
    run_batched : callable
        Returns the scores (N, ...) of inputs (N, ...), by the rewritten or the same graph.
        Any exception that it raises means that the graph does not take the batch.
    inputs : (M, ...) ndarray
        Encoded images, M >= 3.
    rows : int, optional
        The only batch that the graph takes; if not given, all images go in at once.
    """
    if not np.isfinite(alone.values).all():
        return BatchProof(False, "the answers to the probe images are not all finite")
    spread = _measure_spread(alone.values / alone.scale)
    n = len(inputs)
    step = rows or n
    order = fill_rows(n, step)
    answers = []
    for start in range(0, len(order), step):
        batch = np.ascontiguousarray(inputs[order[start : start + step]])
        try:
            answer = np.asarray(run_batched(batch))
        except Exception as error:  # each runtime has its own, and any of them answers the question
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return BatchProof(False, f"it does not run at batch {step}: {line}", spread=spread)
        if len(answer) != step or answer.size != step * alone.values.shape[1]:
            reason = f"{step} images give an answer of shape {tuple(answer.shape)}"
            return BatchProof(False, reason, spread=spread)
        answers.append(_flatten_rows(answer))
    difference = _measure_difference(np.concatenate(answers), alone.values[order], alone.scale)
    if difference > RTOL:
        reason = f"answers differ by {difference:.1e} of the largest from those to single images"
        return BatchProof(False, reason, difference, spread)
    if spread < CLEARLY * RTOL:
        reason = f"different images get answers that hardly differ (by {spread:.1e}), so that "
        return BatchProof(False, reason + "agreement shows nothing", difference, spread)
    reason = f"{n} images agree within {difference:.1e} and differ by {spread:.1e} from one another"
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
    if array.ndim == 0:
        array = array[None]
    rows: NDArray[np.float64] = array.reshape(len(array), -1).astype(np.float64)
    return rows


def _measure_difference(
    answers: NDArray[np.float64], others: NDArray[np.float64], scale: float
) -> float:
    """Return the largest difference relative to the scale; the same NaN or infinity is equal."""
    are_equal = (answers == others) | (np.isnan(answers) & np.isnan(others))
    with np.errstate(invalid="ignore"):
        differences = np.where(are_equal, 0, np.abs(answers - others)) / scale
    return float(np.nan_to_num(differences, nan=math.inf).max(initial=0))


def _measure_spread(answers: NDArray[np.float64]) -> float:
    """Return the least distance between two of three answers far apart."""
    distances = np.array([np.abs(answers - answer).max(axis=1) for answer in answers])
    first, second = np.unravel_index(distances.argmax(), distances.shape)
    nearest = np.minimum(distances[first], distances[second])
    third = int(nearest.argmax())
    chosen = [int(first), int(second), third]
    pairs = [distances[a, b] for a in chosen for b in chosen if a < b]
    return float(min(pairs, default=0.0))
