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


def measure(model: onnx.ModelProto, sizes: Any, **options: Any) -> tuple[tuning.Rate, ...]:
    spec = spec_of(size=SIZE, classes=5)
    settings = {"workers": 2, "seconds": 0.01, **options}
    return tuning.measure_rates(session_of(model), spec, sizes, **settings)


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
    session, spec = session_of(models.convnet(SIZE)), spec_of(size=SIZE, classes=5)
    assert tuning.measure_batch_size(session, spec, workers=1).batch_size == 4


def test_the_choice_is_one_of_the_listed_sizes() -> None:
    session, spec = session_of(models.convnet(SIZE)), spec_of(size=SIZE, classes=5)
    chosen = tuning.measure_batch_size(session, spec, workers=1).batch_size
    assert chosen in tuning.list_batch_sizes(session.device)


QUIET = {1: 60.0, 4: 100.0, 8: 90.0}


def disturb(**slow: float) -> dict[int, float]:
    """Return a round in which some sizes were slowed down."""
    return {size: rate * slow.get(f"of_{size}", 1.0) for size, rate in QUIET.items()}


def test_a_round_that_is_slower_as_a_whole_says_the_same() -> None:
    rounds = [{size: rate * speed for size, rate in QUIET.items()} for speed in (1, 0.4, 0.7)]
    assert tuning.choose_batch_size(rounds) == (4, True)


def test_the_median_decides_where_single_rounds_are_wrong() -> None:
    slowed = [disturb(), disturb(of_4=0.5), disturb(), disturb(of_1=0.5), disturb(of_4=0.7)]
    assert tuning.choose_batch_size(slowed).batch_size == 4
    lucky = [disturb(), disturb(of_8=1.4), disturb()]  # the best of each size would choose 8
    assert tuning.choose_batch_size(lucky).batch_size == 4


def test_rounds_that_disagree_are_not_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SPREAD", 0.15)
    rounds = [disturb(of_4=slow, of_8=1.5 - slow) for slow in (0.5, 1.0, 0.6, 0.9, 0.7)]
    assert not tuning.choose_batch_size(rounds).steady


def test_sizes_that_a_round_left_out_are_not_chosen() -> None:
    assert tuning.choose_batch_size([{1: 50.0, 4: 60.0}, {1: 50.0}]).batch_size == 1


@pytest.mark.parametrize(
    ("slow", "rounds", "steady"),
    [
        ((1.0, 1.0, 1.0), 3, True),
        ((1.0, 0.5, 1.0, 1.0, 1.0), 4, True),  # one of four is beyond the quartiles
        ((1.0, 0.5, 0.2, 0.9, 0.4, 0.8, 0.3, 0.6, 0.1, 0.7), 9, False),
    ],
)
def test_disturbed_rounds_are_repeated_and_noticed(
    monkeypatch: pytest.MonkeyPatch, slow: tuple[float, ...], rounds: int, steady: bool
) -> None:
    monkeypatch.setattr(tuning, "SPREAD", 0.15)
    pending = [disturb(of_1=speed) for speed in slow]

    def measure_rates(*_: object, **__: object) -> list[tuning.Rate]:
        return [tuning.Rate(*entry) for entry in pending.pop(0).items()]

    monkeypatch.setattr(tuning, "measure_rates", measure_rates)
    session, spec = session_of(models.convnet(SIZE)), spec_of(size=SIZE, classes=5)
    assert tuning.measure_batch_size(session, spec, workers=1) == (4, steady)
    assert len(slow) - len(pending) == rounds
