"""Cuts of random graphs against brute force: tensors whose removal separates two others."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import GraphProto, helper

from onnxplain.gradient.cuts import find_inner_region, find_region


def draw_graph(seed: int, n_nodes: int, n_inputs: int) -> GraphProto:
    """A random graph: nodes read one to three earlier tensors, and some make two."""
    rng = random.Random(seed)
    tensors = ["image", *(f"other{i}" for i in range(n_inputs))]
    nodes = []
    for place in range(n_nodes):
        near = tensors[-4:] if rng.random() < 0.7 else tensors
        read = rng.sample(near, min(len(near), rng.choice([1, 1, 2, 3])))
        made = [f"t{place}"] + [f"t{place}b"] * (rng.random() < 0.2)
        nodes.append(helper.make_node("Foo", read, made))
        tensors += made
    return helper.make_graph(nodes, "g", [], [])


def reaches(graph: GraphProto, source: str, target: str, without: str | None = None) -> bool:
    """Whether a path leads from one tensor to another that avoids a third."""
    if source == without:
        return False
    found = {source}
    for node in graph.node:
        if found & set(node.input):
            found |= set(node.output) - {without}
    return target in found


@given(st.integers(0, 10**6), st.integers(1, 14), st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_cuts_are_the_tensors_that_separate_image_and_scores(
    seed: int, n_nodes: int, n_inputs: int
) -> None:
    graph = draw_graph(seed, n_nodes, n_inputs)
    scores = graph.node[-1].output[0]
    region = find_region(graph, "image", scores)
    if not reaches(graph, "image", scores):
        assert not region.nodes
        return
    tensors = ["image", *(name for node in graph.node for name in node.output)]
    separating = [name for name in tensors if not reaches(graph, "image", scores, without=name)]
    assert list(region.cuts) == separating
    on_a_path = [
        name
        for name in tensors[1:]
        if reaches(graph, "image", name) and reaches(graph, name, scores)
    ]
    assert {name for node in region.nodes for name in node.output} >= set(on_a_path)


def test_the_size_of_a_tensor_is_no_path() -> None:
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"]),
        helper.make_node("Shape", ["image"], ["size"]),
        helper.make_node("Reshape", ["a", "size"], ["scores"]),
    ]
    region = find_region(helper.make_graph(nodes, "g", [], []), "image", "scores")
    assert region.cuts == ("image", "a", "scores")


def test_inner_regions_have_cuts_of_their_own() -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["x"]),
        helper.make_node("Norm", ["x"], ["norm"]),
        helper.make_node("MatMul", ["norm", "w"], ["qkv"]),
        helper.make_node("Add", ["x", "qkv"], ["scores"]),
    ]
    region = find_region(helper.make_graph(nodes, "g", [], []), "image", "scores")
    assert region.cuts == ("image", "x", "scores")
    assert find_inner_region(region, "x", "qkv").cuts == ("x", "norm", "qkv")


@pytest.mark.parametrize("op", ["Cast", "DequantizeLinear", "Dropout", "Identity"])
def test_storing_a_tensor_in_another_type_computes_nothing(op: str) -> None:
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"]),
        helper.make_node(op, ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["scores"]),
    ]
    region = find_region(helper.make_graph(nodes, "g", [], []), "image", "scores")
    assert region.find_origin("b") is nodes[0] or region.find_origin("b").op_type == "Conv"
    assert [node.op_type for node in region.list_uses("a")] == ["Relu"]
