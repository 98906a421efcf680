"""Values of flags and files are checked, and brought to the form that a spec holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.core.spec import ModelSpec
from onnxplain.describe.fields import CLASSIFIER_FIELDS, parse_field, parse_fields, parse_flag
from onnxplain.describe.inpainter.inpainter_spec import INPAINTER_FIELDS, INPAINTER_PARAMETERS
from onnxplain.describe.resolve import resolve_spec
from tests.helpers import models
from tests.helpers.described import get_normalisation, make_net, save_and_read


def test_values_of_numpy_are_accepted(tmp_path: Path) -> None:
    model = save_and_read(models.additive(models.weights((4, 4))), tmp_path)
    flags = {"range": np.array([0, 1]), "mean": np.array([0.5] * 3), "std": np.float32(0.25)}
    spec = resolve_spec(model, flags)
    assert get_normalisation(spec) == ((0.0, 1.0), (0.5,) * 3, (0.25,) * 3)
    assert parse_field(CLASSIFIER_FIELDS, "size", np.int64(128)) == (128, 128)


def test_enormous_sizes_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"size: needs rows and columns, 1 to 4096 pixels"):
        resolve_spec(make_net(tmp_path), {"preprocessing": "lite", "size": 100_000})


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("size", 224, (224, 224)),
        ("size", [20, 24], (20, 24)),
        ("mean", 0.5, (0.5,)),
        ("range", [0, 255], (0.0, 255.0)),
        ("output_scale", (0.5, -3), (0.5, -3.0)),
        ("crop", 1, 1.0),
        ("crop", 0.875, 0.875),
        ("crop", 224, (224, 224)),
        ("crop", [224, 192], (224, 192)),
        ("resize", 256, 256),
        ("resize", [256, 320], (256, 320)),
        ("border", 114, (114, 114, 114)),
        ("border", [124, 116, 104], (124, 116, 104)),
        ("class_names", ["a", "b"], ("a", "b")),
    ],
)
def test_values_are_brought_to_the_form_of_the_spec(name: str, value: Any, parsed: Any) -> None:
    assert parse_field(CLASSIFIER_FIELDS, name, value) == parsed


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("mean", [1, 2], "mean: needs one number per channel"),
        ("mean", True, "mean: needs one number or several, got True"),
        ("mean", [0.5, float("nan"), 0], "mean: needs finite numbers"),
        ("std", 0, "std: must be > 0"),
        ("range", [1, 1], "range: needs a low and a higher number"),
        ("output_scale", [0, 0], "output_scale: needs a scale > 0"),
        ("crop", 1.5, "crop: as a share it must be > 0 and <= 1, as pixels a whole number"),
        ("crop", True, "crop: needs rows and columns"),
        ("resize", 0.5, "resize: "),
        ("resize", 0, "resize: needs rows and columns, 1 to 4096 pixels"),
        ("border", 256, "border: needs whole numbers from 0 to 255"),
        ("border", 0.5, "border: needs whole numbers from 0 to 255"),
        ("border", [0, 0], "border: needs one number per channel"),
        ("size", [1, 2, 3], "size: needs rows and columns"),
        ("input", "", "input: needs a name"),
        ("class_names", "abc", "class_names: needs a list of names"),
        ("colour", "gray", "colour: 'gray' is unknown; did you mean 'grey'"),
        ("color", "rgb", "field 'color' is unknown; did you mean 'colour'"),
    ],
)
def test_error_on_a_wrong_value_names_the_field(name: str, value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_field(CLASSIFIER_FIELDS, name, value)


def test_every_field_of_a_spec_but_its_sources_has_an_entry() -> None:
    fields = [name for name in CLASSIFIER_FIELDS if name != "crop"]  # decides size or resize
    assert fields == [*ModelSpec.__dataclass_fields__][:-1]
    assert list(INPAINTER_FIELDS) == list(INPAINTER_PARAMETERS)


def test_flags_are_sources_named_by_their_options() -> None:
    source = parse_flag(CLASSIFIER_FIELDS, "output", "scores")
    assert (source.name, source.values) == ("flag --output-name", {"output": "scores"})
    source = parse_flag(INPAINTER_FIELDS, "output_range", [0, 255])
    assert source.name == "flag --inpainter-output-range"
    assert source.values == {"output_range": (0.0, 255.0)}


def test_several_fields_are_parsed_by_name() -> None:
    values = parse_fields(CLASSIFIER_FIELDS, {"size": 8, "crop": 1})
    assert values == {"size": (8, 8), "crop": 1.0}
