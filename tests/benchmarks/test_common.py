"""Raw ONNX Runtime, with which benchmarks compare, and the device that all of them take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import RawPlan, RawRunner, make_raw_call, open_raw
from tests.helpers import models
from tests.helpers.specs import photos, session_of

# They compare seconds of the processor, theirs with ours on one thread, or processes on its cores.
ABOUT_THE_PROCESSOR = {"ray_overhead", "white_box_cost", "white_box_peers"}
BENCHMARKS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


def test_raw_calls_give_the_scores_of_the_model() -> None:
    model, images = models.convnet((16, 16)), photos(3, (16, 16)).transpose(0, 3, 1, 2)
    feeds = {"image": np.ascontiguousarray(images)}
    (scores,) = make_raw_call(open_raw(model.SerializeToString(), 1), feeds)()
    np.testing.assert_allclose(scores, session_of(model).run(feeds, ["scores"])[0], rtol=1e-5)


def test_raw_runs_take_turns_in_batches(tmp_path: Path) -> None:
    path = models.save(models.convnet((16, 16)), tmp_path / "net.onnx")
    runner = RawRunner(path, (3, 16, 16))
    assert runner.measure_rate(RawPlan(2, 1, 2), 8) > 0
    assert runner.find_best_plan(2, 32).batch_size in (1, 2, 4, 8, 16, 32)


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.stem)
def test_no_benchmark_is_bound_to_the_cpu(file: Path) -> None:
    source = file.read_text()
    opens = "onnxplain.load(" in source or "open_raw(" in source
    if opens and file.stem not in ABOUT_THE_PROCESSOR:
        assert "device_option" in source or '"--device"' in source
    assert "CPUExecutionProvider" not in source


def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it() -> None:
    root = Path(__file__).parents[2]
    held = np.ones(2**27)  # 1 GiB
    code = "from benchmarks.common import read_peak_mib; print(read_peak_mib())"
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert 20 < float(child.stdout) < 900 < held.nbytes / 2**20
