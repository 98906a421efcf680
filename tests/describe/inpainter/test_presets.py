"""Every preset is a valid convention in itself."""

from __future__ import annotations

import pytest

from onnxplain.describe.inpainter.inpainter_spec import (
    INPAINTER_PARAMETERS,
    InpainterSpec,
    parse_inpainter_field,
)
from onnxplain.describe.inpainter.presets import INPAINTER_PRESETS


@pytest.mark.parametrize("name", INPAINTER_PRESETS)
def test_values_of_a_preset_are_in_the_form_of_the_spec(name: str) -> None:
    preset = INPAINTER_PRESETS[name]
    assert {field: parse_inpainter_field(field, value) for field, value in preset.items()} == preset
    spec = InpainterSpec(**preset)
    assert {field: getattr(spec, field) for field in preset} == preset


def test_plain_preset_gives_the_defaults_of_the_spec() -> None:
    plain = INPAINTER_PRESETS["plain"]
    assert plain == {field: INPAINTER_PARAMETERS[field].default for field in plain}
