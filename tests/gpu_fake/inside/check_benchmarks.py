"""The benchmarks run on a device; their figures are of no account here."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.common import RawPlan, RawRunner
from benchmarks.gpu import SECTIONS, main
from onnxplain.runtime.inpainters import model as inpainter_model
from tests.benchmarks.test_gpu import write_net


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(inpainter_model, "MOST", 16)  # the device's memory is this machine's


def test_the_benchmark_of_gpus_runs_whole(tmp_path: Path) -> None:
    arguments = ["--device", "cuda", "--quick", "--model", str(write_net(tmp_path))]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert "| gpu | Fake GPU |" in result.output
    rows = [line for line in result.output.splitlines() if line.startswith("| ")]
    assert len(rows) > 3 * len(SECTIONS)
    failures = [row for row in rows if "FAILED" in row]
    assert failures == []


def test_raw_runs_on_the_device(tmp_path: Path) -> None:
    runner = RawRunner(write_net(tmp_path), (3, 80, 80), "cuda")
    assert runner.measure_rate(RawPlan(2, 1, 1), 8) > 0
    assert runner.find_best_plan(2, 32).workers == 1
