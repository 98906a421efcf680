"""A classifier is described by flags, files, metadata and its graph, in this order."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.resolve import list_plausible_specs, resolve_spec
from tests.helpers import models
from tests.helpers.described import get_normalisation, make_net, save_and_read

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_flags_alone_describe_a_float_model(tmp_path: Path) -> None:
    spec = resolve_spec(make_net(tmp_path), {"range": (0, 255), "mean": 127, "std": [128.0]})
    assert spec == ModelSpec(
        input="image",
        output="scores",
        layout="nchw",
        colour="rgb",
        dtype="float32",
        range=(0.0, 255.0),
        mean=(127.0,) * 3,
        std=(128.0,) * 3,
        size=(16, 16),
        fit="crop",
        resize=(16, 16),
        interpolation="bilinear",
        border=(0, 0, 0),
        centre="round",
        head="logits",
        output_scale=(1.0, 0.0),
        class_names=tuple(f"class {i}" for i in range(5)),
        sources=spec.sources,
    )
    assert spec.sources["mean"] == "flag --mean"
    assert spec.sources["size"] == "graph"
    assert spec.sources["colour"] == "default"
    assert spec.sources["class_names"] == "numbered"
    assert set(spec.sources) == {field.name for field in dataclasses.fields(spec)} - {"sources"}


def test_error_on_unknown_normalisation_lists_the_ways_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_spec(make_net(tmp_path), {})
    for part in ("range, mean, std", "--preprocessing", "--mean", "net.toml", "inspect"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("coding", "head"),
    [
        ({}, "logits"),
        ({"colour": "bgr"}, "probabilities"),
        ({"layout": "nhwc", "batch": 1}, "probability"),
        ({"output_rank": 1}, "probability"),
        ({"layout": "nhwc"}, "multilabel-probabilities"),
        ({"layout": "nhwc", "dtype": "uint8", "range": (0, 255)}, "probabilities"),
        ({"dtype": "float16", "range": (-1, 1)}, "logits"),
        (
            {"colour": "bgr", "range": (0, 255), "mean": (104, 117, 123), "std": (57, 58, 59)},
            "logits",
        ),
        ({"output_rank": 4, "opset": 13}, "probabilities"),
        ({"opset": 9, "batch": 1}, "probabilities"),
    ],
)
def test_nets_of_equal_function_give_the_same_scores_when_fed_as_described(
    coding: dict[str, Any], head: str, tmp_path: Path
) -> None:
    w = models.weights((8, 6), classes=1 if head == "probability" else 3)
    sigmoid = head in ("probability", "multilabel-probabilities")
    end = "sigmoid" if sigmoid else head
    model = save_and_read(models.additive(w, head=end, **coding), tmp_path)
    keys = ("colour", "range", "mean", "std")
    flags = {key: coding[key] for key in keys if key in coding}
    spec = resolve_spec(model, flags if "range" in flags else {**flags, "range": (0, 1)})
    assert (spec.layout, spec.head) == (coding.get("layout", "nchw"), head)
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 6, 3)).astype(np.float32) / 255
    keys = ("layout", "colour", "dtype", "range", "mean", "std")
    encoded = models.encode(images, **{key: getattr(spec, key) for key in keys})
    session = ort.InferenceSession(model.path, providers=["CPUExecutionProvider"])
    (scores,) = session.run([spec.output], {spec.input: encoded})
    expected = models.additive_scores(w, images, end)
    atol = 5e-3 if spec.dtype == "float16" else 2e-5  # float16 keeps three digits
    np.testing.assert_allclose(scores.reshape(1, -1), expected, atol=atol)


def test_each_source_overrules_the_ones_after_it(tmp_path: Path) -> None:
    huggingface = {
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
        "resample": 3,
        "size": {"height": 16, "width": 16},
    }
    timm = {"pretrained_cfg": {"mean": [0.4] * 3, "std": [0.3] * 3, "crop_pct": 0.9}}
    model = make_net(tmp_path, config=timm)
    spec = resolve_spec(model, {})
    assert get_normalisation(spec) == ((0.0, 1.0), (0.4,) * 3, (0.3,) * 3)
    assert spec.sources["mean"] == "config.json (timm)"
    assert (spec.fit, spec.resize) == ("crop", (17, 17))  # 16 / 0.9, floored
    model = make_net(tmp_path, preprocessor_config=huggingface)
    spec = resolve_spec(model, {})
    assert get_normalisation(spec) == ((0.0, 1.0), (0.5,) * 3, (0.25,) * 3)
    assert (spec.fit, spec.interpolation) == ("stretch", "bicubic")
    model = make_net(tmp_path, net='mean = 0.1\nstd = 0.2\nrange = [0, 1]\ninterpolation = "area"')
    spec = resolve_spec(model, {})
    assert get_normalisation(spec) == ((0.0, 1.0), (0.1,) * 3, (0.2,) * 3)
    assert spec.sources["interpolation"] == "net.toml"
    spec = resolve_spec(model, {"preprocessing": "keras-tf"})
    assert get_normalisation(spec) == ((-1.0, 1.0), (0.0,) * 3, (1.0,) * 3)
    spec = resolve_spec(model, {"preprocessing": "keras-tf", "range": (0, 1)})
    assert get_normalisation(spec) == ((0.0, 1.0), (0.0,) * 3, (1.0,) * 3)


def test_mean_of_a_flag_with_std_of_a_file_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_net(tmp_path, net="mean = 127\nstd = 128\nrange = [0, 255]")
    resolve_spec(model, {"mean": 120})
    (warning,) = caplog.messages
    assert "flag --mean goes with the std 128 of net.toml; give --std too" in warning
    caplog.clear()
    resolve_spec(model, {"mean": 0.4, "std": 0.2})
    resolve_spec(model, {})
    assert not caplog.messages


@pytest.mark.parametrize(
    "flags", [{"colour": "gbr"}, {"meen": 1}, {"preprocessing": "kears-tf"}, {"std": 0.0}]
)
def test_wrong_flags_are_value_errors(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(flags))):
        resolve_spec(make_net(tmp_path), flags)


@pytest.mark.parametrize(
    "flags", [{"size": (32, 32)}, {"dtype": "uint8"}, {"layout": "nhwc"}, {"colour": "grey"}]
)
def test_flags_that_contradict_the_graph_are_errors(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="but the graph has"):
        resolve_spec(make_net(tmp_path), {**flags, "preprocessing": "lite"})


def test_size_that_the_graph_leaves_open_must_be_given(tmp_path: Path) -> None:
    proto = models.convnet()
    for axis in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    model = save_and_read(proto, tmp_path)
    with pytest.raises(ModelError, match="cannot tell size"):
        resolve_spec(model, {"preprocessing": "lite"})
    assert resolve_spec(model, {"preprocessing": "lite", "size": 20}).size == (20, 20)


def test_sources_name_flags_as_the_command_line_spells_them(tmp_path: Path) -> None:
    spec = resolve_spec(make_net(tmp_path), {"preprocessing": "lite", "input": "image"})
    assert spec.sources["input"] == "flag --input-name"


def test_head_of_one_number_per_image_must_be_given(
    tmp_path: Path,
) -> None:
    model = save_and_read(models.additive(models.weights((4, 4), 1)), tmp_path)
    flags = {"range": (0, 1), "class_names": ("cat", "dog")}
    with pytest.raises(ModelError, match=r"--head probability if .* or --head logit"):
        resolve_spec(model, flags)
    for head in ("logit", "logits", "multilabel-logits"):
        assert resolve_spec(model, {**flags, "head": head}).head == "logit"
    for head in ("probability", "probabilities", "multilabel-probabilities"):
        assert resolve_spec(model, {**flags, "head": head}).head == "probability"
    with pytest.raises(ModelError, match="says head softmax, but the graph has one number per"):
        resolve_spec(model, {**flags, "head": "softmax"})


@pytest.mark.parametrize("head", ["logit", "probability"])
def test_head_of_one_number_is_refused_for_several(head: str, tmp_path: Path) -> None:
    model = save_and_read(models.additive(models.weights((4, 4))), tmp_path)
    with pytest.raises(ModelError, match=f"says head {head}, but the graph has 3 numbers per"):
        resolve_spec(model, {"range": (0, 1), "head": head})


@pytest.mark.parametrize(
    ("problem_type", "head"),
    [
        ("multi_label_classification", "sigmoid"),
        ("single_label_classification", "softmax"),
        ("regression", "logits"),
        (None, "logits"),
    ],
)
def test_problem_type_of_hugging_face_is_read(
    problem_type: str | None, head: str, tmp_path: Path
) -> None:
    model = save_and_read(models.additive(models.weights((4, 4))), tmp_path)
    config = {"problem_type": problem_type, "id2label": {"0": "a", "1": "b", "2": "c"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    spec = resolve_spec(model, {"range": (0, 1)})
    assert spec.head == head
    source = "config.json (problem_type)" if head != "logits" else "graph"
    assert spec.sources["head"] == source
    assert resolve_spec(model, {"range": (0, 1), "head": "logits"}).head == "logits"


def test_head_of_one_score_without_a_sigmoid_is_not_guessed(tmp_path: Path) -> None:
    model = save_and_read(models.additive(models.weights((8, 6), classes=1)), tmp_path)
    with pytest.raises(ModelError, match="--head probability"):
        resolve_spec(model, {"preprocessing": "unit"})


def test_uint8_pixels_are_not_normalised_whatever_the_folder_says(tmp_path: Path) -> None:
    model = save_and_read(models.quantised(models.weights((4, 4))), tmp_path)
    timm = {"pretrained_cfg": {"mean": IMAGENET[0], "std": IMAGENET[1]}}
    (tmp_path / "config.json").write_text(json.dumps(timm))
    assert get_normalisation(resolve_spec(model, {})) == ((0, 255), (0,) * 3, (1,) * 3)
    (tmp_path / "net.toml").write_text("mean = 127")
    with pytest.raises(ModelError, match=r"net\.toml says mean .* but the graph has uint8"):
        resolve_spec(model, {})


def test_plausible_specs_are_the_presets_in_both_colour_orders(tmp_path: Path) -> None:
    specs = dict(list_plausible_specs(make_net(tmp_path), {}))
    assert "torchvision / timm / keras-torch, rgb" in specs
    assert specs["torchvision / timm / keras-torch, bgr"].mean == IMAGENET[0][::-1]
    assert specs["keras-caffe, bgr"].mean == (103.939, 116.779, 123.68)
    assert len(specs) == 12
    described = list_plausible_specs(make_net(tmp_path), {"colour": "rgb", "mean": 0.5, "std": 0.5})
    assert described[0][0] == "as described"
    assert described[0][1].mean == (0.5,) * 3
    assert len(described) == 7


def test_plausible_specs_of_uint8_differ_in_colour_only(tmp_path: Path) -> None:
    specs = list_plausible_specs(
        save_and_read(models.quantised(models.weights((4, 4))), tmp_path), {}
    )
    assert [name for name, _ in specs] == ["as described", "bytes, rgb", "bytes, bgr"]
