"""Layers are found by what they do: golden values of real graphs, and the corrections."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.data import Kernel, Layer
from onnxplain.core.errors import ModelError
from onnxplain.gradient.layers import LayerFinder
from onnxplain.graph.shapes import list_fed_inputs
from tests.conftest import shared
from tests.helpers.models import convnet
from tests.helpers.models import model as make_model

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"  # real graphs, without weights


@cache
def find_light(name: str) -> LayerFinder:
    proto = onnx.load(LIGHT / f"light_{name}.onnx")
    (image,) = list_fed_inputs(proto.graph)
    output = proto.graph.output[0].name
    return LayerFinder(proto, input=image.name, output=output, size=(224, 224), n_classes=1000)


@pytest.mark.parametrize(
    ("name", "tensor", "shape"),
    [
        ("resnet50", "r171", (2048, 7, 7)),
        ("densenet121", "r907", (1024, 7, 7)),
        ("inception_v2", "r504", (1024, 7, 7)),
        ("shufflenet", "r198", (544, 7, 7)),
        ("vgg19", "r35", (512, 14, 14)),
        ("squeezenet", "r61", (512, 13, 13)),
    ],
)
def test_default_layer_of_graphs_with_other_names(
    name: str, tensor: str, shape: tuple[int, int, int]
) -> None:
    layer = find_light(name).last
    assert (layer.tensor, layer.shape, layer.axes, layer.is_cut) == (tensor, shape, "NCHW", True)


def test_default_layer_says_why_it_is_not_the_plain_last_cut() -> None:
    assert "pooling that makes 'r36'" in find_light("vgg19").last.note
    assert "'r64', which is a stack of class maps" in find_light("squeezenet").last.note
    assert not find_light("resnet50").last.note


@pytest.mark.parametrize(
    ("file", "classes", "tensor", "shape"),
    [
        ("fer-keras-minixception", 7, "model_1_1/add_4_1/Add:0", (128, 4, 4)),
        ("fer_quant", 7, "model_1_1/add_4_1/Add", (128, 4, 4)),
        ("squeezenet-places365", 365, "/f.7/Concat_output_0", (512, 13, 13)),
        (
            "mobilenet_v2_1.0_224_quant",
            1001,
            "MobilenetV2/Logits/AvgPool_prequant__815_DequantizeLinear__982:0",
            (1280, 7, 7),
        ),
    ],
)
def test_default_layer_of_exports_from_keras_caffe_and_tflite(
    file: str, classes: int, tensor: str, shape: tuple[int, int, int]
) -> None:
    proto = onnx.load(shared(f"models/{file}.onnx"))
    (image,) = list_fed_inputs(proto.graph)
    dims = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    is_last = dims[3] in (1, 3)
    rows, columns = dims[1:3] if is_last else dims[2:4]
    finder = LayerFinder(
        proto,
        input=image.name,
        output=proto.graph.output[0].name,
        size=(rows or 224, columns or 224),
        n_classes=classes,
        channels_last=is_last,
    )
    assert (finder.last.tensor, finder.last.shape) == (tensor, shape)


@pytest.mark.parametrize(
    ("name", "junctions"),
    [
        ("resnet50", ["r2", "r35", "r77", "r139", "r171"]),
        ("vgg19", ["r3", "r8", "r17", "r26", "r35"]),
    ],
)
def test_stages_end_in_their_last_junction(name: str, junctions: list[str]) -> None:
    finder = find_light(name)
    assert [layer.tensor for layer in finder.stages] == junctions
    assert finder.find("stages") == finder.stages
    assert [finder.find(f"stage:{k}")[0].tensor for k in range(1, 6)] == junctions
    assert [layer.tensor for layer in finder.find("before-last")] == junctions[-2:-1]


def test_names_choose_tensors_nodes_and_globs() -> None:
    finder = find_light("resnet50")
    assert [layer.tensor for layer in finder.find("first")] == ["r0"]
    assert finder.find("last") == (finder.last,)
    assert [layer.tensor for layer in finder.find("r13?")] == [f"r13{k}" for k in range(10)]
    node = next(node for node in finder.region.nodes if node.output[0] == "r139")
    node.name = "named"
    assert [layer.tensor for layer in finder.find("named")] == ["r139"]
    assert not finder.find("r136")[0].is_cut  # inside a residual block


def test_unknown_names_get_the_three_nearest() -> None:
    with pytest.raises(ModelError, match=r"no layer 'r1711'.*nearest names are 'r171', 'r.*', 'r"):
        find_light("resnet50").find("r1711")
    with pytest.raises(ModelError, match="matches 'x\\*'; choose last"):
        find_light("resnet50").find("x*")
    with pytest.raises(ModelError, match="stages 1 to 5, got 'stage:6'"):
        find_light("resnet50").find("stage:6")


def test_names_that_do_not_fit_are_refused() -> None:
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["end"]),
        helper.make_node("GlobalAveragePool", ["end"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["scores"]),
    ]
    finder = find(build(nodes, w=weights(4, 3, 3, 3)))
    with pytest.raises(ModelError, match=r"no layer '' between image and scores"):
        finder.find("")  # nodes may have no name
    with pytest.raises(ModelError, match=r"'end' has a grid of \d+ x \d+ .* 2 x 3 was given"):
        finder.find("end@2x3")


def test_tensors_without_positions_are_refused() -> None:
    with pytest.raises(ModelError, match=r"'r172' has no grid of positions: .*1, 1"):
        find_light("resnet50").find("r172")


def build(nodes: list[onnx.NodeProto], **tensors: np.ndarray) -> ModelProto:
    output = {"scores": (TensorProto.FLOAT, ["N", 4])}
    return make_model(nodes, {"image": (TensorProto.FLOAT, ["N", 3, 12, 12])}, output, tensors)


def find(proto: ModelProto, n_classes: int = 4) -> LayerFinder:
    return LayerFinder(proto, input="image", output="scores", size=(12, 12), n_classes=n_classes)


def weights(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_net_of_two_streams_gets_the_widest_view_and_says_so() -> None:
    node = helper.make_node
    proto = build(
        [
            node("Conv", ["image", "small"], ["a"], kernel_shape=[1, 1]),
            node("Conv", ["image", "large"], ["b"], kernel_shape=[5, 5]),
            node("GlobalAveragePool", ["a"], ["pooled_a"]),
            node("GlobalAveragePool", ["b"], ["pooled_b"]),
            node("Concat", ["pooled_a", "pooled_b"], ["pooled"], axis=1),
            node("Flatten", ["pooled"], ["scores"]),
        ],
        small=weights(2, 3, 1, 1),
        large=weights(2, 3, 5, 5),
    )
    layer = find(proto, 9).last
    assert (layer.tensor, layer.is_cut) == ("b", False)
    assert "widest view" in layer.note


def test_class_maps_are_left_only_if_nothing_has_weights_behind_them() -> None:
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "w1"], ["maps"], kernel_shape=[3, 3]),
        node("Conv", ["maps", "w2"], ["a"], kernel_shape=[1, 1]),
        node("GlobalAveragePool", ["a"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
    ]
    last = [node("Identity", ["flat"], ["scores"])]
    dense = [node("Gemm", ["flat", "w3"], ["scores"])]
    tensors = {"w1": weights(5, 3, 3, 3), "w2": weights(4, 5, 1, 1)}
    assert find(build([*nodes, *last], **tensors)).last.tensor == "maps"
    assert find(build([*nodes, *dense], **tensors, w3=weights(4, 4))).last.tensor == "a"


def test_net_without_a_grid_is_refused() -> None:
    node = helper.make_node
    proto = build(
        [node("Flatten", ["image"], ["flat"]), node("Gemm", ["flat", "w"], ["scores"])],
        w=weights(432, 4),
    )
    with pytest.raises(ModelError, match="no tensor of the model has a grid"):
        _ = find(proto).last


def test_channels_are_told_by_operators_and_not_by_sizes() -> None:
    """All of 7 x 7 x 7: the mean over rows and columns tells which axis is the channels'."""
    node = helper.make_node
    for axes, wanted in (([1, 2], "NHWC"), ([2, 3], "NCHW")):
        proto = make_model(
            [
                node("Mul", ["image", "two"], ["a"]),
                node("Relu", ["a"], ["b"]),
                node("ReduceMean", ["b"], ["flat"], axes=axes, keepdims=0),
                node("MatMul", ["flat", "w"], ["scores"]),
            ],
            {"image": (TensorProto.FLOAT, ["N", 7, 7, 7])},
            {"scores": (TensorProto.FLOAT, ["N", 4])},
            {"w": weights(7, 4), "two": np.array(2, np.float32)},
        )
        finder = LayerFinder(proto, input="image", output="scores", size=(7, 7), n_classes=4)
        (layer,) = finder.find("b")
        assert layer.axes == wanted


def test_values_are_arranged_with_channels_second_and_without_prefix_tokens() -> None:
    values = np.arange(2 * 7 * 3, dtype=np.float32).reshape(2, 7, 3)
    layer = Layer("t", "NTC", 3, (2, 3), prefix=1)
    plain = [[[values[n, 1 + 3 * i + j, c] for j in range(3)] for i in range(2)]
             for n in range(2) for c in range(3)]  # fmt: skip
    np.testing.assert_array_equal(layer.arrange(values).reshape(6, 2, 3), plain)
    turned = Layer("t", "TNC", 3, (2, 3), prefix=1).arrange(values.transpose(1, 0, 2))
    np.testing.assert_array_equal(turned.reshape(6, 2, 3), plain)
    maps = np.arange(2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)
    arranged = Layer("t", "NHWC", 3, (4, 5)).arrange(maps)
    np.testing.assert_array_equal(arranged[1, 2], maps[1, :, :, 2])


@pytest.mark.parametrize("layer", ["last", "r2", "c2", "stage:2"])
def test_convolution_up_to_a_layer_is_found_with_its_kernel(layer: str) -> None:
    finder = LayerFinder(
        convnet((16, 20)), input="image", output="scores", size=(16, 20), n_classes=5
    )
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
    finder = LayerFinder(model, input="image", output="scores", size=(16, 20), n_classes=5)
    assert finder.find("weights:c2")[1].kernel == kernel
