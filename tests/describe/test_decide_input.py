"""Size, layout and colour order must be those of the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.resolve import resolve_spec
from tests.helpers.described import make_net


@pytest.mark.parametrize(
    "flags", [{"size": (32, 32)}, {"dtype": "uint8"}, {"layout": "nhwc"}, {"colour": "grey"}]
)
def test_flags_that_contradict_the_graph_are_errors(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="but the graph has"):
        resolve_spec(make_net(tmp_path), {**flags, "preprocessing": "lite"})
