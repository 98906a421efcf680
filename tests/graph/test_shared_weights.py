"""Graphs with shared weights compute the same, and the weights are there once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from onnxplain.graph.shared_weights import SMALL, share_weights
from tests.helpers import models

SIZE = (16, 20)


def test_graphs_compute_the_same_with_their_weights_stored_once(tmp_path: Path) -> None:
    plain = models.convnet(SIZE, classes=40)
    # Another graph with the same weights, written in another way, and one of its own.
    other = onnx.ModelProto.FromString(plain.SerializeToString())
    for tensor in other.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.ClearField("raw_data")
            tensor.float_data.extend(array.ravel().tolist())
    other.graph.initializer.append(numpy_helper.from_array(np.ones(SMALL, np.int8), "own"))
    contents = [plain.SerializeToString(), other.SerializeToString()]
    shared = share_weights(contents)
    large = {
        numpy_helper.to_array(tensor).tobytes()
        for tensor in plain.graph.initializer
        if numpy_helper.to_array(tensor).nbytes >= SMALL
    }
    assert large
    assert sum(-(-len(data) // 64) * 64 for data in large) + SMALL == len(shared.weights)
    (tmp_path / "weights").write_bytes(shared.weights)
    image = np.random.default_rng(0).random((2, 3, *SIZE), np.float32)
    expected = ort.InferenceSession(contents[0]).run(None, {"image": image})[0]
    for place, graph in enumerate(shared.graphs):
        assert len(graph) < len(contents[0]) / 2
        path = tmp_path / f"{place}.onnx"
        path.write_bytes(graph)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = session.run(None, {"image": image})[0]
        np.testing.assert_array_equal(found, expected)
