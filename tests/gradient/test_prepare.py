"""Models of any opset, type and form are brought to what can be differentiated."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.gradient import GradientError, GradientRequest
from onnxplain.gradient.prepare import has_halves, prepare, store_as_halves
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
from tests.helpers.gradients import PlainMeasure, draw_normal, make_model

REQUEST = GradientRequest("x", "y")


def test_functions_are_inlined() -> None:
    twice = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    call = helper.make_node("Twice", ["x"], ["y"], domain="mine")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    graph = helper.make_graph([call], "g", [x], [y])
    model = helper.make_model(graph, functions=[twice], opset_imports=opsets, ir_version=9)
    assert [node.op_type for node in prepare(model).graph.node] == ["Add"]


def test_old_model_that_cannot_be_converted_is_refused_with_advice() -> None:
    nodes = [helper.make_node("Odd", ["x"], ["y"])]
    model = make_model(nodes, {"x": draw_normal(1, 2).astype("f")}, {}, ["y"], opset=9)
    with pytest.raises(GradientError, match=r"opset 9 .*export it with opset 17"):
        prepare(model)


def make_old_resize(mode: str, scales: list[float], opset: int = 10) -> onnx.ModelProto:
    """Make a network of a Resize, or an Upsample before opset 10, and a mean per channel."""
    weights = draw_normal(24, 32).astype(np.float32)
    operator = "Resize" if opset == 10 else "Upsample"
    nodes = [
        helper.make_node(operator, ["x", "scales"], ["a"], mode=mode),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("ReduceMean", ["b"], ["c"], axes=[3], keepdims=0),
        helper.make_node("Slice", ["c", "from", "to", "axes"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("MatMul", ["e", "w"], ["y"]),
    ]
    constants = {"scales": np.array([1, 1, *scales], "f"), "w": weights[:, :CLASSES]}
    constants |= {"from": np.array([0]), "to": np.array([8]), "axes": np.array([2])}
    if opset < 10:
        nodes[3:4] = [helper.make_node("Slice", ["c"], ["d"], axes=[2], starts=[0], ends=[8])]
        constants = {k: v for k, v in constants.items() if k in ("scales", "w")}
    return make_model(nodes, {"x": draw_images(1)}, constants, ["y"], opset=opset)


@pytest.mark.parametrize(
    ("mode", "scales", "opset"),
    [
        ("linear", [2, 2], 9),
        ("nearest", [1.5, 3], 9),
        ("linear", [2, 1.3], 10),
        ("linear", [0.9, 0.5], 10),
        ("nearest", [1.5, 2], 10),
        ("nearest", [0.9, 0.7], 10),
    ],
)
def test_old_resize_takes_the_places_that_it_had(
    mode: str, scales: list[float], opset: int
) -> None:
    """ONNX's converter leaves them to the defaults of opset 11, which are others."""
    model = make_old_resize(mode, scales, opset)
    expected = run_model(model, draw_images(2))["y"]
    np.testing.assert_allclose(run_model(prepare(model), draw_images(2))["y"], expected, rtol=1e-5)
    gradient = build_network_gradient(model, REQUEST)
    outcome = run_gradient(gradient, draw_images(2), [0, 1])["y"]
    np.testing.assert_allclose(outcome, expected, rtol=1e-4, atol=1e-5)


def test_conversion_that_changes_the_scores_is_refused() -> None:
    model = make_old_resize("nearest", [1.7, 0.7])
    with pytest.raises(GradientError, match=r"opset 10.* differ by .*export it with opset 17"):
        build_network_gradient(model, REQUEST)


def test_model_itself_is_not_changed() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = make_model(nodes, {"x": draw_normal(1, 2).astype(np.float16)}, {}, ["y"], opset=13)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float16), "w"))
    before = onnx.ModelProto()
    before.CopyFrom(model)
    prepare(model)
    assert model == before


@pytest.mark.parametrize("opset", [11, 17, 18, 21])
def test_every_opset_gives_the_same_gradient_in_standard_operators(opset: int) -> None:
    request = GradientRequest("x", "y", kind="log-odds")
    gradient = build_network_gradient(make_network(opset=opset), request)
    onnx.checker.check_model(gradient, full_check=True)
    assert {node.domain for node in gradient.graph.node} <= {"", "ai.onnx"}
    expected = compute_gradient(make_network(), request, draw_images(2), [0, 1])
    outcome = run_gradient(gradient, draw_images(2), [0, 1])[DX]
    np.testing.assert_allclose(outcome, expected, atol=1e-6)


def test_weights_declared_as_inputs_are_constants() -> None:
    model = make_network()
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in model.graph.initializer
    )
    gradient = build_network_gradient(model, REQUEST)
    assert [value.name for value in gradient.graph.input] == ["x", "target"]


def test_weights_of_16_bits_are_computed_with_in_32() -> None:
    wide = make_network()
    for stored in wide.graph.initializer:
        rounded = numpy_helper.to_array(stored).astype(np.float16).astype(np.float32)
        stored.CopyFrom(numpy_helper.from_array(rounded, stored.name))
    expected = compute_gradient(wide, REQUEST, draw_images(2), [0, 1])
    outcome = compute_gradient(make_network(dtype=np.float16), REQUEST, draw_images(2), [0, 1])
    np.testing.assert_allclose(outcome, expected, atol=1e-7)


def test_weights_of_16_bits_before_a_scale_are_stored_in_16_bits() -> None:
    """A weight of 16 bits times a scale takes 32, so folding must not multiply them."""
    weights = {
        "w": draw_normal(8, 3, 5, 5),
        "scale": draw_normal(8, 1, 1),
        "last": draw_normal(8, CLASSES),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Mul", ["a", "scale"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "last"], ["y"]),
    ]
    model = make_network(dtype=np.float16)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(v.astype(np.float16), k) for k, v in weights.items()
    )
    gradient = build_network_gradient(model, REQUEST)
    types = [t.data_type for t in gradient.graph.initializer if np.prod(t.dims) == 600]
    assert types == [TensorProto.FLOAT16]


def test_name_for_weights_of_16_bits_may_be_taken() -> None:
    nodes = [helper.make_node("Sum", ["x", "w", "w in 16 bits"], ["y"])]
    ones, feeds = np.ones(300, np.float32), {"x": draw_normal(2, 300).astype("f")}
    model = make_model(nodes, feeds, {"w": ones, "w in 16 bits": 2 * ones}, ["y"])
    store_as_halves(model)
    assert {t.data_type for t in model.graph.initializer} == {TensorProto.FLOAT16}
    outputs = PlainMeasure().run(model.SerializeToString(), feeds)
    np.testing.assert_allclose(outputs["y"], feeds["x"] + 3, rtol=1e-6)


def test_numbers_that_16_bits_do_not_hold_stay_wide() -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    feeds = {"x": draw_normal(2, 300).astype("f")}
    model = make_model(nodes, feeds, {"w": np.full(300, 0.1, np.float32)}, ["y"])
    store_as_halves(model)
    assert not has_halves(model)
