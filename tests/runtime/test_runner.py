"""How many images a call holds: one number on a GPU, so that one kernel scores them all."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.runtime.device import Device
from onnxplain.runtime.runner import Runner, pad_rows
from onnxplain.runtime.session import open_session
from tests.helpers import models
from tests.helpers.specs import SIZE, photos, spec_of


@pytest.mark.parametrize(("n", "which"), [(1, [0, 1]), (2, [0, 1]), (4, [0, 1, 1, 1])])
def test_a_batch_is_filled_up_with_its_last_row(n: int, which: list[int]) -> None:
    rows = photos(2)
    np.testing.assert_array_equal(pad_rows(rows, n), rows[which])


@pytest.mark.parametrize(("device", "widths"), [("cuda", {4}), ("cpu", {1, 3, 4})])
def test_a_baseline_alone_and_its_candidates_are_scored_in_calls_of_one_size_on_a_gpu(
    device: str, widths: set[int]
) -> None:
    real = open_session(
        models.additive(models.weights(SIZE)).SerializeToString(), Device("cpu"), name="net"
    )
    calls: list[int] = []

    class Counting:
        """The session, which tells how many images a call holds and that it is elsewhere."""

        def run(self, feeds: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
            (rows,) = feeds.values()
            calls.append(len(rows))
            return real.run(feeds, names)

    session = Counting()
    session.device = Device(device, 0)  # type: ignore[attr-defined, arg-type]
    runner = Runner(session, spec_of(), 4, fixed=False, on_fall=calls.append)  # type: ignore[arg-type]
    rows = photos(8).transpose(0, 3, 1, 2)
    baseline = runner.in_batches(1, lambda start, stop: runner.run(rows[:1]))
    candidates = runner.in_batches(7, lambda start, stop: runner.run(rows[1:][start:stop]))
    assert set(calls) == widths
    expected = real.run({"image": rows}, ["scores"])[0]
    np.testing.assert_allclose(np.concatenate([baseline, candidates]), expected, atol=1e-5)


def test_a_batch_that_is_halved_meanwhile_does_not_confuse_a_call() -> None:
    real = open_session(
        models.additive(models.weights(SIZE)).SerializeToString(), Device("cpu"), name="net"
    )

    class Shrinking:
        """A session on a GPU, during whose call another thread halves the batch."""

        device = Device("cuda", 0)

        def run(self, feeds: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
            runner._batches.size = 4
            return real.run(feeds, names)

    runner = Runner(Shrinking(), spec_of(), 8, fixed=False, on_fall=lambda _: None)  # type: ignore[arg-type]
    rows = photos(4).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(
        runner.run(rows), real.run({"image": rows}, ["scores"])[0], atol=1e-5
    )
