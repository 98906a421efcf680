"""The number of images per call: constant on a GPU, so that one kernel scores them all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.runner import BatchSize, Runner, pad_rows
from onnxplain.runtime.session import Session
from tests.helpers import models
from tests.helpers.specs import SIZE, photos, session_of, spec_of


def open_net() -> Session:
    return session_of(models.additive(models.weights(SIZE)))


@pytest.mark.parametrize(("n", "indices"), [(1, [0, 1]), (2, [0, 1]), (4, [0, 1, 1, 1])])
def test_a_batch_is_padded_with_its_last_row(n: int, indices: list[int]) -> None:
    rows = photos(2)
    np.testing.assert_array_equal(pad_rows(rows, n), rows[indices])


@pytest.mark.parametrize(("device", "widths"), [("cuda", {4}), ("cpu", {1, 3, 4})])
def test_a_baseline_and_its_candidates_are_scored_in_calls_of_one_size_on_a_gpu(
    device: str, widths: set[int]
) -> None:
    net = open_net()
    calls: list[int] = []

    class Counting:
        """The session, which counts the images of each call and claims another device."""

        def run(self, feeds: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
            (rows,) = feeds.values()
            calls.append(len(rows))
            return net.run(feeds, names)

    session = Counting()
    session.device = Device(device, 0)  # type: ignore[attr-defined, arg-type]
    runner = Runner(session, spec_of(), 4, fixed=False, on_fall=calls.append)  # type: ignore[arg-type]
    rows = photos(8).transpose(0, 3, 1, 2)

    def score(chosen: Any) -> Any:
        return runner.score(
            len(chosen), lambda start, stop, width: pad_rows(chosen[start:stop], width)
        )

    scores = np.concatenate([score(rows[:1]), score(rows[1:])])
    assert set(calls) == widths
    expected = net.run({"image": rows}, ["scores"])[0]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_batch_size_that_is_halved_meanwhile_does_not_confuse_a_call() -> None:
    net = open_net()

    class Shrinking:
        """A session on a GPU, during whose call another thread halves the batch size."""

        device = Device("cuda", 0)

        def run(self, feeds: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
            runner._batches.size = 4
            return net.run(feeds, names)

    runner = Runner(Shrinking(), spec_of(), 8, fixed=False, on_fall=lambda _: None)  # type: ignore[arg-type]
    rows = photos(4).transpose(0, 3, 1, 2)
    scores = runner.score(4, lambda start, stop, width: pad_rows(rows[start:stop], width))
    np.testing.assert_allclose(scores, net.run({"image": rows}, ["scores"])[0], atol=1e-5)


def test_batch_size_falls_to_what_fits_and_every_image_is_run_once() -> None:
    fell: list[int] = []
    batches = BatchSize(8, fixed=False, on_cpu=True, on_fall=fell.append)

    def run(start: int, stop: int) -> list[int]:
        if stop - start > 2:
            raise OutOfMemory("net: out of memory")
        return list(range(start, stop))

    ran = [index for batch in batches.run_batches(11, run) for index in batch]
    assert ran == list(range(11))
    assert (fell, batches.size) == ([4, 2], 2)


@pytest.mark.parametrize(("size", "fixed"), [(1, False), (8, True)])
def test_smallest_batch_that_does_not_fit_is_an_error(size: int, fixed: bool) -> None:
    batches = BatchSize(size, fixed=fixed, on_cpu=False)

    def run(start: int, stop: int) -> None:
        raise OutOfMemory("net: out of memory")

    with pytest.raises(OutOfMemory, match=rf"a batch of {size} is the smallest.*--device cpu"):
        batches.run_batches(8, run)
