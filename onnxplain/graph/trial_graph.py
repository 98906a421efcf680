"""The smallest graph that shows whether a GPU runs convolutions."""

from __future__ import annotations

import numpy as np

from onnxplain.graph.writer import GraphWriter


def build_trial_graph() -> bytes:
    """Build a convolution of ``x`` (N, 1, 3, 3) with one kernel, as the content of a file."""
    writer = GraphWriter()
    x = writer.add_input("x", np.float32, ["N", 1, 3, 3])
    y = writer.op("Conv", x, writer.store(np.ones((1, 1, 3, 3), np.float32)))
    writer.add_output("y", np.float32, ["N", 1, 1, 1], source=y)
    content: bytes = writer.build_model("trial", opset=17, ir_version=8).SerializeToString()
    return content
