"""The number of images per call: constant on a GPU, so that one kernel scores them all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.runner import BatchSize, Runner, pad_rows
from onnxplain.runtime.session import Session
from tests.helpers import models
from tests.helpers.specs import SIZE, classifier_of, photos, session_of, spec_of


def open_net() -> Session:
    return session_of(models.additive(models.weights(SIZE)))


@pytest.mark.parametrize(("n", "indices"), [(1, [0, 1]), (2, [0, 1]), (4, [0, 1, 1, 1])])
def test_a_batch_is_padded_with_its_last_row(n: int, indices: list[int]) -> None:
    rows = photos(2)
    np.testing.assert_array_equal(pad_rows(rows, n), rows[indices])


@pytest.mark.parametrize(
    ("device", "tf32", "widths"),
    [("cpu", False, {1, 3, 16}), ("cuda", False, {8, 16}), ("cuda", True, {16})],
)
def test_calls_on_a_gpu_have_two_widths_and_with_tf32_one(
    device: str, tf32: bool, widths: set[int]
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
    session.tf32 = tf32  # type: ignore[attr-defined]
    runner = Runner(session, spec_of(), 16, rows=None)  # type: ignore[arg-type]
    rows = photos(20).transpose(0, 3, 1, 2)

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
        tf32 = True

        def run(self, feeds: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
            runner._batches.size = 4
            return net.run(feeds, names)

    runner = Runner(Shrinking(), spec_of(), 8, rows=None)  # type: ignore[arg-type]
    rows = photos(4).transpose(0, 3, 1, 2)
    scores = runner.score(4, lambda start, stop, width: pad_rows(rows[start:stop], width))
    np.testing.assert_allclose(scores, net.run({"image": rows}, ["scores"])[0], atol=1e-5)


def test_batch_size_falls_to_what_fits_and_every_image_is_run_once() -> None:
    batches = BatchSize(8)

    def run(start: int, stop: int) -> list[int]:
        if stop - start > 2:
            raise OutOfMemory("net: out of memory")
        return list(range(start, stop))

    ran = [index for batch in batches.run_batches(11, run) for index in batch]
    assert ran == list(range(11))
    assert batches.size == 2


@pytest.mark.parametrize(("size", "fixed"), [(1, False), (8, True)])
def test_smallest_batch_that_does_not_fit_is_an_error(size: int, fixed: bool) -> None:
    batches = BatchSize(size, rows=size if fixed else None, session=open_net())

    def run(start: int, stop: int) -> None:
        raise OutOfMemory("net: out of memory")

    with pytest.raises(OutOfMemory, match=rf"a batch of {size} is the smallest"):
        batches.run_batches(8, run)


# Memory is made to run out by a cap on ONNX Runtime's CPU arena, which holds for a whole
# process: hence the subprocess.
LARGE = (128, 128)
BATCH = 128  # needs about 134 MB for the first convolution's output alone

CAPPED = """
import json, logging, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import onnxruntime as ort
from onnxplain.core.errors import DeviceError
from onnxplain.runtime import tuning
from onnxplain.runtime.batch_support import BatchSupport
from onnxplain.runtime.classifier import ModelIdentity, OnnxClassifier
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.placement import read_placement
from onnxplain.runtime.raw_sessions import RawSessions
from onnxplain.runtime.session import Session
from tests.helpers import models
from tests.helpers.specs import photos, spec_of

cap, fixed = int(sys.argv[1]), json.loads(sys.argv[2])
SIZE, BATCH = (128, 128), 128
ort.create_and_register_allocator(
    ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    ),
    ort.OrtArenaCfg({"max_mem": cap, "arena_extend_strategy": 1}),
)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4
options.add_session_config_entry("session.use_env_allocators", "1")
options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
raw = ort.InferenceSession(models.convnet(SIZE).SerializeToString(), options)
raws = RawSessions(raw, print, most=1)
session = Session(raws, Device("cpu"), "capped.onnx", tf32=False, placement=read_placement(raw))
spec = spec_of(size=SIZE, classes=5)
classifier = OnnxClassifier(
    session, spec, ModelIdentity("capped.onnx", ""), BatchSupport(fixed, ""),
    batch_size=fixed or BATCH, workers=2, open_inside=print,
    composer=HostComposer(ModelSpace.of(spec)),
)
images = photos(BATCH, SIZE)
try:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(classifier.scores, [images, images[::-1]])
    trial = tuning.Trial.of(spec)
    rates = tuning.measure_rates(session, trial, (1, BATCH), workers=1, seconds=0.01)
    print(json.dumps({
        "scores": first.tolist(), "back": second[::-1].tolist(),
        "batch_size": classifier.batch_size, "measured": [rate.batch_size for rate in rates],
    }))
except DeviceError as error:
    print(json.dumps({"error": str(error)}))
"""


def run_capped(cap: int, fixed: int | None = None) -> dict[str, Any]:
    completed = subprocess.run(
        [sys.executable, "-c", CAPPED, str(cap), json.dumps(fixed)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    result: dict[str, Any] = json.loads(completed.stdout)
    return result


@pytest.mark.slow
def test_when_memory_really_runs_out_the_batch_is_halved_and_the_scores_stay() -> None:
    result = run_capped(40_000_000)
    classifier = classifier_of(models.convnet(LARGE), spec_of(size=LARGE, classes=5))
    expected = classifier.scores(photos(BATCH, LARGE))
    np.testing.assert_allclose(result["scores"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result["back"], expected, rtol=1e-5, atol=1e-6)
    assert 1 <= result["batch_size"] < BATCH
    # Both threads run out of memory at the same size, and it falls once for both.
    assert result["batch_size"] in [BATCH >> k for k in range(1, 8)]
    assert result["measured"] == [1]


@pytest.mark.slow
@pytest.mark.parametrize(("cap", "fixed"), [(200_000, None), (40_000_000, BATCH)])
def test_when_memory_really_runs_out_at_the_smallest_batch_an_error_is_raised(
    cap: int, fixed: int | None
) -> None:
    text = run_capped(cap, fixed)["error"]
    assert "capped.onnx: out of memory on cpu" in text
    assert f"a batch of {fixed or 1} is the smallest" in text
    assert "/onnxruntime_src" not in text
