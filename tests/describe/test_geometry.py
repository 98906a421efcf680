"""How a photo is brought to the input's size is one thing, from one place."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import onnx
import pytest

from onnxplain.core.data import Preprocessing
from onnxplain.core.errors import ModelError
from onnxplain.describe.resolve import resolve_spec
from onnxplain.describe.sources import format_spec_toml
from tests.helpers import models
from tests.helpers.described import make_net, save_and_read

UNIT = {"range": (0, 1)}
HUGGING_FACE = {
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "size": {"height": 16, "width": 16},
}


@pytest.mark.parametrize(
    ("said", "fit", "resize"),
    [
        ({}, "crop", (16, 16)),
        ({"resize": 20}, "crop", (20, 20)),
        ({"resize": 20, "crop": 16}, "crop", (20, 20)),
        ({"resize": (20, 20), "crop": 16}, "stretch", (20, 20)),
        ({"resize": (20, 24), "crop": (16, 16)}, "stretch", (20, 24)),
        ({"resize": 20, "fit": "stretch"}, "stretch", (20, 20)),
        ({"resize": (20, 24), "fit": "crop"}, "crop", (20, 24)),
        ({"resize": 20, "fit": "pad"}, "pad", (20, 20)),
        ({"fit": "pad"}, "pad", (16, 16)),
        ({"crop": 0.875}, "crop", (18, 18)),  # 18.3, floored as timm does
        ({"crop": 0.9, "fit": "stretch"}, "stretch", (17, 17)),  # timm's squash
        ({"crop": 0.9, "fit": "pad"}, "pad", (17, 17)),  # timm's border
        ({"crop": 1.0}, "crop", (16, 16)),
        ({"fit": "keep"}, "keep", None),
        ({"fit": "keep", "crop": 16}, "keep", None),
    ],
)
@pytest.mark.parametrize("where", ["flags", "net.toml"])
def test_steps_are_brought_to_one_form_and_written_as_it(
    said: dict[str, Any], fit: str, resize: Any, where: str, tmp_path: Path
) -> None:
    flags = dict(UNIT)
    if where == "flags":
        flags |= said
    else:
        lines = (f"{name} = {[*v] if isinstance(v, tuple) else v!r}\n" for name, v in said.items())
        (tmp_path / "net.toml").write_text("".join(lines))
    model = make_net(tmp_path)
    spec = resolve_spec(model, flags)
    assert (spec.fit, spec.resize, spec.size) == (fit, resize, (16, 16))
    assert (spec.sources["fit"] == "default") == (not said)
    (tmp_path / "net.toml").write_text(format_spec_toml(spec))
    again = resolve_spec(model, {})
    assert dataclasses.replace(again, sources={}) == dataclasses.replace(spec, sources={})


@pytest.mark.parametrize(
    ("flags", "fit", "resize"),
    [
        ({"fit": "pad"}, "pad", (16, 16)),
        ({"crop": 0.5}, "crop", (32, 32)),
        ({"resize": 20}, "crop", (20, 20)),
        ({"interpolation": "lanczos"}, "stretch", (18, 20)),
    ],
)
def test_the_first_place_that_gives_a_step_decides_all_of_them(
    flags: dict[str, Any], fit: str, resize: tuple[int, int], tmp_path: Path
) -> None:
    model = make_net(tmp_path, net="resize = [18, 20]", preprocessor_config=HUGGING_FACE)
    spec = resolve_spec(model, flags)
    assert (spec.fit, spec.resize) == (fit, resize)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"resize": 20, "crop": 0.9},
            r"resize = 20 \(flag --resize\) contradicts crop = 0\.9 \(flag --crop\): give crop in",
        ),
        ({"fit": "keep", "resize": 20}, r"fit = keep .* contradicts resize = 20 .* leave out one"),
        ({"fit": "keep", "crop": 0.9}, r"fit = keep .* contradicts crop = 0\.9 .* leave out one"),
        ({"crop": 20}, r"flag --crop says crop \(20, 20\), but the graph has \(16, 16\)"),
        ({"crop": 16, "size": 20}, r"flag --crop crops to \(16, 16\), but flag --size says size"),
    ],
)
def test_steps_that_contradict_each_other_are_errors_that_say_what_to_do(
    flags: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_spec(make_net(tmp_path), UNIT | flags)


def test_contradiction_in_a_file_names_the_file(tmp_path: Path) -> None:
    model = make_net(tmp_path, net="resize = 20\ncrop = 0.9")
    with pytest.raises(ModelError, match=r"net\.onnx: resize = 20 \(net\.toml\) contradicts crop"):
        resolve_spec(model, UNIT)


def test_crop_gives_the_size_where_the_graph_leaves_it_open(tmp_path: Path) -> None:
    proto = models.additive(models.weights((16, 16)), head="logits")
    for dimension in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.Clear()
        dimension.dim_param = "side"
    onnx.checker.check_model(proto)
    model = save_and_read(proto, tmp_path)
    with pytest.raises(ModelError, match="cannot tell size"):
        resolve_spec(model, UNIT | {"resize": 20})
    spec = resolve_spec(model, UNIT | {"resize": 20, "crop": (16, 14)})
    assert (spec.size, spec.resize, spec.fit) == ((16, 14), (20, 20), "crop")
    assert spec.sources["size"] == "flag --crop"
    assert resolve_spec(model, UNIT | {"crop": 0.8, "size": (16, 12)}).resize == (20, 15)


def test_border_and_centre_reach_the_preprocessing(tmp_path: Path) -> None:
    toml = 'fit = "pad"\nborder = [124, 116, 104]\ncentre = "floor"\ninterpolation = "hamming"'
    spec = resolve_spec(make_net(tmp_path, net=toml), UNIT)
    assert spec.preprocessing == Preprocessing(
        "pad", (16, 16), "hamming", (124, 116, 104), centre="floor"
    )
