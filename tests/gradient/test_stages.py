"""Layers are found by what they do: golden values of real graphs, and the corrections."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from onnxplain.core.errors import ModelError
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.stages import find_last
from onnxplain.graph.shapes import list_fed_inputs
from tests.conftest import shared
from tests.helpers.layers import build, open_finder, open_light, weights


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
    layer = open_light(name).last
    assert (layer.tensor, layer.shape, layer.axes, layer.is_cut) == (tensor, shape, "NCHW", True)


def test_default_layer_says_why_it_is_not_the_plain_last_cut() -> None:
    assert "pooling that makes 'r36'" in open_light("vgg19").last.note
    assert "'r64', which is a stack of class maps" in open_light("squeezenet").last.note
    assert not open_light("resnet50").last.note


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
    graph = GridGraph(
        proto,
        input=image.name,
        output=proto.graph.output[0].name,
        size=(rows or 224, columns or 224),
        channels_last=is_last,
    )
    layer = find_last(graph, classes)
    assert (layer.tensor, layer.shape) == (tensor, shape)


@pytest.mark.parametrize(
    ("name", "junctions"),
    [
        ("resnet50", ["r2", "r35", "r77", "r139", "r171"]),
        ("vgg19", ["r3", "r8", "r17", "r26", "r35"]),
    ],
)
def test_stages_end_in_their_last_junction(name: str, junctions: list[str]) -> None:
    finder = open_light(name)
    assert [layer.tensor for layer in finder.stages] == junctions
    assert finder.find("stages") == finder.stages
    assert [finder.find(f"stage:{k}")[0].tensor for k in range(1, 6)] == junctions
    assert [layer.tensor for layer in finder.find("before-last")] == junctions[-2:-1]


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
    layer = open_finder(proto, n_classes=9).last
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
    assert open_finder(build([*nodes, *last], **tensors)).last.tensor == "maps"
    assert open_finder(build([*nodes, *dense], **tensors, w3=weights(4, 4))).last.tensor == "a"


def test_net_without_a_grid_is_refused() -> None:
    node = helper.make_node
    proto = build(
        [node("Flatten", ["image"], ["flat"]), node("Gemm", ["flat", "w"], ["scores"])],
        w=weights(432, 4),
    )
    with pytest.raises(ModelError, match="no tensor of the model has a grid"):
        _ = open_finder(proto).last
