"""Nodes are put in the order in which they can run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from onnxplain.graph.load import read_model
from onnxplain.graph.order import sort_nodes
from tests.helpers import models


def make_chain(*order: int) -> onnx.GraphProto:
    """Make a chain of four nodes in some order; the third has branches that read the first."""
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])
    branches = [
        helper.make_graph([helper.make_node(kind, ["b"], ["out"])], kind, [], [value])
        for kind in ("Neg", "Abs")
    ]
    nodes = [
        helper.make_node("Exp", ["x"], ["a"]),
        helper.make_node("Sqrt", ["a"], ["b"]),
        helper.make_node("If", ["yes"], ["c"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Add", ["c", "a"], ["y"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("yes", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    return helper.make_graph([nodes[place] for place in order], "chain", inputs, outputs)


def test_nodes_come_behind_those_they_read_from() -> None:
    for order in ((3, 2, 1, 0), (2, 0, 3, 1), (0, 2, 1, 3)):
        graph = make_chain(*order)
        assert sort_nodes(graph)
        assert graph == make_chain(0, 1, 2, 3)
    assert not sort_nodes(graph)


def test_graph_with_a_cycle_is_left_to_the_checker() -> None:
    graph = make_chain(3, 2, 1, 0)
    graph.node[3].input[0] = "y"
    before = graph.SerializeToString()
    assert not sort_nodes(graph)
    assert graph.SerializeToString() == before


def test_unsorted_model_is_read_and_gives_the_same_scores(tmp_path: Path) -> None:
    """As ONNX Runtime's conversion to float16 leaves it, with casts at the end."""
    proto = models.convnet()
    expected = read_model(models.save(proto, tmp_path / "sorted.onnx"))
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    path = tmp_path / "unsorted.onnx"
    path.write_bytes(proto.SerializeToString())
    file = read_model(path)
    onnx.checker.check_model(file.proto)
    assert len(nodes) > 1
    assert file.sha256 != expected.sha256  # of the files as they are
    inputs = file.proto.graph.input[0].type.tensor_type.shape.dim
    shape = [dim.dim_value or 2 for dim in inputs]
    images = np.random.default_rng(0).random(shape, np.float32)
    scores = [
        onnxruntime.InferenceSession(model.proto.SerializeToString()).run(
            None, {file.proto.graph.input[0].name: images}
        )[0]
        for model in (expected, file)
    ]
    np.testing.assert_array_equal(*scores)
