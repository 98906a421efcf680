"""Explainers as one file: the heatmaps of `explain`, by ONNX Runtime and by onnx's evaluator."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

import onnxplain
from onnxplain import (
    AttentionRollout,
    Colour,
    GradCAM,
    Gradient,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
)
from onnxplain.core.data import Images
from onnxplain.core.flow import NO_FILL, Closed, Method, NotClosed, WhiteBox
from onnxplain.core.spec import ModelSpec
from onnxplain.registry import METHODS, choose_method_and_fill
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.explainer_building import build_explainer_model
from tests.helpers import models
from tests.helpers.inside import add_softmax, open_model, read_proto
from tests.helpers.plain_ops import PLAIN
from tests.helpers.specs import CONVENTIONS, photos, spec_of
from tests.helpers.transformers import FORMS, Form, Vit, draw_weights, make_net_for, make_vit

SIZE = (16, 20)
SPEC = spec_of(size=SIZE, classes=5)
SMALL: dict[str, dict[str, Any]] = {
    "ig": {"n_points": 4, "tolerance": 0},
    "pattern-attribution": {"estimator": "filter"},
    "pattern-net": {"estimator": "filter"},
}
CLOSED = {
    name: made
    for name, cls in METHODS.items()
    if isinstance(made := cls(**SMALL.get(name, {})), Closed)
}


def build(model: ModelProto, spec: ModelSpec, method: Method | str, fill: Any = None) -> ModelProto:
    choice = choose_method_and_fill(method, fill)
    content = build_explainer_model(read_proto(model), spec, choice)
    explainer = ModelProto.FromString(content)
    onnx.checker.check_model(explainer, full_check=True)
    return explainer


def run(explainer: ModelProto, spec: ModelSpec, images: Images, targets: list[int]) -> list[Any]:
    """Run a file with ONNX Runtime: scores and heatmaps."""
    session = ort.InferenceSession(
        explainer.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {spec.input: ModelSpace.of(spec).enter_as_real(images), "target": np.array(targets)}
    return session.run([spec.output, "heatmap"], feeds)


def explain(
    model: ModelProto, spec: ModelSpec, method: Any, images: Images, targets: list[int], fill: Any
) -> np.ndarray:
    classifier = open_model(model, spec)
    pairs = zip(images, targets, strict=True)
    made = [
        onnxplain.explain(classifier, image, method, target=t, fill=fill, progress=False).heatmap
        for image, t in pairs
    ]
    return np.stack(made)


def assert_same(found: np.ndarray, expected: np.ndarray, share: float = 1e-4) -> None:
    """Check that maps differ by at most a share of the largest value."""
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, atol=share * np.abs(expected).max(), rtol=0)


def test_every_kind_of_closed_form_is_there() -> None:
    assert {"gradient", "input-x-gradient", "ig", "guided-backprop", "deconvnet"} <= set(CLOSED)
    assert {"grad-cam", "grad-cam++", "hires-cam", "xgrad-cam", "layer-cam"} <= set(CLOSED)
    assert {"lrp", "deep-taylor", "mwp", "cmwp", "pattern-net"} <= set(CLOSED)
    assert {"attention-rollout", "generic-attention", "cp-lrp", "attn-lrp"} <= set(CLOSED)
    assert not {"smoothgrad", "rise", "mp2", "transformer-attribution"} & set(CLOSED)


def test_every_other_method_that_looks_inside_says_why() -> None:
    others = [cls() for name, cls in METHODS.items() if name not in CLOSED]
    inside = [method for method in others if isinstance(method, WhiteBox)]
    assert {"transformer-attribution", "meta-saliency"} <= {method.name for method in inside}
    for method in inside:
        assert isinstance(method, NotClosed), method.name
        with pytest.raises(ValueError, match=re.escape(f"exported: {method.no_formula}, and a")):
            build(models.convnet(SIZE), SPEC, method)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("opset", [17, 18])
def test_heatmaps_of_a_file_are_those_of_explain(name: str, opset: int) -> None:
    """Five images at once, each of its own target, on ONNX Runtime and onnx's evaluator."""
    method = CLOSED[name]
    model = make_net_for(name, SIZE, opset=opset)
    fill = None if method.usual_fill == NO_FILL else Colour((0.2, 0.5, 0.7))
    images, targets = photos(5, SIZE), [3, 0, 4, 1, 3]
    explainer = build(model, SPEC, method, fill)
    assert [(entry.domain, entry.version) for entry in explainer.opset_import] == [("", opset)]
    assert [port.name for port in explainer.graph.input] == ["image", "target"]
    assert [port.name for port in explainer.graph.output] == ["scores", "heatmap"]
    scores, heatmaps = run(explainer, SPEC, images, targets)
    assert_same(heatmaps, explain(model, SPEC, method, images, targets, fill))
    np.testing.assert_allclose(scores, open_model(model, SPEC).scores(images), atol=1e-5)
    evaluator = ReferenceEvaluator(explainer, new_ops=PLAIN)
    feeds = {"image": images.transpose(0, 3, 1, 2), "target": np.array(targets)}
    again = evaluator.run(["scores", "heatmap"], feeds)
    np.testing.assert_allclose(again[0], scores, atol=1e-5)
    assert_same(again[1], heatmaps)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["attention-rollout", "generic-attention", "attn-lrp"])
def test_transformers_of_every_form_have_explainers(method: str, form: Form) -> None:
    vit = Vit(prefix=2)
    model, spec = make_vit(vit, draw_weights(vit), form), spec_of(size=vit.size)
    images, targets = photos(3, vit.size), [2, 0, 1]
    explainer = build(model, spec, METHODS[method]())
    _, heatmaps = run(explainer, spec, images, targets)
    assert_same(heatmaps, explain(model, spec, METHODS[method](), images, targets, None))


def test_explainers_that_sort_are_refused() -> None:
    method = AttentionRollout(discard=0.5)
    with pytest.raises(ValueError, match="cannot be exported: discard sorts weights"):
        build(make_net_for("attention-rollout", SIZE), SPEC, method)


@pytest.mark.parametrize("convention", [c for c in CONVENTIONS if "uint8" not in c])
@pytest.mark.parametrize(
    "method",
    [*(Gradient(channels=c) for c in ("max-abs", "sum", "l2", "sum-abs")),
     InputXGradient(), IntegratedGradients(3, tolerance=0)],
)  # fmt: skip
def test_maps_are_of_pixels_however_images_enter_the_graph(convention: str, method: Any) -> None:
    settings = CONVENTIONS[convention]
    w = models.weights(SIZE)
    if settings.get("colour") == "grey":
        w = w[..., :1]
    model, spec = models.additive(w, **settings), spec_of(size=SIZE, **settings)
    fill = None if method.usual_fill == NO_FILL else Colour((0.1, 0.6, 0.3))
    images, targets = photos(2, SIZE), [2, 0]
    _, heatmaps = run(build(model, spec, method, fill), spec, images, targets)
    assert_same(heatmaps, explain(model, spec, method, images, targets, fill))


@pytest.mark.parametrize("score", ["raw", "contrast", "probability", "log-odds", "logit"])
@pytest.mark.parametrize("make", [Gradient, GradCAM, GuidedBackprop])
def test_any_score_of_a_model_with_a_softmax_can_be_explained(make: Any, score: str) -> None:
    model = add_softmax(models.convnet(SIZE))
    spec = replace(SPEC, head="probabilities")
    images, targets = photos(2, SIZE), [3, 3]
    _, heatmaps = run(build(model, spec, make(score=score)), spec, images, targets)
    assert_same(heatmaps, explain(model, spec, make(score=score), images, targets, None))


@pytest.mark.parametrize("layer", ["first", "stage:1", "last", "c2"])
def test_any_layer_can_be_looked_at(layer: str) -> None:
    model, method = models.convnet(SIZE), GradCAM(layer=layer)
    images, targets = photos(2, SIZE), [3, 4]
    _, heatmaps = run(build(model, SPEC, method), SPEC, images, targets)
    assert_same(heatmaps, explain(model, SPEC, method, images, targets, None))


@pytest.mark.parametrize("prefix", [0, 1])
def test_tokens_become_a_grid(prefix: int) -> None:
    """Patches of 4 x 4 as tokens, perhaps behind a class token that is mixed with them."""
    rng, node = np.random.default_rng(0), helper.make_node
    tensors = {
        "wp": rng.normal(size=(6, 3, 4, 4)).astype(np.float32),
        "mix": (rng.normal(size=(20 + prefix, 20 + prefix)) / 4).astype(np.float32),
        "head": rng.normal(size=(6, 5)).astype(np.float32),
        "flat": np.array([0, 6, -1]),
        "first": np.array(0),
    }
    nodes = [
        node("Conv", ["image", "wp"], ["patches"], strides=[4, 4]),
        node("Reshape", ["patches", "flat"], ["columns"]),
        node("Transpose", ["columns"], ["plain"], perm=[0, 2, 1]),
    ]
    if prefix:
        tensors |= {"axis": np.array([1])}
        nodes += [
            node("ReduceMean", ["plain"], ["cls"], axes=[1], keepdims=1),
            node("Concat", ["cls", "plain"], ["tokens"], axis=1),
        ]
    else:
        nodes += [node("Identity", ["plain"], ["tokens"])]
    nodes += [
        node("Relu", ["tokens"], ["block"]),
        node("MatMul", ["mix", "block"], ["mixed"]),
        node("Gather", ["mixed", "first"], ["one"], axis=1),
        node("MatMul", ["one", "head"], ["scores"]),
    ]
    model = models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, *SIZE])},
        {"scores": (TensorProto.FLOAT, ["N", 5])},
        tensors,
    )
    method = GradCAM(layer="block")
    images, targets = photos(3, SIZE), [3, 4, 1]
    _, heatmaps = run(build(model, SPEC, method), SPEC, images, targets)
    assert_same(heatmaps, explain(model, SPEC, method, images, targets, None))


def test_channels_last_layers_and_pixels() -> None:
    rng, node = np.random.default_rng(0), helper.make_node
    model = models.model(
        [
            node("MatMul", ["image", "w1"], ["a"]),
            node("Relu", ["a"], ["b"]),
            node("ReduceMean", ["b"], ["mean"], axes=[1, 2], keepdims=0),
            node("MatMul", ["mean", "w2"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", *SIZE, 3])},
        {"scores": (TensorProto.FLOAT, ["N", 5])},
        {"w1": rng.normal(size=(3, 6)).astype("f"), "w2": rng.normal(size=(6, 5)).astype("f")},
    )
    spec = spec_of(size=SIZE, classes=5, layout="nhwc")
    images, targets = photos(2, SIZE), [3, 0]
    for method in (GradCAM(), Gradient(), IntegratedGradients(2, tolerance=0)):
        _, heatmaps = run(build(model, spec, method), spec, images, targets)
        assert_same(heatmaps, explain(model, spec, method, images, targets, None))


def test_models_of_one_image_take_one_look() -> None:
    model = models.convnet(SIZE, batch=1)
    images, targets = photos(1, SIZE), [3]
    for method in ("gradient", "grad-cam", "input-x-gradient"):
        explainer = build(model, SPEC, method)
        _, heatmaps = run(explainer, SPEC, images, targets)
        assert_same(heatmaps, explain(model, SPEC, method, images, targets, None))
        dims = explainer.graph.output[1].type.tensor_type.shape.dim
        assert [dim.dim_value for dim in dims] == [1, *SIZE]
    with pytest.raises(onnxplain.OnnxplainError, match="no other batch than 1, and ig looks at 4"):
        build(model, SPEC, CLOSED["ig"])


@pytest.mark.parametrize(
    ("method", "fill", "text"),
    [
        ("smoothgrad", None, "smoothgrad cannot be exported: it draws at random.*grad-cam"),
        ("rise", None, "rise cannot be exported: it asks the model again and again"),
        ("ig", None, "ig cannot be exported: with a tolerance.*choose tolerance=0"),
        ("input-x-gradient", "blur", "with the fill blur.*black, colour, dataset-mean, white"),
        ("gradient", "black", "gradient removes nothing, so it takes no fill"),
    ],
)
def test_what_is_no_formula_of_one_look_is_refused(method: str, fill: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build(models.convnet(SIZE), SPEC, method, fill)


def test_newer_operator_sets_are_lowered_where_that_changes_nothing(tmp_path: Path) -> None:
    model = models.convnet(SIZE, opset=21)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    content = onnxplain.export_explainer(
        tmp_path / "net.onnx", "grad-cam:layer=first", range=(0, 1), head="logits"
    )
    explainer = ModelProto.FromString(content)
    assert [(entry.domain, entry.version) for entry in explainer.opset_import] == [("", 18)]
    onnx.checker.check_model(explainer, full_check=True)
    images, targets = photos(2, SIZE), [1, 2]
    _, heatmaps = run(explainer, SPEC, images, targets)
    method = GradCAM(layer="first")
    assert_same(heatmaps, explain(model, SPEC, method, images, targets, None))
    (facts,) = (json.loads(p.value) for p in explainer.metadata_props if "explainer" in p.key)
    assert facts["method"] == "grad-cam"
    assert facts["parameters"] == {"layer": "first", "score": "raw"}


def test_a_tensor_that_has_the_heatmaps_name_is_an_error() -> None:
    model = models.convnet(SIZE)
    for node in model.graph.node:
        node.input[:] = ["heatmap" if name == "r1" else name for name in node.input]
        node.output[:] = ["heatmap" if name == "r1" else name for name in node.output]
    with pytest.raises(onnxplain.OnnxplainError, match=r"a tensor named .heatmap.*rename"):
        build(model, SPEC, "gradient")
