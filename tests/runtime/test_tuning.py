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


def measured(made: onnx.ModelProto, sizes: Any, **options: Any) -> tuple[tuning.Rate, ...]:
    spec = spec_of(size=SIZE, classes=5)
    settings = {"workers": 2, "seconds": 0.01, **options}
    return tuning.measure_rates(session_of(made), spec, sizes, **settings)


def test_rate_is_images_and_not_calls_a_second() -> None:
    # A large convolution costs the same for each image, so the rate hardly depends on the batch.
    rng = np.random.default_rng(0)
    made = models.convnet(SIZE)
    heavy = onnx.numpy_helper.from_array(rng.random((4, 3, 15, 15), np.float32), "w1")
    next(one for one in made.graph.initializer if one.name == "w1").CopyFrom(heavy)
    next(node for node in made.graph.node if node.op_type == "Conv").attribute[0].ints[:] = [7] * 4
    one, eight = measured(made, (1, 8), workers=1, seconds=0.2)
    assert 0.3 < eight.per_second / one.per_second < 5


def test_every_worker_takes_part_for_the_time_given() -> None:
    began = time.perf_counter()
    (rate,) = measured(models.convnet(SIZE), (4,), seconds=0.2)
    assert time.perf_counter() - began >= 0.2
    assert rate.batch_size == 4


def test_slow_calls_end_the_search_for_larger_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "LONGEST", 0.0)
    assert [rate.batch_size for rate in measured(models.convnet(SIZE), (1, 2, 4))] == [1]


def test_choice_is_one_of_the_candidates() -> None:
    session, spec = session_of(models.convnet(SIZE)), spec_of(size=SIZE, classes=5)
    assert tuning.choose_batch_size(session, spec, workers=1) in tuning.list_batch_sizes(
        session.device
    )
