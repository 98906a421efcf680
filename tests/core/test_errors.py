"""The tree of errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.core import errors
from onnxplain.core.errors import (
    GradientUnusable,
    ModelError,
    OnnxplainError,
    ScoreError,
    format_in_one_line,
    tell_reason,
)


def test_every_error_is_an_onnxplain_error_and_is_in_the_tree_of_the_docstring() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(classes) >= 9
    for cls in classes:
        assert issubclass(cls, OnnxplainError)
        assert cls.__name__ in (errors.__doc__ or "")


def test_unusable_gradient_is_caught_as_a_score_error() -> None:
    assert issubclass(GradientUnusable, ScoreError)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ModelError("net.onnx: is\n  damaged"), "net.onnx: is damaged"),
        (ValueError("seed must be >= 0"), "seed must be >= 0"),
        (KeyError("mean"), "KeyError: 'mean'"),
        (RuntimeError(""), "RuntimeError: "),
    ],
)
def test_errors_not_written_for_users_carry_their_type(error: Exception, line: str) -> None:
    assert format_in_one_line(error) == line


def test_reason_of_the_system_has_no_number_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Errno") as caught:
        (tmp_path / "none").read_text()
    assert tell_reason(caught.value) == "No such file or directory"
    assert tell_reason(OSError("of no number")) == "of no number"
    assert tell_reason(ValueError("no mean")) == "no mean"
