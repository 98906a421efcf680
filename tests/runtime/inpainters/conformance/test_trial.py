"""Outputs are compared by their span, and the first one is computed once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.runtime.inpainters.conformance.probe_pictures import make_probe
from onnxplain.runtime.inpainters.conformance.trial import Trial, measure_difference
from onnxplain.runtime.session import Session
from tests.helpers import painters
from tests.helpers.painters import load_painter


def test_the_difference_is_relative_to_the_span_of_the_first_output() -> None:
    raw = np.array([[0.0, 10.0]], np.float32)
    assert measure_difference(raw, raw + 1) == pytest.approx(0.1)
    assert measure_difference(np.full((1, 2), 3, np.float32), np.full((1, 2), 5, np.float32)) == 2


def test_the_first_picture_is_run_once_per_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter = load_painter(painters.plain(), tmp_path)
    run, calls = Session.run, []

    def run_counting(session: Session, feeds: Any, outputs: Any) -> Any:
        calls.append(feeds)
        return run(session, feeds, outputs)

    monkeypatch.setattr(Session, "run", run_counting)
    trial, spec = Trial(painter._session, make_probe((64, 64))), painter.spec
    for _ in range(2):
        trial.run_first(spec)
        trial.run_first(spec, changed=True)
        trial.run_first(replace(spec, hole=0.0, known=1.0))
    assert len(calls) == 3


def test_a_contradiction_names_source_and_remedy_in_toml(tmp_path: Path) -> None:
    painter = load_painter(painters.bytes_in_floats(), tmp_path, range=(0, 255))
    trial = Trial(painter._session, make_probe((64, 64)))
    error = trial.make_contradiction(painter.spec, "range", "seen", range=(0.0, 1.0), batch=1)
    assert str(error) == (
        "painter.onnx: flag --inpainter-range says range = [0, 255], batch = 0, but the graph "
        "behaves otherwise: seen; write range = [0, 1] and batch = 1"
    )
    assert trial.describe_error(error).startswith("flag --inpainter-range says")
