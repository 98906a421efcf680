"""The graph of a classifier tells its input, its scores, and their form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.describe.interface import read_interface
from onnxplain.describe.resolve import resolve_spec
from onnxplain.graph.load import read_model
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.described import get_normalisation, save_and_read


def check_refused(proto: onnx.ModelProto, tmp_path: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        resolve_spec(save_and_read(proto, tmp_path), {"preprocessing": "lite"})


def test_error_on_other_models_says_what_they_may_be(tmp_path: Path) -> None:
    check_refused(models.segmenter(), tmp_path, "segmentation")
    check_refused(models.text_model(), tmp_path, "'input_ids' int64")
    check_refused(models.inpainter(), tmp_path, "needs more than an image.*'mask'")
    argmax = models.convnet()
    argmax.graph.node[-1].output[0] = "z"
    argmax.graph.node.append(helper.make_node("ArgMax", ["z"], ["scores"], axis=1, keepdims=0))
    argmax.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("scores", TensorProto.INT64, ["N"])
    )
    check_refused(argmax, tmp_path, "ArgMax")


@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_scores_with_the_classes_first_are_no_row_per_image(
    batch: int | str, tmp_path: Path
) -> None:
    proto = models.additive(models.weights((4, 4), 5), batch=batch)
    proto.graph.node[-1].output[0] = "rows"
    proto.graph.node.append(helper.make_node("Transpose", ["rows"], ["scores"]))
    proto.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [5, batch])
    )
    check_refused(proto, tmp_path, rf"no classifier: .*\(N, classes\).* float \(5, {batch}\)")


def test_error_on_scores_of_bfloat16_says_what_to_do(tmp_path: Path) -> None:
    proto = models.additive(models.weights((4, 4), 5))
    proto.graph.node[-1].output[0] = "wide"
    cast = helper.make_node("Cast", ["wide"], ["scores"], to=TensorProto.BFLOAT16)
    proto.graph.node.append(cast)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    check_refused(proto, tmp_path, "bfloat16, .* export it with float32 scores")


def test_stored_tensors_that_are_listed_as_inputs_do_not_count_as_inputs(tmp_path: Path) -> None:
    proto = models.convnet()
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert resolve_spec(save_and_read(proto, tmp_path), {"preprocessing": "lite"}).input == "image"
    del proto.graph.initializer[3]  # b3: a constant that an exporter captured as an input
    check_refused(proto, tmp_path, "besides 'image' it takes 'b3'")


def test_output_must_be_given_where_several_could_be_the_scores(tmp_path: Path) -> None:
    proto = models.convnet()
    for name, dims in (("flat", ["N", 8]), ("r2", ["N", 8, 8, 8])):
        proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
    model = save_and_read(proto, tmp_path)
    with pytest.raises(ModelError, match="--output-name scores or --output-name flat"):
        resolve_spec(model, {"preprocessing": "lite"})
    flags = {"preprocessing": "lite", "output": "flat"}
    assert len(resolve_spec(model, flags).class_names) == 8
    with pytest.raises(ModelError, match="no output 'x'"):
        resolve_spec(model, {**flags, "output": "x"})


def test_scale_of_quantised_scores_is_read_from_the_graph(tmp_path: Path) -> None:
    proto = models.quantised(models.weights((4, 4)), scale=1 / 128, zero=3)
    spec = resolve_spec(save_and_read(proto, tmp_path), {})
    assert spec.output_scale == (1 / 128, 3)
    assert (spec.dtype, spec.head, spec.layout) == ("uint8", "probabilities", "nhwc")
    assert get_normalisation(spec) == ((0, 255), (0,) * 3, (1,) * 3)
    assert spec.sources["range"] == "graph"


def test_error_on_an_output_without_a_batch_shows_its_dims_at_batch_1(tmp_path: Path) -> None:
    proto = models.additive(models.weights((4, 4), 5))
    proto.graph.node[-1].output[0] = "row"
    proto.graph.node.append(helper.make_node("Squeeze", ["row"], ["scores"]))
    with pytest.raises(ModelError, match=r"'scores' float \(N, 5\), of one image \(5,\)"):
        resolve_spec(save_and_read(proto, tmp_path), {"range": (0, 1)})


def test_exp_over_its_sum_is_a_softmax(tmp_path: Path) -> None:
    proto = models.convnet()
    proto.graph.node[-1].output[0] = "z"
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))
    proto.graph.node.extend(
        [
            helper.make_node("Exp", ["z"], ["e"]),
            helper.make_node("ReduceSum", ["e", "axis"], ["s"]),
            helper.make_node("Div", ["e", "s"], ["scores"]),
        ]
    )
    assert (
        resolve_spec(save_and_read(proto, tmp_path), {"preprocessing": "lite"}).head
        == "probabilities"
    )


REAL = {
    "fer-keras-minixception.onnx": ("nhwc", "grey", (64, 64), "probabilities", 7),
    "fer_quant.onnx": ("nhwc", "grey", (64, 64), "probabilities", 7),
    "mobilenet_v1_0.25_128_quant.onnx": ("nhwc", "rgb", (128, 128), "probabilities", 1001),
    "mobilenet_v2_1.0_224_quant.onnx": ("nhwc", "rgb", (224, 224), "probabilities", 1001),
    "squeezenet-places365.onnx": ("nchw", "bgr", (224, 224), "logits", 365),
}


@pytest.mark.parametrize("name", REAL)
def test_real_classifiers_are_described_by_their_graphs(name: str) -> None:
    spec = resolve_spec(
        read_model(shared(f"models/{name}")), {"colour": None, **give_normalisation(name)}
    )
    facts = (spec.layout, spec.colour, spec.size, spec.head, len(spec.class_names))
    assert facts == REAL[name]


def give_normalisation(name: str) -> dict[str, str]:
    return {} if name.startswith("mobilenet") else {"preprocessing": "keras-tf"}


def test_real_models_that_are_not_classifiers_are_errors() -> None:
    for name, match in (
        ("ffc-unet-128.onnx", "'mask'"),
        ("ffc-unet-128-dft.onnx", "image-to-image"),
        ("stlpips-alex.onnx", "besides 'a' it takes 'b'"),
    ):
        with pytest.raises(ModelError, match=match):
            resolve_spec(read_model(shared(f"models/{name}")), {})


def test_onnx_light_graphs_are_described() -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for path in light.glob("*.onnx"):
        spec = resolve_spec(read_model(path), {"preprocessing": "keras-caffe"})
        assert spec.head == ("logits" if "densenet" in path.name else "probabilities"), path.name
        assert (spec.layout, spec.size, len(spec.class_names)) == ("nchw", (224, 224), 1000)


@pytest.mark.parametrize(
    ("perm", "layout"), [((0, 3, 1, 2), "nhwc"), ((0, 2, 3, 1), "nchw"), ((0, 1, 3, 2), None)]
)
def test_layout_of_an_input_of_open_dims_is_shown_by_the_first_transposition(
    perm: tuple[int, ...], layout: str | None, tmp_path: Path
) -> None:
    proto = models.model(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["turned"], perm=perm),
            helper.make_node("ReduceMean", ["turned"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
            helper.make_node("Concat", ["column", "column"], ["scores"], axis=1),
        ],
        {"image": (TensorProto.FLOAT, ["N", "A", "B", "C"])},
        {"scores": (TensorProto.FLOAT, ["N", 2])},
        {"last": np.array([1])},
    )
    assert read_interface(save_and_read(proto, tmp_path)).layout == layout


@pytest.mark.parametrize(
    ("coding", "expected"),
    [
        ({}, ("nchw", (8, 6), 3, None)),
        ({"layout": "nhwc"}, ("nhwc", (8, 6), 3, None)),
    ],
)
def test_size_and_channels_are_read_from_the_dims_of_the_input(
    coding: dict[str, Any], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    facts = read_interface(
        save_and_read(models.additive(models.weights((8, 6)), **coding), tmp_path)
    )
    layout = facts.layout
    assert layout is not None
    assert (layout, facts.size(layout), facts.channels(layout), facts.colour) == expected


def test_more_classes_than_can_be_named_are_an_error(tmp_path: Path) -> None:
    proto = models.model(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "axis"], ["column"]),
            helper.make_node("Expand", ["column", "shape"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, 8, 8])},
        {"scores": (TensorProto.FLOAT, ["N", 2**28])},
        {"axis": np.array([1]), "shape": np.array([1, 2**28])},
    )
    file = read_model(models.save(proto, tmp_path / "wide.onnx"))
    with pytest.raises(ModelError, match=r"wide\.onnx: its output 'scores' has 268435456 scores"):
        read_interface(file)


def test_quantised_scores_of_a_node_without_inputs_have_no_known_scale(tmp_path: Path) -> None:
    """Looking for the scale ends at a node that takes nothing."""
    scores = numpy_helper.from_array(np.array([[1, 2]], np.uint8))
    proto = models.model(
        [helper.make_node("Constant", [], ["scores"], value=scores)],
        {"image": (TensorProto.FLOAT, [1, 3, 8, 8])},
        {"scores": (TensorProto.UINT8, [1, 2])},
        {},
    )
    file = read_model(models.save(proto, tmp_path / "fixed.onnx"))
    assert read_interface(file).output_scale is None
