"""A graph that normalises itself is found, and a spec that would normalise again is doubted."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.describe.plausible import list_plausible_specs
from onnxplain.describe.resolve import resolve_spec
from onnxplain.graph.load import ModelFile, read_model
from tests.helpers import models
from tests.helpers.described import save_and_read

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])

# What graphs begin with, in Keras' order of axes, and the preset that fits them.
RESCALING = [("Mul", 1 / 255)]
SELF_NORMALISING: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "MobileNetV3 of Keras": ([("Mul", 1 / 127.5), ("Add", -1.0)], "bytes"),
    "EfficientNet of Keras": (
        [*RESCALING, ("Sub", MEAN), ("Div", STD), ("Mul", STD**-0.5)],
        "bytes",
    ),
    "ConvNeXt of Keras": ([("Sub", 255 * MEAN), ("Div", 255 * STD)], "bytes"),
    "rescaling": (RESCALING, "bytes"),
    "mean of Caffe": ([("Sub", [103.939, 116.779, 123.68])], "bytes"),
    "mean and std": ([("Sub", MEAN), ("Div", STD)], "unit"),
    "-1 to 1": ([("Sub", 0.5), ("Mul", 2.0)], "unit"),
}


def make_net_behind(
    first: Sequence[tuple[str, Any]], folder: Path, layout: str = "nhwc"
) -> ModelFile:
    """Make a classifier that begins with operators of one constant each."""
    proto = models.convnet()
    nodes, tensor = [], "image"
    for index, (kind, value) in enumerate(first):
        constant = np.asarray(value, np.float32)
        if layout == "nchw" and constant.ndim:
            constant = constant[:, None, None]
        proto.graph.initializer.append(numpy_helper.from_array(constant, f"constant {index}"))
        nodes.append(helper.make_node(kind, [tensor, f"constant {index}"], [f"made {index}"]))
        tensor = f"made {index}"
    if layout == "nhwc":
        dims = proto.graph.input[0].type.tensor_type.shape.dim
        dims[1].dim_value, dims[3].dim_value = 16, 3
        nodes.append(helper.make_node("Transpose", [tensor], ["begun"], perm=[0, 3, 1, 2]))
    else:
        nodes.append(helper.make_node("Identity", [tensor], ["begun"]))
    return save_and_read(models.begin_with(nodes, proto), folder)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("kind", SELF_NORMALISING)
def test_presets_that_leave_normalising_to_the_graph_are_taken_as_they_are(
    kind: str, layout: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, preset = SELF_NORMALISING[kind]
    resolve_spec(make_net_behind(first, tmp_path, layout), {"preprocessing": preset})
    assert not caplog.messages


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("preset", ["keras-tf", "torchvision", "lite", "unit"])
@pytest.mark.parametrize("kind", [k for k, (_, p) in SELF_NORMALISING.items() if p == "bytes"])
def test_normalising_twice_what_is_0_to_255_is_an_error_that_names_the_preset(
    kind: str, preset: str, layout: str, tmp_path: Path
) -> None:
    model = make_net_behind(SELF_NORMALISING[kind][0], tmp_path, layout)
    with pytest.raises(ModelError, match="pixels of 0 to 255 themselves") as caught:
        resolve_spec(model, {"preprocessing": preset})
    for part in (f"(preset {preset})", "pass --preprocessing bytes", "in numbers"):
        assert part in str(caught.value)


@pytest.mark.parametrize("preset", ["keras-tf", "torchvision", "lite", "bytes"])
@pytest.mark.parametrize("kind", [k for k, (_, p) in SELF_NORMALISING.items() if p == "unit"])
def test_normalising_twice_what_is_0_to_1_is_warned_of(
    kind: str, preset: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_net_behind(SELF_NORMALISING[kind][0], tmp_path)
    resolve_spec(model, {"preprocessing": preset})
    (warning,) = caplog.messages
    assert "pixels of 0 to 1 themselves" in warning
    assert "--preprocessing unit" in warning


def test_files_of_frameworks_that_normalise_twice_are_errors_too(tmp_path: Path) -> None:
    model = make_net_behind(SELF_NORMALISING["EfficientNet of Keras"][0], tmp_path)
    config = {"pretrained_cfg": {"mean": [*MEAN], "std": [*STD]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"\(config.json \(timm\)\)"):
        resolve_spec(model, {})
    assert resolve_spec(model, {"preprocessing": "bytes"}).range == (0, 255)


def test_numbers_that_somebody_gives_are_taken_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Networks are also trained with pixels that were divided by 255 twice."""
    model = make_net_behind(SELF_NORMALISING["rescaling"][0], tmp_path)
    assert resolve_spec(model, {"range": (0, 1)}).range == (0, 1)
    (warning,) = caplog.messages
    assert "0 to 0.00392" in warning


def test_presets_that_certainly_normalise_twice_are_not_plausible(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_net_behind(SELF_NORMALISING["EfficientNet of Keras"][0], tmp_path)
    names = [name for name, _ in list_plausible_specs(model, {"colour": "rgb"})]
    assert names == ["keras-caffe, rgb", "bytes, rgb"]
    assert not caplog.messages


def test_batch_normalisation_in_front_counts_as_well(tmp_path: Path) -> None:
    names = ("gain", "bias", "mean", "variance")
    values = (np.ones(3), np.zeros(3), 255 * MEAN, (255 * STD) ** 2)
    proto = models.convnet()
    for name, value in zip(names, values, strict=True):
        proto.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    nodes = [helper.make_node("BatchNormalization", ["image", *names], ["begun"])]
    model = save_and_read(models.begin_with(nodes, proto), tmp_path)
    with pytest.raises(ModelError, match="pass --preprocessing bytes"):
        resolve_spec(model, {"preprocessing": "torchvision"})


@pytest.mark.parametrize(
    "first",
    [
        [],
        [("Mul", STD / 0.5), ("Add", (MEAN - 0.5) / 0.5)],  # torchvision's transform_input
        [("Mul", 1e-3)],  # no usual form
        [("Max", 0.0), ("Mul", 1 / 255)],  # the first operator is another
        [("Mul", np.full((16, 16, 3), 1 / 255))],  # not per channel
    ],
)
@pytest.mark.parametrize("preset", ["keras-tf", "torchvision", "lite", "unit", "bytes"])
def test_graphs_that_do_not_normalise_in_a_usual_way_raise_no_doubt(
    first: list[tuple[str, Any]], preset: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resolve_spec(make_net_behind(first, tmp_path), {"preprocessing": preset})
    assert not caplog.messages


def test_sides_of_a_subtraction_and_constants_of_the_graph_are_told_apart(tmp_path: Path) -> None:
    """1 - x / 255, with the constants as nodes, is a usual form of 0 to 255."""
    proto = models.convnet()
    nodes = [
        helper.make_node("Constant", [], ["255"], value_float=255.0),
        helper.make_node("Div", ["image", "255"], ["share"]),
        helper.make_node("Constant", [], ["1"], value_float=1.0),
        helper.make_node("Sub", ["1", "share"], ["begun"]),
    ]
    model = save_and_read(models.begin_with(nodes, proto), tmp_path)
    assert resolve_spec(model, {"preprocessing": "bytes"}).range == (0, 255)
    with pytest.raises(ModelError, match=r"they pass on 0\.996 to 1 "):
        resolve_spec(model, {"preprocessing": "unit"})


@pytest.mark.framework
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "normalises"),
    [("MobileNetV3Small", True), ("ConvNeXtTiny", True), ("MobileNet", False)],
)
def test_networks_of_keras_that_normalise_themselves_are_found(
    name: str, normalises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    torch = pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    network = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its successor
        torch.onnx.export(
            network.eval(), (torch.zeros(1, 64, 64, 3),), str(tmp_path / "net.onnx"), dynamo=False
        )
    model = read_model(tmp_path / "net.onnx")
    assert resolve_spec(model, {"preprocessing": "bytes"}).layout == "nhwc"
    if normalises:
        with pytest.raises(ModelError, match="pass --preprocessing bytes"):
            resolve_spec(model, {"preprocessing": "keras-tf"})
    else:
        assert resolve_spec(model, {"preprocessing": "keras-tf"}).range == (-1, 1)
