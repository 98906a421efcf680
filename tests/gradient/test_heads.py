"""The score of every kind of head, and its gradient."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.data import ScoreKind
from onnxplain.core.scores import compute_target_scores
from onnxplain.core.spec import Head
from onnxplain.gradient import SCORE, GradientError, GradientRequest, build_gradient
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradient_networks import (
    CLASSES,
    DX,
    build_network_gradient,
    compute_gradient,
    draw_images,
    make_network,
    run_gradient,
    run_model,
)
from tests.helpers.gradients import (
    Array,
    ReferenceMeasure,
    draw_normal,
    ints,
    make_evaluator,
    make_model,
)


@pytest.mark.parametrize("kind", ["probability", "logit", "log-odds"])
@pytest.mark.parametrize(
    ("end", "head"),
    [
        ("", "logits"),
        ("Softmax", "probabilities"),
        ("Sigmoid", "probabilities"),
        ("", "multilabel-logits"),
        ("Sigmoid", "multilabel-probabilities"),
        ("Softmax", "multilabel-probabilities"),
    ],
)
def test_score_is_that_of_its_formula_and_gradient_that_of_differences(
    kind: ScoreKind, end: str, head: Head
) -> None:
    """In float64; the third and the last model's probabilities are of no known function."""
    model, x = make_network(end, np.float64), draw_images(3, np.float64)
    targets = [0, 2, 3]
    request = GradientRequest("x", "y", head=head, kind=kind)
    examples = [{"x": x[:2]}, {"x": x}]
    gradient = build_gradient(model, request, ReferenceMeasure(), examples)
    feeds = {"x": x, "target": ints(*targets)}
    outputs = ReferenceMeasure().run(gradient.SerializeToString(), feeds)
    evaluator = make_evaluator(model)

    def score(images: Array) -> NDArray[np.float64]:
        (raw,) = evaluator.run(None, {"x": images})
        rows = zip(raw, targets, strict=True)
        return np.array(
            [compute_target_scores(r[None], t, outputs=head, kind=kind)[0] for r, t in rows]
        )

    np.testing.assert_allclose(outputs[SCORE], score(x), rtol=1e-9)
    for place in np.random.default_rng(1).permutation(270)[:12]:
        step = np.zeros(270)
        step[place] = 1e-5
        change = step.reshape(3, 9, 10)
        slope = (score(x + change) - score(x - change)) / 2e-5
        np.testing.assert_allclose(outputs[DX].reshape(3, -1)[:, place], slope, atol=1e-8)


def test_model_of_one_probability_scores_both_classes() -> None:
    model = make_network("Sigmoid")
    model.graph.output.append(onnx.ValueInfoProto(name="single"))
    constants = {"start": ints(1), "stop": ints(2), "axis": ints(1)}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    model.graph.node.append(helper.make_node("Slice", ["y", *constants], ["single"]))
    x = draw_images(2)
    p = run_model(model, x)["single"][:, 0]
    request = GradientRequest("x", "single", head="probability", kind="probability")
    outputs = run_gradient(build_network_gradient(model, request), x, [0, 1])
    np.testing.assert_allclose(outputs[SCORE], [1 - p[0], p[1]], rtol=1e-5)
    other = run_gradient(build_network_gradient(model, request), x, [1, 0])
    np.testing.assert_allclose(outputs[DX], -other[DX], rtol=1e-5)


def test_log_odds_have_a_slope_where_the_probability_is_saturated() -> None:
    model = make_network("Softmax")
    for stored in model.graph.initializer:
        if stored.name == "w4":
            sharp = numpy_helper.to_array(stored) * 300
            stored.CopyFrom(numpy_helper.from_array(sharp, "w4"))
    x = draw_images(2)
    target = int(run_model(model, x)["y"][0].argmax())
    assert run_model(model, x)["y"][0, target] == 1
    request = GradientRequest("x", "y", head="probabilities", kind="log-odds")
    gradients = compute_gradient(model, request, x, [target, target])
    assert np.abs(gradients[0]).max() > 0.1


@pytest.mark.parametrize("end", ["Softmax", "Sigmoid"])
@pytest.mark.parametrize("shaping", ["Identity", "Flatten", "Reshape", "Squeeze"])
def test_logits_are_found_behind_reshaped_probabilities(end: str, shaping: str) -> None:
    """Saturated log-odds of a sigmoid's or softmax's class then still have a slope."""
    node, columns = helper.make_node, 1 if end == "Sigmoid" else CLASSES
    nodes = [
        node("Mul", ["x", "far"], ["z"]),
        node("Reshape", ["z", "maps"], ["wide"]) if shaping != "Identity" else
        node("Identity", ["z"], ["wide"]),
        node(end, ["wide"], ["p"], **({"axis": 1} if end == "Softmax" else {})),
        node(shaping, ["p", *{"Reshape": ["rows"], "Squeeze": ["axes"]}.get(shaping, [])], ["y"]),
    ]  # fmt: skip
    constants = {
        "far": np.array(1000, "f"),
        "maps": ints(-1, columns, 1, 1),
        "rows": ints(-1, columns),
        "axes": ints(2, 3),
    }
    x = np.abs(draw_normal(3, columns)).astype("f") + 3 * np.eye(1, columns, dtype="f")
    model = make_model(nodes, {"x": x}, constants, ["y"])
    model.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", columns])
    )
    head: Head = "probability" if end == "Sigmoid" else "probabilities"
    request = GradientRequest("x", "y", head=head, kind="log-odds")
    examples = [{"x": x[:n]} for n in (2, 3)]
    gradient = build_gradient(model, request, RuntimeMeasure(), examples)
    gradients = run_gradient(gradient, x, [1, 1, 1] if head == "probability" else [0, 0, 0])[DX]
    assert np.isfinite(gradients).all()
    assert (np.abs(gradients).max(axis=1) > 100).all()


def test_softmax_over_groups_is_no_softmax_over_the_classes() -> None:
    node = helper.make_node
    nodes = [
        node("Reshape", ["x", "pairs"], ["wide"]),
        node("Softmax", ["wide"], ["p"], axis=2),
        node("Reshape", ["p", "rows"], ["y"]),
    ]
    x = draw_normal(3, CLASSES).astype("f")
    constants = {"pairs": ints(-1, 2, CLASSES // 2), "rows": ints(-1, CLASSES)}
    model = make_model(nodes, {"x": x}, constants, ["y"])
    request = GradientRequest("x", "y", head="probabilities", kind="probability")
    gradient = build_gradient(model, request, RuntimeMeasure(), [{"x": x[:2]}, {"x": x}])
    outputs = run_gradient(gradient, x, [0, 1, 3])
    np.testing.assert_allclose(outputs[SCORE], outputs["y"][range(3), [0, 1, 3]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["probability", "logit", "log-odds"])
def test_model_of_one_logit_scores_both_classes(kind: ScoreKind) -> None:
    """The logits of the two classes are 0 and the model's own."""
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)]
    x = draw_normal(3, 5)
    model = make_model(nodes, {"x": x}, {"axes": ints(1)}, ["y"])
    request = GradientRequest("x", "y", head="logit", kind=kind)
    gradient = build_gradient(model, request, ReferenceMeasure(), [{"x": x[:2]}, {"x": x}])
    feeds = {"x": x, "target": ints(1, 1, 0)}
    outputs = ReferenceMeasure().run(gradient.SerializeToString(), feeds)
    z, own = x.sum(axis=1), np.array([1, 1, 0])
    signed = np.where(own, z, -z)
    p = 1 / (1 + np.exp(-signed))
    scores = {"probability": p, "logit": z * own, "log-odds": signed}[kind]
    slope = {"probability": p * (1 - p), "logit": own, "log-odds": 1}[kind]
    slopes = slope * (1 if kind == "logit" else 2 * own - 1)
    np.testing.assert_allclose(outputs[SCORE], scores, rtol=1e-9)
    np.testing.assert_allclose(outputs[DX], np.repeat(slopes[:, None], 5, 1), rtol=1e-9)


@pytest.mark.parametrize("kind", ["raw", "contrast"])
@pytest.mark.parametrize(("end", "head"), [("", "logits"), ("Softmax", "probabilities")])
def test_scores_of_logits_are_exact_in_front_of_a_softmax(
    kind: ScoreKind, end: str, head: Head
) -> None:
    """The model with a softmax has the score and the gradient of its twin without."""
    x, targets = draw_images(3, np.float64), [0, 2, 3]
    twin, model = make_network("", np.float64), make_network(end, np.float64)
    (z,) = make_evaluator(twin).run(None, {"x": x})
    request = GradientRequest("x", "y", head=head, kind=kind)
    gradient = build_gradient(model, request, ReferenceMeasure(), [{"x": x[:2]}, {"x": x}])
    feeds = {"x": x, "target": ints(*targets)}
    outputs = ReferenceMeasure().run(gradient.SerializeToString(), feeds)

    def score(logits: Array) -> NDArray[np.float64]:
        rows = zip(logits, targets, strict=True)
        return np.array(
            [compute_target_scores(r[None], t, outputs="logits", kind=kind)[0] for r, t in rows]
        )

    np.testing.assert_allclose(outputs[SCORE], score(z), rtol=1e-9)
    for place in np.random.default_rng(1).permutation(270)[:6]:
        change = np.zeros(270)
        change[place] = 1e-5
        change = change.reshape(3, 9, 10)
        above, below = (make_evaluator(twin).run(None, {"x": x + s * change})[0] for s in (1, -1))
        slope = (score(above) - score(below)) / 2e-5
        np.testing.assert_allclose(outputs[DX].reshape(3, -1)[:, place], slope, atol=1e-8)


@pytest.mark.parametrize("head", ["logit", "probability"])
def test_raw_scores_of_a_single_logit_are_of_both_signs(head: Head) -> None:
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["z"], keepdims=1)]
    nodes.append(helper.make_node("Sigmoid" if head == "probability" else "Identity", ["z"], ["y"]))
    x = draw_normal(2, 5)
    model = make_model(nodes, {"x": x}, {"axes": ints(1)}, ["y"])
    request = GradientRequest("x", "y", head=head, kind="raw")
    examples = [{"x": x}, {"x": np.vstack([x, x[:1]])}]
    gradient = build_gradient(model, request, ReferenceMeasure(), examples)
    outputs = ReferenceMeasure().run(gradient.SerializeToString(), {"x": x, "target": ints(1, 0)})
    np.testing.assert_allclose(outputs[SCORE], x.sum(axis=1) * [1, -1], rtol=1e-9)
    np.testing.assert_allclose(outputs[DX], np.repeat([[1.0], [-1.0]], 5, 1), rtol=1e-9)


def test_raw_score_is_refused_by_name_where_the_model_computes_no_logits() -> None:
    x = draw_images(3)
    request = GradientRequest("x", "y", head="probabilities", kind="raw")
    with pytest.raises(GradientError, match=r"'raw'.*'y' comes from Sigmoid; choose the score"):
        build_gradient(make_network("Sigmoid"), request, RuntimeMeasure(), [{"x": x}])
