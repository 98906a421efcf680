"""The sweeps of tables S1 and S2 with fewer evaluations, and their table."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.sensitivity import METRICS, make_sweeps, table
from onnxplain.registry import make_method


@pytest.mark.parametrize("generative", [False, True])
def test_the_methods_of_the_sweeps_take_their_parameters(generative: bool) -> None:
    sweeps = make_sweeps(generative=generative)
    patches = [make_method("sp", variant).patch for variant in sweeps["sp"].variants]
    assert patches == [5, 17, 29, 41, 53]
    assert [make_method("mp2", variant).grid for variant in sweeps["mp2"].variants] == [28, 56, 112]
    assert sweeps["lime-150"].seeds == (0, 1, 2, 3, 4)


def test_the_table_compares_the_photos_that_have_both_fills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"plain": {"a": 0.2, "b": 0.4, "c": 0.9}, "inpaint": {"a": 0.5, "b": 0.5}}
    details = {"deviation": 0.1, "undefined": 0}
    rows = [
        {"file": file, "sweep": "sp", "fill": fill, "scores": {m: [v, details] for m in METRICS}}
        for fill, found in values.items()
        for file, v in found.items()
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table(Namespace(rows=path))
    printed = capsys.readouterr().out
    assert f"| sp | plain | 3 |{' 0.500 ± 0.100 |' * 3} 0.698, 0.604, 0.404 |" in printed
    assert "| sp | ssim | 2 | +0.200 | +0.100 to +0.300 |" in printed
    assert printed.count("| +0.083 |\n") == 1  # the paper's difference
