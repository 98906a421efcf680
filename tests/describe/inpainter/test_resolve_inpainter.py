"""An inpainter is described by flags, files, metadata and its graph, in this order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.errors import InpainterError
from onnxplain.describe.inpainter.resolve_inpainter import is_inpainter, resolve_inpainter
from tests.helpers import models, painters
from tests.helpers.described import save_and_read


def write_toml(folder: Path, text: str) -> None:
    (folder / "net.toml").write_text(text)


def test_each_source_overrules_the_ones_after_it(tmp_path: Path) -> None:
    proto = models.inpainter("mean")
    content = {"hole": 4, "known": 3, "multiple": 2, "batch": 7}
    helper.set_model_props(proto, {"onnxplain.inpainter": json.dumps(content)})
    write_toml(tmp_path, '[inpainter]\npreset = "migan-generator"\npack = "separate"\nmultiple = 4')
    spec = resolve_inpainter(
        save_and_read(proto, tmp_path), {"hole": 9, "preset": "lama", "batch": None}
    )
    origins = {
        "hole": (9.0, "flag --inpainter-hole"),
        "known": (0.0, "preset lama (flag)"),
        "multiple": (4, "net.toml"),
        "premultiply": (True, "preset migan-generator (net.toml)"),
        "batch": (7, "ONNX metadata"),
        "layout": ("nchw", "graph"),
        "output_layout": ("nchw", "graph"),
        "mean": ((0.0, 0.0, 0.0), "default"),
    }
    assert {name: (getattr(spec, name), spec.sources[name]) for name in origins} == origins


@pytest.mark.parametrize(
    ("proto", "flags", "field", "expected"),
    [
        (
            painters.separate(dtype=TensorProto.UINT8, layout="nhwc"),
            {},
            "range",
            ((0.0, 255.0), "follows from dtype"),
        ),
        (painters.copying(), {"pack": "image"}, "premultiply", (True, "follows from pack")),
        (models.inpainter("mean"), {"known": 1}, "hole", (0.0, "follows from known")),
        (models.inpainter("mean"), {"known": 0}, "hole", (1.0, "follows from known")),
        (
            models.inpainter("mean"),
            {"colour": "bgr"},
            "output_colour",
            ("bgr", "follows from colour"),
        ),
        (painters.lama(), {}, "batch", (1, "follows from the graph's batch")),
        (painters.deepfill_server(), {"range": (0, 255)}, "hole", (255.0, "default")),
    ],
)
def test_defaults_follow_from_other_fields(
    proto: ModelProto, flags: dict[str, Any], field: str, expected: tuple[Any, str], tmp_path: Path
) -> None:
    spec = resolve_inpainter(save_and_read(proto, tmp_path), flags)
    assert (getattr(spec, field), spec.sources[field]) == expected


def test_output_given_by_index_is_named_in_the_spec(tmp_path: Path) -> None:
    spec = resolve_inpainter(save_and_read(models.inpainter("mean"), tmp_path), {"output": 0})
    assert (spec.output, spec.sources["output"]) == ("output", "flag --inpainter-output")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"size": 256}, r"flag --inpainter-size says size 256, 256, but the graph has 512, 512"),
        ({"batch": 4}, "says batch 4, but the graph has 1; leave it out"),
        ({"hole": 0, "known": 0}, "hole and known must differ"),
    ],
)
def test_error_on_contradictions_says_what_was_given_and_what_the_graph_has(
    flags: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(InpainterError, match=rf"net\.onnx: .*{says}"):
        resolve_inpainter(save_and_read(painters.lama(), tmp_path), flags)


def test_graph_without_a_mask_needs_blank_holes(tmp_path: Path) -> None:
    model = save_and_read(painters.copying(), tmp_path)
    with pytest.raises(InpainterError, match=r"only see holes that are blank"):
        resolve_inpainter(model, {"pack": "image", "premultiply": False})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inpainter = 3", "net.toml: inpainter must be a table, got 3"),
        ("hole = 0", r"net.toml: describes no inpainter; put hole under \[inpainter\]"),
        ('[inpainter]\npreset = "lamma"', "preset 'lamma' is unknown.*its keys: preset, pack"),
        ("[inpainter]\nmultiple = 0", "multiple must be >= 1"),
    ],
)
def test_error_on_a_wrong_table_names_the_file(text: str, says: str, tmp_path: Path) -> None:
    write_toml(tmp_path, text)
    with pytest.raises(InpainterError, match=says):
        resolve_inpainter(save_and_read(models.inpainter("mean"), tmp_path), {})


def test_file_is_an_inpainter_by_its_output_or_by_its_description(tmp_path: Path) -> None:
    assert is_inpainter(save_and_read(models.inpainter("mean"), tmp_path))
    classifier = save_and_read(models.convnet(), tmp_path)
    assert not is_inpainter(classifier)
    write_toml(tmp_path, "colour = 'bgr'")
    assert not is_inpainter(classifier)
    write_toml(tmp_path, "[inpainter]\nhole = 1")
    assert is_inpainter(classifier)
