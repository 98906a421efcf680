"""Gradients of whole networks: rows, tensors, sizes and names."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.gradient import (
    GradientError,
    GradientRequest,
    build_gradient,
    gradient_name,
)
from onnxplain.graph.names import collect_tensor_names
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradient_networks import (
    DX,
    build_network_gradient,
    compute_gradient,
    draw_images,
    make_network,
    rename_tensor,
    run_gradient,
)
from tests.helpers.gradients import Array, draw_normal, make_model

REQUEST = GradientRequest("x", "y")


def test_gradient_of_a_row_does_not_depend_on_other_rows() -> None:
    gradient = build_network_gradient(make_network(), REQUEST)
    x, targets = draw_images(5), [0, 3, 1, 2, 2]
    together = run_gradient(gradient, x, targets)[DX]
    alone = [run_gradient(gradient, x[k : k + 1], targets[k : k + 1])[DX] for k in range(5)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-7)


def test_file_imports_only_the_operators_that_it_uses() -> None:
    gradient = build_network_gradient(make_network(), REQUEST)
    assert [entry.domain for entry in gradient.opset_import] == [""]


def test_model_of_fixed_batch_size_has_the_same_gradient() -> None:
    model = make_network()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.output[0].type.tensor_type.shape.dim[0]
    x = draw_images(1)
    gradient = build_gradient(model, REQUEST, RuntimeMeasure(), [{"x": x}])
    expected = compute_gradient(make_network(), REQUEST, x, [1])
    np.testing.assert_allclose(run_gradient(gradient, x, [1])[DX], expected, atol=1e-7)


def test_inner_tensors_are_outputs_with_their_gradients() -> None:
    """The gradient of the features before the last matrix is known in closed form."""
    request = GradientRequest("x", "y", kind="logit", tensors=("flat", "c"))
    gradient = build_network_gradient(make_network(), request)
    outputs = run_gradient(gradient, draw_images(2), [1, 3])
    weights = {t.name: numpy_helper.to_array(t) for t in make_network().graph.initializer}
    expected = weights["w4"].T[[1, 3]]
    np.testing.assert_allclose(outputs[gradient_name("flat")], expected, rtol=1e-6)
    assert outputs["c"].shape == outputs[gradient_name("c")].shape == (2, 6, 5, 5)


def test_weights_are_stored_once() -> None:
    model = make_network()
    gradient = build_network_gradient(model, REQUEST)
    stored = sum(t.ByteSize() for t in model.graph.initializer)
    assert sum(t.ByteSize() for t in gradient.graph.initializer) < 1.3 * stored + 1000


def differentiate_dropout_and_pooling(kept: list[str], places: list[str]) -> Array:
    """Compute the gradient of a pooled maximum, its nodes with further outputs or without."""
    nodes = [
        helper.make_node("Dropout", ["x"], ["d", *kept]),
        helper.make_node("MaxPool", ["d"], ["m", *places], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["m"], ["y"]),
    ]
    examples = [{"x": draw_normal(n, 1, 4, 4, seed=n).astype("f")} for n in (2, 3)]
    model = make_model(nodes, examples[0], {}, ["y"], opset=11)
    gradient = build_gradient(model, REQUEST, RuntimeMeasure(), examples)
    return run_gradient(gradient, examples[1]["x"], [0, 1, 2])[DX]


def test_further_outputs_of_nodes_do_not_change_the_gradient() -> None:
    """Dropout's mask and the places of maxima."""
    np.testing.assert_array_equal(
        differentiate_dropout_and_pooling(["kept"], ["places"]),
        differentiate_dropout_and_pooling([], []),
    )


def test_unknown_tensor_is_refused() -> None:
    with pytest.raises(GradientError, match="no tensor named 'nowhere'"):
        build_network_gradient(make_network(), GradientRequest("x", "y", tensors=("nowhere",)))


def test_further_inputs_are_refused_by_name() -> None:
    """Some exporters leave constants outside the graph."""
    model = make_network()
    model.graph.input.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, [3]))
    with pytest.raises(GradientError, match="needs more inputs than the image: mean"):
        build_network_gradient(model, REQUEST)


@pytest.mark.parametrize("own", ["c", "w2"])
@pytest.mark.parametrize("start", ["head/", "gradient/", "gradient/constant", "shape of f"])
def test_names_that_would_be_written_may_be_taken(start: str, own: str) -> None:
    request = GradientRequest("x", "y", kind="log-odds")
    plain = build_network_gradient(make_network(), request)
    written = {*collect_tensor_names(plain.graph), "shape of f"}
    taken = min(name for name in written if name.startswith(start))
    model = rename_tensor(make_network(), own, taken)
    expected = run_gradient(plain, draw_images(2), [0, 1])[DX]
    outcome = compute_gradient(model, request, draw_images(2), [0, 1])
    np.testing.assert_array_equal(outcome, expected)


def test_gradient_graph_is_a_valid_model() -> None:
    request = GradientRequest("x", "y", kind="log-odds", tensors=("c",))
    onnx.checker.check_model(build_network_gradient(make_network(), request), full_check=True)
