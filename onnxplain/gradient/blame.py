"""Search for the node where a number that is not finite first appears."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, ValueInfoProto

from onnxplain.gradient.facts import Feeds, Measure
from onnxplain.gradient.node import read_node


def find_nonfinite_node(model: bytes, measure: Measure, feeds: Feeds, value: float) -> str | None:
    """Return the first node of a graph that gives a number like `value`, with its operator.

    Parameters
    ----------
    model : bytes
        Content of an ONNX file.
    measure : Measure
        Runs models.
    feeds : feeds
        Inputs for which the graph gave such a number.
    value : float
        NaN or an infinity. Only numbers like it count: minus infinity is a correct output of
        some nodes in models whose result is NaN.

    Returns
    -------
    node : str or None
        Such as ``'conv1' (Conv)``; None if no node gives such a number this time.
    """
    probe = ModelProto.FromString(model)
    nodes = [read_node(node) for node in probe.graph.node]
    declared = {output.name for output in probe.graph.output}
    inner = {name for node in nodes for name in node.outputs if name} - declared
    probe.graph.output.extend(ValueInfoProto(name=name) for name in sorted(inner))
    tensors = measure.run(probe.SerializeToString(), feeds)
    is_alike = np.isnan if np.isnan(value) else np.isinf
    for node in nodes:
        outputs = (tensors[name] for name in node.outputs if name)
        if any(output.dtype.kind == "f" and is_alike(output).any() for output in outputs):
            return f"{node.name!r} ({node.operator})"
    return None
