"""A classifier is described by flags, files, metadata and its graph, in this order."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from onnxplain.core.spec import ModelSpec
from onnxplain.describe.resolve import resolve_spec
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
