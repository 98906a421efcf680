"""The benchmark of GPUs runs whole on any device."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from benchmarks.gpu import SECTIONS, main
from tests.helpers import models


def write_net(folder: Path) -> Path:
    """A small net in a file that says how it wants its images."""
    path = models.save(models.convnet((80, 80)), folder / "net.onnx")
    path.with_suffix(".toml").write_text("range = [0, 1]\nmean = 0\nstd = 1\n")
    return path


def test_every_section_runs_small_on_the_cpu(tmp_path: Path) -> None:
    arguments = ["--device", "cpu", "--quick", "--model", str(write_net(tmp_path))]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert "FAILED" not in result.output
    assert "left out" not in result.output
    rows = [line for line in result.output.splitlines() if line.startswith("| ")]
    assert len(rows) > 3 * len(SECTIONS)
    assert all(row.count("|") == 4 for row in rows)


def test_no_section_begins_when_the_time_is_over(tmp_path: Path) -> None:
    arguments = ["--device", "cpu", "--minutes", "0", "--model", str(write_net(tmp_path))]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.output.count("left out: no time") == len(SECTIONS)


def test_a_section_that_fails_leaves_the_others(tmp_path: Path) -> None:
    arguments = ["--device", "cuda:99", "--quick", "--model", str(write_net(tmp_path))]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.output.count("FAILED: DeviceError") == len(SECTIONS)
