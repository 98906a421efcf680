"""Flags and sources of a model, before anything is decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnxplain.describe.resolve import resolve_spec
from tests.helpers.described import make_net


@pytest.mark.parametrize(
    "flags", [{"colour": "gbr"}, {"meen": 1}, {"preprocessing": "kears-tf"}, {"std": 0.0}]
)
def test_wrong_flags_are_value_errors(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(flags))):
        resolve_spec(make_net(tmp_path), flags)


def test_sources_name_flags_as_the_command_line_spells_them(tmp_path: Path) -> None:
    spec = resolve_spec(make_net(tmp_path), {"preprocessing": "lite", "input": "image"})
    assert spec.sources["input"] == "flag --input-name"
