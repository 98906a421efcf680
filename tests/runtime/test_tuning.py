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


def rounds_of(*rounds: str) -> list[dict[str, float]]:
    """Rounds of the plans a, b, c, ... from texts such as ``100 90 80``."""
    return [dict(zip("abcd", map(float, one.split()), strict=False)) for one in rounds]


@pytest.mark.parametrize(
    ("rounds", "enough", "plan", "steady"),
    [
        (("100 90", "100 90", "100 90", "100 90"), 1.0, "a", True),
        (("100 99", "100 99", "100 99", "100 99"), 0.97, "b", True),  # the last near the best
        # Whole rounds are slow: shares within a round count.
        (("100 90", "50 45", "10 9", "100 90", "30 27"), 1.0, "a", True),
        # One plan is disturbed in one round, and another one happens to fly in one.
        ((*["100 90"] * 3, "20 90", "100 400", *["100 90"] * 2), 1.0, "a", True),
        # The even rounds favour one plan and the odd rounds the other.
        (("100 60", "60 100", "100 60", "70 100"), 1.0, "a", False),
        (("100 90 500", "100 90", "100 90"), 1.0, "a", True),  # c is not in every round
        (("100 90",), 1.0, "a", True),
    ],
)
def test_a_plan_is_chosen_by_its_median_share_of_the_rounds(
    monkeypatch: pytest.MonkeyPatch,
    rounds: tuple[str, ...],
    enough: float,
    plan: str,
    steady: bool,
) -> None:
    monkeypatch.setattr(tuning, "AGREEMENT", 0.9)
    assert tuning.choose_plan(rounds_of(*rounds), enough) == (plan, steady)


def test_rates_count_as_multiples_of_the_median_of_their_round() -> None:
    rates = tuning.rate_plans(rounds_of("150 50", "20 20", "12 8"))
    assert rates == pytest.approx({"a": 1.2, "b": 0.8})


def test_the_choice_survives_slow_rounds_and_disturbed_measurements() -> None:
    rng = np.random.default_rng(0)
    true = {1: 100.0, 2: 110.0, 4: 130.0, 8: 115.0}
    chosen = []
    for _ in range(100):
        rounds = [
            {
                size: rate * speed * (0.5 if rng.random() < 0.2 else rng.normal(1, 0.02))
                for size, rate in true.items()
            }
            for speed in rng.uniform(0.3, 1, 10)  # of the whole round
        ]
        chosen.append(tuning.choose_plan(rounds, 0.97)[0])
    assert chosen.count(4) >= 90  # by medians of the rates alone it would be 66


@pytest.mark.parametrize(
    ("favoured", "rounds", "steady"),
    [
        ("4444", 4, True),
        ("1414444444", 7, True),  # until quiet rounds prevail in both halves
        ("14141414141414", 10, False),
    ],
)
def test_rounds_are_added_until_they_agree(
    monkeypatch: pytest.MonkeyPatch, favoured: str, rounds: int, steady: bool
) -> None:
    monkeypatch.setattr(tuning, "AGREEMENT", 0.9)
    pending = list(favoured)

    def measure_rates(*_: object, **__: object) -> list[tuning.Rate]:
        best = int(pending.pop(0))
        return [tuning.Rate(size, 100.0 if size == best else 60.0) for size in (1, 4)]

    monkeypatch.setattr(tuning, "measure_rates", measure_rates)
    session, trial = session_of(models.convnet(SIZE)), TRIAL
    choice = tuning.measure_batch_size(session, trial, workers=1)
    assert choice.steady == steady
    assert choice.batch_size == 4
    assert len(favoured) - len(pending) == rounds


def test_a_size_for_which_memory_runs_out_in_any_round_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = iter([(1, 2, 4), (1, 2), (1, 2, 4), (1, 2, 4)])
    monkeypatch.setattr(
        tuning, "measure_rates", lambda *_, **__: [tuning.Rate(n, 10.0 * n) for n in next(sizes)]
    )
    session, trial = session_of(models.convnet(SIZE)), TRIAL
    assert tuning.measure_batch_size(session, trial, workers=1) == (2, True)
