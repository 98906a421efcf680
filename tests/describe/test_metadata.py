"""Metadata of the ONNX file and the description of its input are read, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.describe.metadata import list_fixed_sizes
from onnxplain.describe.resolve import resolve_spec
from onnxplain.graph.load import ModelFile
from tests.helpers import models
from tests.helpers.described import get_normalisation, save_and_read

ULTRALYTICS = {
    "description": "Ultralytics YOLO11n-cls model",
    "task": "classify",
    "batch": "1",
    "imgsz": "[16, 16]",
    "stride": "1",
    "names": "{0: 'v', 1: 'w', 2: 'x', 3: 'y', 4: 'z'}",
    "channels": "3",
}
# As onnxmltools and WinMLTools write it for models of Core ML; the missing space is theirs.
CORE_ML = (
    "Image(s) in {} format. It is a [N, C, H, W]-tensor. The 1st/2nd/3rd slices along the"
    "C-axis are {} channels, respectively."
)


def make_net_with(folder: Path, props: dict[str, str], *, description: str = "") -> ModelFile:
    proto = models.convnet()
    helper.set_model_props(proto, props)
    proto.graph.input[0].doc_string = description
    return save_and_read(proto, folder)


def test_ultralytics_prepares_photos_for_its_classifiers(tmp_path: Path) -> None:
    """Resize of the shortest side, the centre, and pixels from 0 to 1: `classify_transforms`."""
    model = make_net_with(tmp_path, ULTRALYTICS)
    for axis in (2, 3):
        model.proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    spec = resolve_spec(save_and_read(model.proto, tmp_path), {})
    assert get_normalisation(spec) == ((0, 1), (0,) * 3, (1,) * 3)
    assert (spec.size, spec.fit, spec.resize) == ((16, 16), "crop", (16, 16))
    assert (spec.colour, spec.interpolation, spec.class_names) == (
        "rgb",
        "bilinear",
        tuple("vwxyz"),
    )
    assert spec.sources["size"] == spec.sources["fit"] == "ONNX metadata"


def test_ultralytics_of_other_tasks_and_sizes(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot tell range"):  # of a detector, or of YOLOv5
        resolve_spec(make_net_with(tmp_path, {**ULTRALYTICS, "task": "detect"}), {})
    oblong = make_net_with(tmp_path, {**ULTRALYTICS, "imgsz": "[16, 12]"})
    with pytest.raises(ModelError, match=r"prepare a size of \(16, 12\); pass --fit"):
        resolve_spec(oblong, {})
    assert resolve_spec(oblong, {"fit": "stretch"}).range == (0, 1)
    number = make_net_with(tmp_path, {**ULTRALYTICS, "imgsz": "16"})
    assert resolve_spec(number, {}).sources["fit"] == "ONNX metadata"


@pytest.mark.parametrize(
    ("description", "colour"),
    [
        (CORE_ML.format("BGR", "blue, green, and red"), "bgr"),
        (CORE_ML.format("RGB", "red, green, and blue"), "rgb"),
        ("a bgr image", "bgr"),
        ("either RGB or BGR", None),
        ("the image", None),
    ],
)
def test_description_of_the_input_tells_the_colour_order(
    description: str, colour: str | None, tmp_path: Path
) -> None:
    model = make_net_with(tmp_path, {}, description=description)
    spec = resolve_spec(model, {"preprocessing": "torchvision"})
    assert spec.colour == (colour or "rgb")
    assert spec.sources["colour"] == ("description of the input" if colour else "default")
    assert spec.mean == ((0.406, 0.456, 0.485) if colour == "bgr" else (0.485, 0.456, 0.406))


def test_description_of_a_grey_input_suits_one_channel_only(tmp_path: Path) -> None:
    text = "Image(s) in gray scale. If there are N images, it is a 4-D tensor of [N, 1, H, W]"
    spec = resolve_spec(make_net_with(tmp_path, {}, description=text), {"range": (0, 1)})
    assert spec.colour == "rgb"  # the graph has three


@pytest.mark.parametrize(
    ("description", "pixels"),
    [
        ("Pixels in [0, 255].", (0, 255)),
        ("values of [0.0, 1.0]", (0, 1)),
        ("an image, [-1,1]", (-1, 1)),
        ("[0 to 255]", (0, 255)),
    ],
)
def test_description_of_the_input_tells_the_range(
    description: str, pixels: tuple[float, float], tmp_path: Path
) -> None:
    spec = resolve_spec(make_net_with(tmp_path, {}, description=description), {})
    assert get_normalisation(spec) == (pixels, (0,) * 3, (1,) * 3)
    with pytest.raises(ModelError, match="cannot tell range"):
        resolve_spec(make_net_with(tmp_path, {}, description="[1, 3]"), {})


@pytest.mark.parametrize(
    ("pixels", "colour"), [("Rgb8", "rgb"), ("BGRA8", "bgr"), ("Rgba8", "rgb"), ("Bgr8", "bgr")]
)
def test_keys_of_the_standard_tell_colour_and_range(
    pixels: str, colour: str, tmp_path: Path
) -> None:
    """As Custom Vision and Windows ML write them."""
    props = {
        "Image.BitmapPixelFormat": pixels,
        "Image.NominalPixelRange": "NominalRange_0_255",
        "Image.ColorSpaceGamma": "SRGB",
    }
    spec = resolve_spec(make_net_with(tmp_path, props), {})
    assert (spec.colour, spec.range) == (colour, (0, 255))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Image.BitmapPixelFormat", "Nv12"),
        ("Image.NominalPixelRange", "Other"),
        ("Image.ColorSpaceGamma", "Linear"),
    ],
)
def test_values_of_the_standard_that_a_spec_cannot_say_are_refused(
    key: str, value: str, tmp_path: Path
) -> None:
    model = make_net_with(tmp_path, {key: value})
    with pytest.raises(ModelError, match=f"{key} is '{value}'.*pass --preprocessing"):
        resolve_spec(model, {})
    assert resolve_spec(model, {"preprocessing": "unit"}).range == (0, 1)


def test_own_key_counts_before_the_others_and_keeps_range_mean_and_std_together(
    tmp_path: Path,
) -> None:
    own = {"range": [0, 255], "mean": [127.0], "std": [128.0], "fit": "stretch"}
    props = {**ULTRALYTICS, "onnxplain.spec": json.dumps(own)}
    spec = resolve_spec(make_net_with(tmp_path, props), {})
    assert get_normalisation(spec) == ((0, 255), (127,) * 3, (128,) * 3)
    assert spec.fit == "stretch"
    alone = {**ULTRALYTICS, "onnxplain.spec": json.dumps({"mean": [127.0], "std": [128.0]})}
    assert resolve_spec(make_net_with(tmp_path, alone), {}).range == (0, 255)  # not of 0 to 1


def test_sizes_that_a_graph_may_take_are_those_of_either_layout() -> None:
    proto = models.model(
        [helper.make_node("Flatten", ["x"], ["y"])],
        {"x": (TensorProto.FLOAT, ["N", 3, 20, 24])},
        {"y": (TensorProto.FLOAT, ["N", 1440])},
    )
    assert list_fixed_sizes(proto) == {(3, 20), (20, 24)}
