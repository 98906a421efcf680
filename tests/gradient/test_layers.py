"""Names choose layers, and a convolution comes with its kernel."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import helper

from onnxplain.core.data import Kernel
from onnxplain.core.errors import ModelError
from tests.helpers.layers import build, open_finder, open_light, weights
from tests.helpers.models import convnet


def test_names_choose_tensors_nodes_and_globs() -> None:
    finder = open_light("resnet50")
    assert [layer.tensor for layer in finder.find("first")] == ["r0"]
    assert finder.find("last") == (finder.last,)
    assert [layer.tensor for layer in finder.find("r13?")] == [f"r13{k}" for k in range(10)]
    node = next(node for node in finder.graph.region.nodes if node.output[0] == "r139")
    node.name = "named"
    assert [layer.tensor for layer in finder.find("named")] == ["r139"]
    assert not finder.find("r136")[0].is_cut  # inside a residual block


def test_unknown_names_get_the_three_nearest() -> None:
    with pytest.raises(ModelError, match=r"no layer 'r1711'.*nearest names are 'r171', 'r.*', 'r"):
        open_light("resnet50").find("r1711")
    with pytest.raises(ModelError, match="matches 'x\\*'; choose last"):
        open_light("resnet50").find("x*")
    with pytest.raises(ModelError, match="stages 1 to 5, got 'stage:6'"):
        open_light("resnet50").find("stage:6")


def test_names_that_do_not_fit_are_refused() -> None:
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["end"]),
        helper.make_node("GlobalAveragePool", ["end"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["scores"]),
    ]
    finder = open_finder(build(nodes, w=weights(4, 3, 3, 3)))
    with pytest.raises(ModelError, match=r"no layer '' between image and scores"):
        finder.find("")  # nodes may have no name
    with pytest.raises(ModelError, match=r"'end' has a grid of \d+ x \d+ .* 2 x 3 was given"):
        finder.find("end@2x3")


def test_tensors_without_positions_are_refused() -> None:
    with pytest.raises(ModelError, match=r"'r172' has no grid of positions: .*1, 1"):
        open_light("resnet50").find("r172")


@pytest.mark.parametrize("layer", ["last", "r2", "c2", "stage:2"])
def test_convolution_up_to_a_layer_is_found_with_its_kernel(layer: str) -> None:
    finder = open_finder(convnet((16, 20)), (16, 20), 5)
    source, output = finder.find(f"weights:{layer}")
    assert (source.tensor, source.shape) == ("p1", (4, 8, 10))
    assert (output.tensor, output.shape) == ("c2", (8, 8, 10))
    assert output.kernel == Kernel((3, 3), before=(1, 1))


@pytest.mark.parametrize(
    ("attributes", "kernel"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, Kernel((3, 3), (2, 2), before=(0, 0))),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, Kernel((3, 3), (2, 2), before=(1, 1))),
        ({"auto_pad": "VALID", "dilations": [2, 3]}, Kernel((3, 3), dilations=(2, 3))),
        ({"pads": [2, 1, 0, 1]}, Kernel((3, 3), before=(2, 1))),
    ],
)
def test_pads_of_a_convolution_are_worked_out(attributes: dict[str, Any], kernel: Kernel) -> None:
    """An even input at stride 2 with 3 weights needs one pad, which SAME_UPPER puts behind it."""
    model = convnet((16, 20))
    model.graph.node[3].CopyFrom(helper.make_node("Conv", ["p1", "w2"], ["c2"], **attributes))
    finder = open_finder(model, (16, 20), 5)
    assert finder.find("weights:c2")[1].kernel == kernel
