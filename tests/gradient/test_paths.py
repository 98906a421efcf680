"""The nodes that a gradient passes, and those that are left out."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from onnxplain.gradient import GradientError, GradientRequest
from onnxplain.gradient.paths import (
    carries_gradient,
    find_dependents,
    list_nodes_back_from,
    list_nodes_for,
    prune,
)
from onnxplain.graph.names import collect_tensor_names
from tests.helpers.gradient_networks import (
    CLASSES,
    build_network_gradient,
    build_relu_gradient,
    compute_gradient,
    draw_images,
    make_network,
    make_relu_network,
)
from tests.helpers.gradients import ints

REQUEST = GradientRequest("x", "y")


def make_forked_graph() -> GraphProto:
    """Make a graph with a smooth path from `x` to `y`, a rounded one, and a node beside both."""
    nodes = [
        helper.make_node("Exp", ["x"], ["smooth"]),
        helper.make_node("Floor", ["x"], ["steps"]),
        helper.make_node("Mul", ["smooth", "steps"], ["product"]),
        helper.make_node("Neg", ["product"], ["aside"]),
        helper.make_node("Add", ["product", "w"], ["y"]),
    ]
    stored = [numpy_helper.from_array(np.ones(1), name) for name in ("w", "unused")]
    outputs = [onnx.ValueInfoProto(name="y")]
    return helper.make_graph(nodes, "fork", [onnx.ValueInfoProto(name="x")], outputs, stored)


def list_outputs(nodes: list[NodeProto]) -> list[str]:
    return [node.output[0] for node in nodes]


@pytest.mark.parametrize(
    ("node", "carries"),
    [
        (helper.make_node("Relu", ["x"], ["y"]), True),
        (helper.make_node("Round", ["x"], ["y"]), False),
        (helper.make_node("Round", ["x"], ["y"], domain="mine"), True),
        (helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16), True),
        (helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT32), False),
    ],
    ids=lambda value: f"{value.domain}{value.op_type}" if isinstance(value, NodeProto) else None,
)
def test_only_real_numbers_carry_a_gradient(node: NodeProto, carries: bool) -> None:
    assert carries_gradient(node) is carries


def test_dependents_are_found_past_smooth_nodes_alone() -> None:
    graph = make_forked_graph()
    assert find_dependents(graph, ["x"]) == {"x", "smooth", "product", "aside", "y"}
    assert find_dependents(graph, ["steps"]) == {"steps", "product", "aside", "y"}


def test_nodes_on_the_way_back_are_those_between_source_and_target() -> None:
    graph = make_forked_graph()
    among = find_dependents(graph, ["x"])
    nodes = list_nodes_back_from("y", graph, among)
    assert list_outputs(nodes) == ["y", "product", "smooth"]


def test_nodes_for_a_tensor_are_all_that_compute_it_in_their_order() -> None:
    graph = make_forked_graph()
    assert list_outputs(list_nodes_for({"product"}, graph.node)) == ["smooth", "steps", "product"]


def test_pruned_graph_keeps_what_leads_to_its_outputs() -> None:
    graph = make_forked_graph()
    prune(graph)
    assert list_outputs(list(graph.node)) == ["smooth", "steps", "product", "y"]
    assert [tensor.name for tensor in graph.initializer] == ["w"]


def test_nodes_off_the_path_to_the_score_need_no_rule() -> None:
    model = make_relu_network()
    model.graph.node.insert(0, helper.make_node("Shape", ["x"], ["size"]))
    model.graph.node.append(helper.make_node("NonZero", ["y"], ["places"]))
    build_relu_gradient(model)


def test_outputs_beside_the_scores_are_left_out() -> None:
    """Such as scikit-learn's exporters add, of which not even the shape can be measured."""
    request = GradientRequest("x", "y", head="probabilities")
    model = make_network("Softmax")
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    labels = {"classlabels_int64s": [*range(CLASSES)], "domain": "ai.onnx.ml"}
    model.graph.node.extend(
        [
            helper.make_node("ZipMap", ["y"], ["by label"], **labels),
            helper.make_node("TopK", ["y", "k"], ["best", "places"]),
        ]
    )
    model.graph.output.append(onnx.ValueInfoProto(name="by label"))
    model.graph.initializer.append(numpy_helper.from_array(ints(2), "k"))
    expected = compute_gradient(make_network("Softmax"), request, draw_images(2), [0, 1])
    outcome = compute_gradient(model, request, draw_images(2), [0, 1])
    np.testing.assert_array_equal(outcome, expected)
    gradient = build_network_gradient(model, request)
    assert "k" not in collect_tensor_names(gradient.graph)


def test_tensors_that_only_a_branch_reads_are_kept() -> None:
    """The image chooses the branch, which has no rule, but whose result carries no gradient."""
    model, node = make_network(), helper.make_node
    out = [onnx.ValueInfoProto(name="chosen")]
    then_branch, else_branch = (
        helper.make_graph([node("Floor", [name], ["chosen"])], name, [], out)
        for name in ("twice", "y0")
    )
    model.graph.node[-1].output[0] = "y0"
    model.graph.node.extend(
        [
            node("Add", ["y0", "y0"], ["twice"]),
            node("ReduceMax", ["y0"], ["most"], keepdims=0),
            node("Greater", ["most", "zero"], ["high"]),
            node("If", ["high"], ["rounded"], then_branch=then_branch, else_branch=else_branch),
            node("Ceil", ["rounded"], ["step"]),
            node("Add", ["y0", "step"], ["y"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
    request = GradientRequest("x", "y", kind="logit")
    outcome = compute_gradient(model, request, draw_images(2), [0, 1])
    expected = compute_gradient(make_network(), request, draw_images(2), [0, 1])
    np.testing.assert_allclose(outcome, expected, atol=1e-6)


def test_score_that_does_not_depend_on_the_image_is_refused() -> None:
    model = make_relu_network()
    model.graph.node[1].op_type = "Floor"
    with pytest.raises(GradientError, match="does not depend on 'x'"):
        build_relu_gradient(model)


def test_every_written_node_is_used() -> None:
    gradient = build_network_gradient(make_network(), REQUEST)
    used = {name for node in gradient.graph.node for name in node.input}
    used |= {value.name for value in gradient.graph.output}
    assert all(set(node.output) & used for node in gradient.graph.node)
