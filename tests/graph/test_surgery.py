"""Shifts are subtracted from the input exactly, and layers randomised from the last one."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.graph.surgery import list_weight_layers, prepend_subtraction, randomise_layers
from tests.conftest import shared
from tests.helpers import models

RNG = np.random.default_rng(4)
# Multiples of 1/256 below 1, so that sums with such shifts are exact in float32.
IMAGES = (RNG.integers(0, 256, (3, 3, 16, 16)) / 256).astype(np.float32)
CHECKER = ((np.indices((16, 16)).sum(axis=0) % 2) / 4).astype(np.float32)


def run(proto, images):
    onnx.checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


@pytest.mark.parametrize(
    "shift",
    [-0.5, np.array([[[0.25]], [[-0.5]], [[0.125]]]), np.broadcast_to(CHECKER, (3, 16, 16))],
)
def test_model_that_subtracts_the_shift_gives_the_same_scores(shift):
    proto = models.convnet()
    moved = prepend_subtraction(proto, shift)
    np.testing.assert_array_equal(
        run(moved, IMAGES + np.asarray(shift, np.float32)), run(proto, IMAGES)
    )
    assert np.abs(run(moved, IMAGES) - run(proto, IMAGES)).max() > 1e-4
    assert [value.name for value in moved.graph.input] == [
        value.name for value in proto.graph.input
    ]


def test_given_model_is_not_changed():
    proto = models.convnet()
    before = proto.SerializeToString()
    prepend_subtraction(proto, 1.0)
    randomise_layers(proto, 1)
    assert proto.SerializeToString() == before


def test_uses_of_the_input_in_inner_graphs_are_shifted_too():
    branch = helper.make_graph(
        [helper.make_node("Mul", ["image", "image"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1, 4])],
    )
    nodes = [
        helper.make_node("If", ["yes"], ["squared"], then_branch=branch, else_branch=branch),
        helper.make_node("Add", ["image", "squared"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.array(True), "yes")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.array([[0.0, 1.0, 2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(run(prepend_subtraction(proto, 5.0), x + 5), x + x * x)


@pytest.mark.parametrize("shift", [np.zeros((4, 1, 1)), np.zeros((1, 1, 3, 16, 16)), np.zeros(15)])
def test_shift_that_does_not_broadcast_is_an_error(shift):
    with pytest.raises(ValueError, match="does not fit"):
        prepend_subtraction(models.convnet(), shift)


@pytest.mark.parametrize("batch", ["N", 0, -1])
def test_open_batch_takes_a_shift_per_image(batch):
    """However the file writes it."""
    moved = prepend_subtraction(models.convnet(batch=batch), np.zeros((3, 3, 16, 16)))
    assert moved.graph.node[0].op_type == "Sub"


def test_what_cannot_be_shifted_is_refused():
    integers = models.additive(models.weights((4, 4)), dtype="uint8", layout="nhwc")
    with pytest.raises(ModelError, match="UINT8"):
        prepend_subtraction(integers, 1)
    with pytest.raises(ModelError, match=r"no input 'x'; it has"):
        prepend_subtraction(models.convnet(), 1.0, input="x")


def read_stored(proto):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def test_layers_are_randomised_from_the_last_one_backwards():
    proto = models.convnet()
    layers = list_weight_layers(proto)
    assert len(layers) >= 2
    before = read_stored(proto)
    for n in range(len(layers) + 1):
        after = read_stored(randomise_layers(proto, n))
        changed = {name for name in before if (before[name] != after[name]).any()}
        expected = {name for layer in layers[len(layers) - n :] for name in layer.tensors}
        # A bias of one value or of equal values cannot change.
        assert changed == {name for name in expected if np.ptp(before[name]) > 0}
        for name in before:
            np.testing.assert_array_equal(np.sort(before[name], None), np.sort(after[name], None))


def test_layer_is_randomised_in_the_same_way_whatever_the_number_of_layers():
    proto = models.convnet()
    first, second = (read_stored(randomise_layers(proto, n)) for n in (1, 2))
    for name in list_weight_layers(proto)[-1].tensors:
        np.testing.assert_array_equal(first[name], second[name])


def test_the_seed_decides_the_order():
    proto = models.convnet()
    first, again, other = (run(randomise_layers(proto, 1, seed=seed), IMAGES) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4
    assert np.abs(first - run(proto, IMAGES)).max() > 1e-4


def test_more_layers_than_the_model_has_are_an_error():
    proto = models.convnet()
    with pytest.raises(ValueError, match=f"from 0 to {len(list_weight_layers(proto))}"):
        randomise_layers(proto, 99)


def test_quantised_weights_and_constants_count_as_weights():
    weights = RNG.integers(-100, 100, (4, 3)).astype(np.int8)
    nodes = [
        helper.make_node("Constant", [], ["stored"], value=numpy_helper.from_array(weights)),
        helper.make_node("DequantizeLinear", ["stored", "scale"], ["w"]),
        helper.make_node("MatMul", ["image", "w"], ["scores"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.float32(0.01), "scale")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (layer,) = list_weight_layers(proto)
    assert (layer.name, layer.tensors) == ("product", ("stored",))
    x = RNG.random((2, 4), np.float32)
    assert np.abs(run(randomise_layers(proto, 1), x) - run(proto, x)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("file", ["squeezenet-places365.onnx", "mobilenet_v2_1.0_224_quant.onnx"])
def test_real_models_run_with_random_layers(file):
    proto = onnx.load(shared(f"models/{file}"))
    layers = list_weight_layers(proto)
    assert len(layers) > 20
    shape = [dim.dim_value or 1 for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    dtype = helper.tensor_dtype_to_np_dtype(proto.graph.input[0].type.tensor_type.elem_type)
    x = (RNG.random(shape) * (255 if dtype == np.uint8 else 1)).astype(dtype)
    original, last_layer, all_layers = (
        run(randomise_layers(proto, n), x) for n in (0, 1, len(layers))
    )
    assert (original != last_layer).any()
    assert (last_layer != all_layers).any()
