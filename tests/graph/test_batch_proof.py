"""A batch is proved only where it runs and gives clearly different images their own answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from onnxplain.graph.batch_proof import (
    RTOL,
    answer_alone,
    fill_rows,
    make_probe_images,
    prove_batch,
    read_fixed_batch,
)
from tests.helpers import models

PROBES = make_probe_images((16, 16)).transpose(0, 3, 1, 2)


def open_runner(proto: ModelProto) -> Callable[[NDArray[Any]], NDArray[Any]]:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # one test runs a batch that the graph does not take
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def test_declared_batch_that_gives_every_row_the_first_answer_is_not_proved() -> None:
    proto = models.lying_batch()
    assert read_fixed_batch(proto) is None
    proof = prove_batch(answer_alone(open_runner(proto), PROBES), open_runner(proto), PROBES)
    assert not proof.proved
    assert "differ" in proof.reason
    assert proof.error > 0.01


def test_declared_batch_that_does_not_run_is_not_proved() -> None:
    proto = models.convnet(one_row=True)
    proof = prove_batch(answer_alone(open_runner(proto), PROBES), open_runner(proto), PROBES)
    assert not proof.proved
    assert "does not run at batch 7" in proof.reason


def test_declared_batch_that_works_is_proved() -> None:
    proto = models.convnet()
    run = open_runner(proto)
    assert prove_batch(answer_alone(run, PROBES), run, PROBES).proved


def test_one_answer_to_all_images_is_not_proved() -> None:
    run = open_runner(models.convnet())
    proof = prove_batch(answer_alone(run, PROBES), lambda x: run(x[:1]), PROBES)
    assert not proof.proved
    assert "shape (1, 5)" in proof.reason


@pytest.mark.parametrize("proto", [models.saturated(), models.constant((16, 16), [1.0, 2.0])])
def test_agreement_of_constant_answers_is_not_proved(proto: ModelProto) -> None:
    run = open_runner(proto)
    proof = prove_batch(answer_alone(run, PROBES), run, PROBES)
    assert not proof.proved
    assert "hardly differ" in proof.reason


def test_exchanged_rows_are_not_proved() -> None:
    run = open_runner(models.convnet())
    assert not prove_batch(answer_alone(run, PROBES), lambda x: run(x[::-1]), PROBES).proved


def test_answers_that_are_not_finite_are_not_proved() -> None:
    def run(x: NDArray[Any]) -> NDArray[Any]:
        return np.full((len(x), 2), np.nan)

    assert not prove_batch(answer_alone(run, PROBES), run, PROBES).proved


def test_probe_images_are_float32_in_0_to_1() -> None:
    images = make_probe_images((5, 7))
    assert images.shape == (7, 5, 7, 3)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1


def test_error_and_spread_are_relative_to_the_largest_answer() -> None:
    """Three rows of answers 0, 1 and 4; the batched answers are off by 0.01 in one place."""
    inputs = np.array([[0.0], [1.0], [4.0]])

    def run_batched(x: NDArray[Any]) -> NDArray[Any]:
        return x + 0.01 * (x == 4)

    proof = prove_batch(answer_alone(lambda x: x, inputs), run_batched, inputs)
    assert not proof.proved
    assert proof.error == pytest.approx(0.01 / 4)
    assert proof.spread == pytest.approx(1 / 4)


@pytest.mark.parametrize(("batch", "fixed"), [(1, 1), (8, 8), ("N", None)])
def test_fixed_batch_is_read_from_the_image_input(batch: int | str, fixed: int | None) -> None:
    proto = models.convnet(batch=batch)
    assert read_fixed_batch(proto) == read_fixed_batch(proto, "image") == fixed
    assert read_fixed_batch(proto, "other") is None


def test_rows_are_filled_with_the_images_in_turn() -> None:
    assert fill_rows(7, 2).tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert fill_rows(3, 5).tolist() == [0, 1, 2, 0, 1]


def test_a_fixed_batch_is_proved_in_full_calls() -> None:
    """Each answer is the mean of an image, less .5 times that of its neighbour if they mix."""
    inputs, calls = np.array([[0.0], [1.0], [4.0]]), []

    def run(x: NDArray[Any]) -> NDArray[Any]:
        calls.append(len(x))
        return x

    assert prove_batch(answer_alone(run, inputs, 2), run, inputs, 2).proved
    assert set(calls) == {2}
    mixing = prove_batch(
        answer_alone(lambda x: x - x.mean() / 2, inputs, 2),
        lambda x: x - x.mean() / 2,
        inputs,
        2,
    )
    # 4 beside 0 loses 1 instead of 2, of the largest answer alone, which is 2
    assert mixing.error == pytest.approx(1 / 2)
    assert not mixing.proved


def test_answers_that_change_with_the_run_or_the_place_are_measured() -> None:
    inputs, drawn = np.array([[0.0], [1.0], [4.0]]), np.random.default_rng(0)
    alone = answer_alone(lambda x: x + drawn.normal(size=x.shape), inputs)
    assert alone.again > 0.01
    placed = answer_alone(lambda x: x * np.arange(1, len(x) + 1)[:, None], inputs, 2)
    assert placed.places == pytest.approx(1)  # 8 instead of 4
    assert placed.again == 0
    assert answer_alone(lambda x: x[:1], inputs, 2).problem == "a batch of 2 gives 1 rows"


def test_the_same_nan_is_no_change_and_another_number_is_one() -> None:
    inputs, values = np.array([[0.0], [1.0], [4.0]]), iter([np.nan, 1, np.inf] * 2)
    assert answer_alone(lambda x: np.full((1, 1), next(values)), inputs).again == 0
    values = iter([np.nan, 1, 2, 3, 1, 2])
    assert answer_alone(lambda x: np.full((1, 1), next(values)), inputs).again > 1


def test_rounding_of_threads_is_not_random() -> None:
    inputs, drawn = np.array([[0.0], [1.0], [4.0]]), np.random.default_rng(0)
    alone = answer_alone(lambda x: x * (1 + 1e-6 * drawn.normal(size=x.shape)), inputs)
    assert 0 < alone.again < RTOL
