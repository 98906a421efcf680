"""Names of tensors are collected, found free and replaced in inner graphs too."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper

from onnxplain.graph.names import (
    collect_tensor_names,
    find_unused_name,
    find_unused_prefix,
    rename_uses,
)
from tests.helpers import models


def make_if(read: str) -> NodeProto:
    """Make an If whose branch squares a tensor of the outer graph."""
    branch = helper.make_graph(
        [helper.make_node("Mul", [read, read], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    return helper.make_node("If", ["yes"], ["squared"], then_branch=branch, else_branch=branch)


def make_graph() -> GraphProto:
    nodes = [make_if("image"), helper.make_node("Add", ["image", "squared"], ["scores"])]
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, [1, 4])},
        {"scores": (TensorProto.FLOAT, [1, 4])},
        {"yes": np.array(True)},
    ).graph


def test_names_of_inner_graphs_are_collected() -> None:
    assert collect_tensor_names(make_graph()) == {"image", "yes", "inner", "squared", "scores"}


def test_names_of_sparse_tensors_are_collected() -> None:
    graph = make_graph()
    graph.sparse_initializer.add().values.name = "sparse"
    assert "sparse" in collect_tensor_names(graph)


def test_unused_name_gets_underscores_until_it_is_free() -> None:
    assert find_unused_name("x", {"y"}) == "x"
    assert find_unused_name("x", {"x", "x_", "x___"}) == "x__"


def test_no_name_begins_with_an_unused_prefix() -> None:
    assert find_unused_prefix("p/", {"q", "a/p/"}) == "p/"
    assert find_unused_prefix("p/", {"p/1", "_p/2"}) == "__p/"


def test_uses_are_renamed_in_inner_graphs_and_outputs_stay() -> None:
    graph = make_graph()
    rename_uses(graph.node, "image", "shifted")
    branch = graph.node[0].attribute[0].g
    assert list(branch.node[0].input) == ["shifted", "shifted"]
    assert list(graph.node[1].input) == ["shifted", "squared"]
    rename_uses(graph.node, "scores", "other")
    assert list(graph.node[1].output) == ["scores"]
