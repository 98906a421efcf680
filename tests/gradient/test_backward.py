"""The walk backwards reaches no further than it has to."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from onnxplain.gradient import differentiate, measure_facts
from tests.helpers.gradient_networks import draw_images, make_network
from tests.helpers.gradients import PlainMeasure


def count_nodes(model: ModelProto, operator: str) -> int:
    return sum(node.op_type == operator for node in model.graph.node)


def test_gradient_of_a_late_tensor_needs_no_convolution() -> None:
    model = make_network()
    examples = [{"x": draw_images(n)} for n in (2, 3)]
    facts = measure_facts(model, PlainMeasure(), examples, np.dtype(np.float32))
    late = differentiate(model, facts, score="y", sources=("flat",))
    early = differentiate(model, facts, score="y", sources=("x",))
    assert count_nodes(late, "Conv") == 3
    assert count_nodes(early, "Conv") + count_nodes(early, "ConvTranspose") == 6
