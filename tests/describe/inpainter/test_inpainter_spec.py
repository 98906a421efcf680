"""The convention of an inpainter is checked when it is built, and reads back from its TOML."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from onnxplain.describe.inpainter.inpainter_spec import (
    INPAINTER_PARAMETERS,
    InpainterSpec,
    describe_spec,
    format_inpainter_toml,
    parse_inpainter_field,
)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"hole": 1.0, "known": 1.0}, "hole and known must differ, got 1 for both"),
        ({"mask_dtype": "bool", "hole": 255.0}, "hole is 255, which a mask of bool cannot hold"),
        ({"mask_dtype": "uint8", "known": -1.0}, "known is -1, which a mask of uint8"),
        ({"range": (1.0, 0.0)}, "range needs a low and a higher number, got 1, 0"),
        ({"output_range": (0.0, 0.0)}, "output_range needs a low and a higher number"),
        ({"dtype": "uint8", "range": (0.0, 1.0)}, r"would be only black and white; write range"),
        ({"channels": "image,msk"}, "channels: 'msk' is unknown; did you mean 'mask'"),
        ({"pack": "channels", "channels": "image,ones"}, "must have image and mask among them"),
        ({"std": (0.0, 1.0, 1.0)}, "std must be > 0"),
    ],
)
def test_error_on_an_impossible_convention_says_what_is_wrong(
    values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        InpainterSpec(**values)


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("size", 512, (512, 512)),
        ("size", [256, 320], (256, 320)),
        ("std", 0.5, (0.5, 0.5, 0.5)),
        ("hole", 255, 255.0),
        ("output", 0, "0"),
        ("channels", ["mask", "image"], "mask,image"),
        ("premultiply", True, True),
    ],
)
def test_values_are_brought_to_the_form_of_the_spec(name: str, value: Any, parsed: Any) -> None:
    result = parse_inpainter_field(name, value)
    assert (result, type(result)) == (parsed, type(parsed))


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("range", 255, TypeError, "range takes a tuple of 2 values"),
        ("range", [1, 0], ValueError, "range needs a low and a higher number"),
        ("premultiply", 1, TypeError, "premultiply takes true or false"),
        ("multiple", 0, ValueError, "multiple must be >= 1"),
        ("layout", "nhw", ValueError, "layout 'nhw' is unknown"),
        ("layuot", "nhwc", ValueError, "field 'layuot' is unknown; did you mean 'layout'"),
    ],
)
def test_error_on_a_wrong_value_names_the_field(
    name: str, value: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        parse_inpainter_field(name, value)


def test_behaviour_may_decide_fields_that_no_source_gives() -> None:
    sources = {"layout": "graph", "hole": "flag --inpainter-hole", "known": "follows from hole"}
    spec = InpainterSpec(sources=sources)
    assert [name for name in (*sources, "batch") if spec.is_silent(name)] == ["known", "batch"]
    changed = spec.seen(batch=1)
    assert (changed.batch, changed.is_seen("batch"), changed.is_silent("batch")) == (1, True, False)
    assert not spec.is_seen("batch")


def test_told_fields_are_those_of_flags_presets_and_files() -> None:
    sources = {
        "layout": "graph",
        "hole": "flag --inpainter-hole",
        "known": "follows from hole",
        "range": "preset lama (net.toml)",
        "batch": "behaviour",
    }
    assert InpainterSpec(sources=sources).told() == {"hole": 1.0, "range": (0.0, 1.0)}


def test_written_toml_reads_back_to_the_same_values() -> None:
    spec = InpainterSpec(pack="width", layout="nhwc", hole=255.0, size=(256, 320), mean=(0.5,) * 3)
    table = tomllib.loads(format_inpainter_toml(spec))["inpainter"]
    values = {name: parse_inpainter_field(name, value) for name, value in table.items()}
    assert InpainterSpec(**values) == spec


def test_description_holds_every_field_with_its_source() -> None:
    description = describe_spec(InpainterSpec(sources={"layout": "graph"}))
    assert list(description) == list(INPAINTER_PARAMETERS)
    assert description["layout"] == {"value": "nchw", "source": "graph"}
    assert description["batch"] == {"value": 0, "source": "default"}
