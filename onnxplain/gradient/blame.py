"""Where a number that is not finite comes from."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, ValueInfoProto

from onnxplain.gradient.facts import Feeds, Measure
from onnxplain.gradient.tape import read_node


def find_nonfinite_node(model: bytes, measure: Measure, feeds: Feeds, value: float) -> str | None:
    """The first node of a graph that gives a number like `value`, with its operator.

    Parameters
    ----------
    model : bytes
        Content of an ONNX file.
    measure : Measure
        Runs models.
    feeds : feeds
        What made the graph end in such a number.
    value : float
        NaN, or an infinity: minus infinity is a right answer for some nodes of models whose
        result is NaN.

    Returns
    -------
    node : str or None
        Such as ``'conv1' (Conv)``; None if this time all is finite.
    """
    probe = ModelProto.FromString(model)
    nodes = [read_node(node) for node in probe.graph.node]
    listed = {one.name for one in probe.graph.output}
    names = {name for node in nodes for name in node.outputs if name} - listed
    probe.graph.output.extend(ValueInfoProto(name=name) for name in sorted(names))
    found = measure.run(probe.SerializeToString(), feeds)
    like = np.isnan if np.isnan(value) else np.isinf
    for node in nodes:
        values = (found[name] for name in node.outputs if name)
        if any(one.dtype.kind == "f" and like(one).any() for one in values):
            return f"{node.name!r} ({node.operator})"
    return None
