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


def run(made, images):
    onnx.checker.check_model(made, full_check=True)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


@pytest.mark.parametrize(
    "shift",
    [-0.5, np.array([[[0.25]], [[-0.5]], [[0.125]]]), np.broadcast_to(CHECKER, (3, 16, 16))],
)
def test_a_model_that_takes_the_shift_off_answers_the_same(shift):
    made = models.convnet()
    moved = prepend_subtraction(made, shift)
    np.testing.assert_array_equal(
        run(moved, IMAGES + np.asarray(shift, np.float32)), run(made, IMAGES)
    )
    assert np.abs(run(moved, IMAGES) - run(made, IMAGES)).max() > 1e-4
    assert [each.name for each in moved.graph.input] == [each.name for each in made.graph.input]


def test_the_model_that_was_given_stays_as_it_was():
    made = models.convnet()
    before = made.SerializeToString()
    prepend_subtraction(made, 1.0)
    randomise_layers(made, 1)
    assert made.SerializeToString() == before


def test_every_use_of_the_input_is_shifted_in_inner_graphs_too():
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
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.array([[0.0, 1.0, 2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(run(prepend_subtraction(made, 5.0), x + 5), x + x * x)


@pytest.mark.parametrize("shift", [np.zeros((4, 1, 1)), np.zeros((1, 1, 3, 16, 16)), np.zeros(15)])
def test_a_shift_of_another_shape_is_refused(shift):
    with pytest.raises(ValueError, match="does not fit"):
        prepend_subtraction(models.convnet(), shift)


@pytest.mark.parametrize("batch", ["N", 0, -1])
def test_an_open_batch_takes_a_shift_an_image(batch):
    """However the file writes it."""
    moved = prepend_subtraction(models.convnet(batch=batch), np.zeros((3, 3, 16, 16)))
    assert moved.graph.node[0].op_type == "Sub"


def test_what_cannot_be_shifted_is_refused():
    integers = models.additive(models.weights((4, 4)), dtype="uint8", layout="nhwc")
    with pytest.raises(ModelError, match="UINT8"):
        prepend_subtraction(integers, 1)
    with pytest.raises(ModelError, match=r"no input 'x'; it has"):
        prepend_subtraction(models.convnet(), 1.0, input="x")


def _stored(made):
    return {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}


def test_layers_are_randomised_from_the_last_one_down():
    made = models.convnet()
    layers = list_weight_layers(made)
    assert len(layers) >= 2
    before = _stored(made)
    for n in range(len(layers) + 1):
        after = _stored(randomise_layers(made, n))
        changed = {name for name in before if (before[name] != after[name]).any()}
        expected = {name for layer in layers[len(layers) - n :] for name in layer.tensors}
        # A bias of one value or of equal values cannot change.
        assert changed == {name for name in expected if np.ptp(before[name]) > 0}
        for name in before:
            np.testing.assert_array_equal(np.sort(before[name], None), np.sort(after[name], None))


def test_a_layer_is_randomised_in_the_same_way_whatever_the_number():
    made = models.convnet()
    one, two = (_stored(randomise_layers(made, n)) for n in (1, 2))
    for name in list_weight_layers(made)[-1].tensors:
        np.testing.assert_array_equal(one[name], two[name])


def test_the_seed_decides_the_order():
    made = models.convnet()
    first, again, other = (run(randomise_layers(made, 1, seed=seed), IMAGES) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4
    assert np.abs(first - run(made, IMAGES)).max() > 1e-4


def test_there_are_no_more_layers_than_the_model_has():
    made = models.convnet()
    with pytest.raises(ValueError, match=f"from 0 to {len(list_weight_layers(made))}"):
        randomise_layers(made, 99)


def test_quantised_weights_and_constants_are_weights_too():
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
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (layer,) = list_weight_layers(made)
    assert (layer.name, layer.tensors) == ("product", ("stored",))
    x = RNG.random((2, 4), np.float32)
    assert np.abs(run(randomise_layers(made, 1), x) - run(made, x)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("file", ["squeezenet-places365.onnx", "mobilenet_v2_1.0_224_quant.onnx"])
def test_real_models_run_with_random_layers(file):
    made = onnx.load(shared(f"models/{file}"))
    layers = list_weight_layers(made)
    assert len(layers) > 20
    shape = [each.dim_value or 1 for each in made.graph.input[0].type.tensor_type.shape.dim]
    kind = helper.tensor_dtype_to_np_dtype(made.graph.input[0].type.tensor_type.elem_type)
    x = (RNG.random(shape) * (255 if kind == np.uint8 else 1)).astype(kind)
    plain, one, all_ = (run(randomise_layers(made, n), x) for n in (0, 1, len(layers)))
    assert (plain != one).any()
    assert (one != all_).any()
