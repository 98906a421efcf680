"""Which stored tensors are weights."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from onnxplain.gradient.cuts import find_region
from onnxplain.gradient.parameters import find_parameters

node = helper.make_node


def test_weights_are_told_from_statistics_and_constants() -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"]),
        node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["n"]),
        node("Mul", ["n", "half"], ["h"]),
        node("Clip", ["h", "low"], ["c"]),
        node("Flatten", ["c"], ["f"]),
        node("MatMul", ["f", "dense"], ["d"]),
        node("Add", ["d", "added"], ["y"]),
        node("Gemm", ["other", "unused"], ["away"]),
    ]
    names = {name for one in nodes for name in one.input} - {
        name for n in nodes for name in n.output
    }
    stored = [numpy_helper.from_array(np.ones(3, np.float32), name) for name in names - {"x"}]
    graph = helper.make_graph(nodes, "g", [], [], stored)
    found = find_parameters(graph, find_region(graph, "x", "y"))
    assert found == ("w", "b", "scale", "shift", "dense", "added")
