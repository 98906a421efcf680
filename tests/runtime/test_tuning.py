"""Batch sizes are measured, and large ones left out where they cannot pay."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest

from onnxplain.runtime import tuning
from tests.helpers import models
from tests.helpers.specs import session_of, spec_of

SIZE = (16, 16)
TRIAL = tuning.Trial.of(spec_of(size=SIZE, classes=5))


def measure(model: onnx.ModelProto, sizes: Any, **options: Any) -> tuple[tuning.Rate, ...]:
    settings = {"workers": 2, "seconds": 0.01, **options}
    return tuning.measure_rates(session_of(model), TRIAL, sizes, **settings)


def test_the_rate_counts_images_and_not_calls_per_second() -> None:
    # A large convolution costs the same for each image, so the rate hardly depends on the batch.
    rng = np.random.default_rng(0)
    model = models.convnet(SIZE)
    heavy = onnx.numpy_helper.from_array(rng.random((4, 3, 15, 15), np.float32), "w1")
    next(tensor for tensor in model.graph.initializer if tensor.name == "w1").CopyFrom(heavy)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    conv.attribute[0].ints[:] = [7] * 4
    single, eight = measure(model, (1, 8), workers=1, seconds=0.2)
    assert 0.3 < eight.per_second / single.per_second < 5


def test_every_worker_takes_part_for_the_time_given() -> None:
    began = time.perf_counter()
    (rate,) = measure(models.convnet(SIZE), (4,), seconds=0.2)
    assert time.perf_counter() - began >= 0.2
    assert rate.batch_size == 4


def test_slow_calls_end_the_search_for_larger_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "LONGEST", 0.0)
    assert [rate.batch_size for rate in measure(models.convnet(SIZE), (1, 2, 4))] == [1]


def test_the_largest_size_near_the_best_rate_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = [tuning.Rate(1, 60.0), tuning.Rate(2, 100.0), tuning.Rate(4, 98.0), tuning.Rate(8, 90)]
    monkeypatch.setattr(tuning, "measure_rates", lambda *_, **__: rates)
    session, trial = session_of(models.convnet(SIZE)), TRIAL
    assert tuning.measure_batch_size(session, trial, workers=1).batch_size == 4


def test_the_choice_is_one_of_the_listed_sizes() -> None:
    session, trial = session_of(models.convnet(SIZE)), TRIAL
    chosen = tuning.measure_batch_size(session, trial, workers=1).batch_size
    assert chosen in tuning.list_batch_sizes(session.device)


@pytest.mark.parametrize(
    ("speeds", "rounds", "steady"),
    [
        ((1.0, 0.9), 2, True),
        ((0.4, 1.0, 0.5, 0.85), 4, True),  # two quiet rounds
        ((1.0, 0.5, 0.4, 0.3, 0.2, 0.1, 0.5, 0.6, 0.9), 8, False),
    ],
)
def test_disturbed_rounds_are_repeated_and_noticed(
    monkeypatch: pytest.MonkeyPatch, speeds: tuple[float, ...], rounds: int, steady: bool
) -> None:
    monkeypatch.setattr(tuning, "SPREAD", 0.75)
    pending = list(speeds)

    def measure_rates(*_: object, **__: object) -> list[tuning.Rate]:
        speed = pending.pop(0)
        return [tuning.Rate(1, 60 * speed), tuning.Rate(4, 100 * speed), tuning.Rate(8, 90 * speed)]

    monkeypatch.setattr(tuning, "measure_rates", measure_rates)
    session, trial = session_of(models.convnet(SIZE)), TRIAL
    assert tuning.measure_batch_size(session, trial, workers=1) == (4, steady)
    assert len(speeds) - len(pending) == rounds
