"""What a node says, and what it reads."""

from __future__ import annotations

import onnx
from onnx import AttributeProto, GraphProto, ValueInfoProto, helper

from onnxplain.graph.nodes import (
    collect_reads,
    list_subgraphs,
    read_attributes,
    read_int,
    read_ints,
    walk_nodes,
)

node = helper.make_node


def make_branch(*nodes: onnx.NodeProto, output: str) -> GraphProto:
    return helper.make_graph(nodes, "branch", [], [ValueInfoProto(name=output)])


def test_attributes_are_values_with_text_as_str() -> None:
    pool = node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], auto_pad="VALID", ceil_mode=1)
    assert read_attributes(pool) == {"kernel_shape": [3, 3], "auto_pad": "VALID", "ceil_mode": 1}


def test_text_that_is_no_text_is_read_all_the_same() -> None:
    assert read_attributes(node("Gelu", ["x"], ["y"], approximate=b"\xff")) == {
        "approximate": "\ufffd"
    }


def test_whole_numbers_are_read_by_name() -> None:
    scan = node("Scan", ["x"], ["y"], num_scan_inputs=2, scan_input_axes=[1, 0])
    assert read_int(scan, "num_scan_inputs") == 2
    assert read_int(scan, "axis", 7) == 7
    assert read_ints(scan, "scan_input_axes") == [1, 0]
    assert read_ints(scan, "pads") == []


def test_whole_numbers_of_another_type_are_none() -> None:
    """Nobody checks the attributes of operators of other domains, and old files name no types."""
    odd = node("FusedGemm", ["a", "b"], ["y"], domain="com.microsoft", transA=0.5, pads=3)
    assert (read_int(odd, "transA"), read_ints(odd, "pads")) == (0, [])
    untyped = node("Concat", ["a", "b"], ["y"])
    untyped.attribute.append(AttributeProto(name="axis", i=3))
    assert read_int(untyped, "axis", 1) == 3


def test_subgraphs_are_listed_with_their_attributes() -> None:
    graphs = [helper.make_graph([], name, [], []) for name in ("yes", "no")]
    branches = node("If", ["c"], ["y"], then_branch=graphs[0], else_branch=graphs[1])
    listed = {name: graph.name for name, graph in list_subgraphs(branches)}
    assert listed == {"then_branch": "yes", "else_branch": "no"}
    assert list(list_subgraphs(node("Relu", ["x"], ["y"]))) == []


def test_node_reads_what_its_branches_take_from_outside() -> None:
    deep = make_branch(node("Floor", ["deep"], ["rounded"]), output="rounded")
    nested = make_branch(node("If", ["b"], ["inner"], then_branch=deep), output="inner")
    flat = make_branch(
        node("Floor", ["a"], ["rounded"]), node("Neg", ["rounded"], ["turned"]), output="turned"
    )
    branches = node("If", ["choice"], ["y"], then_branch=flat, else_branch=nested)
    assert collect_reads(branches) == {"choice", "a", "b", "deep"}
    walked = [inner.op_type for inner in walk_nodes([branches])]
    assert sorted(walked) == ["Floor", "Floor", "If", "If", "Neg"]


def test_node_reads_what_a_branch_hands_on() -> None:
    unchanged = make_branch(output="x")
    assert collect_reads(node("If", ["choice"], ["y"], then_branch=unchanged)) == {"choice", "x"}


def test_node_does_not_read_what_its_graph_is_given_or_stores() -> None:
    stored = helper.make_tensor("weight", onnx.TensorProto.FLOAT, [1], [2.0])
    given = [ValueInfoProto(name=name) for name in ("step", "go", "state")]
    total = node("Mul", ["state", "weight"], ["scaled"])
    summed = node("Add", ["scaled", "outside"], ["next"])
    outputs = [ValueInfoProto(name=name) for name in ("go", "next")]
    body = helper.make_graph([total, summed], "body", given, outputs, initializer=[stored])
    loop = node("Loop", ["count", "", "start"], ["end"], body=body)
    assert collect_reads(loop) == {"count", "", "start", "outside"}
