"""Gradient graphs are built for every batch and layer a file allows, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient import GradientError, gradient_name
from onnxplain.graph import load as loading
from onnxplain.graph.batch_proof import read_fixed_batch
from onnxplain.graph.load import ModelFile, read_model
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.gradient_building import build_batched_gradient, build_gradient_model
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers import models
from tests.helpers.models import additive, weights
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of


def save(model: ModelProto, folder: Path) -> ModelFile:
    return read_model(models.save(model, folder / "model.onnx"))


def run(content: bytes, spec: ModelSpec, targets: list[int]) -> dict[str, Any]:
    images = ModelSpace.of(spec).enter(photos(len(targets), spec.size))
    return RuntimeMeasure().run(content, {"image": images, "target": np.array(targets)})


@pytest.mark.parametrize(
    ("batch", "flatten", "fixed"),
    [
        ("N", "flatten", None),
        (-1, "flatten", None),
        (3, "flatten", 3),
        (1, "one-row", 1),
        ("N", "one-row", 1),  # its pixels become one row, of a length that only one image has
    ],
)
def test_the_batch_that_a_gradient_takes_is_found_out(
    batch: int | str, flatten: str, fixed: int | None, tmp_path: Path
) -> None:
    w, spec = weights(SIZE), spec_of()
    file = save(additive(w, batch=batch, flatten=flatten), tmp_path)
    content, found = build_batched_gradient(file, spec, kind="logit")
    assert found == fixed
    assert read_fixed_batch(ModelProto.FromString(content), spec.input) == fixed
    targets = [1] * (fixed or 2)
    outputs = run(content, spec, targets)
    expected = w[targets].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(outputs[gradient_name("image")], expected, rtol=1e-4, atol=1e-6)


def test_a_batch_that_is_written_as_zero_is_an_error(tmp_path: Path) -> None:
    """It is as open as -1, but ONNX Runtime takes it at its word."""
    with pytest.raises(GradientError, match="index: 0 Got: 2 Expected: 0"):
        build_gradient_model(save(additive(weights(SIZE), batch=0), tmp_path), spec_of())


def test_layers_come_with_activation_and_gradient(tmp_path: Path) -> None:
    spec = spec_of(head="probabilities")
    file = save(additive(weights(SIZE), head="probabilities"), tmp_path)
    content = build_gradient_model(file, spec, kind="log-odds", layers=("z",))
    outputs = run(content, spec, [1, 1])
    activation, slope = outputs["z"], outputs[gradient_name("z")]
    np.testing.assert_allclose(slope[:, 1], 1, rtol=1e-5)
    others = np.exp(activation[:, [0, 2]])
    np.testing.assert_allclose(slope[:, [0, 2]], -others / others.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("cells", [0, 11])
def test_a_mask_has_no_more_cells_than_the_image_has_pixels(cells: int, tmp_path: Path) -> None:
    file = save(additive(weights(SIZE)), tmp_path)
    with pytest.raises(ValueError, match=rf"a mask has 1 to 10 cells per side, got {cells}"):
        build_gradient_model(file, spec_of(), mask=cells)


def test_external_weights_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w, path, spec = weights(SIZE), tmp_path / "outside.onnx", spec_of()
    onnx.save(
        additive(w), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    outputs = run(build_gradient_model(read_model(path), spec, kind="logit"), spec, [1])
    expected = w[[1]].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(outputs[gradient_name("image")], expected, rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(loading, "MAX_MESSAGE", 1000)
    with pytest.raises(GradientError, match=r"outside.onnx: holds "):
        build_gradient_model(read_model(path), spec)


def test_images_of_whole_numbers_are_refused(tmp_path: Path) -> None:
    convention = CONVENTIONS["uint8 nhwc"]
    file = save(additive(weights(SIZE), **convention), tmp_path)
    message = r"model.onnx: input 'image' holds uint8, which has no gradient"
    with pytest.raises(GradientError, match=message):
        build_gradient_model(file, spec_of(**convention))


def test_an_input_that_is_not_there_is_named(tmp_path: Path) -> None:
    model = additive(weights(SIZE))
    model.graph.input[0].name = model.graph.node[0].input[0] = "other"
    with pytest.raises(ModelError, match="no input named 'image'"):
        build_gradient_model(save(model, tmp_path), spec_of())


def test_a_model_that_calls_a_function_of_its_own_has_gradients(tmp_path: Path) -> None:
    twice = helper.make_node("Twice", ["image"], ["begun"], domain="mine")
    model = models.begin_with([twice], models.convnet((16, 16)))
    standard = [opset for opset in model.opset_import if not opset.domain]
    body = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], [body], standard))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    assert build_gradient_model(save(model, tmp_path), spec_of(size=(16, 16), classes=5))


def test_a_model_of_an_old_opset_has_gradients(tmp_path: Path) -> None:
    """Its Upsample is converted to a Resize, which has a rule."""
    node, w = helper.make_node, np.ones((5, 3, 1, 1), np.float32) / 7
    nodes = [
        node("Upsample", ["image", "scales"], ["large"], mode="nearest"),
        node("Conv", ["large", "w"], ["maps"]),
        node("GlobalAveragePool", ["maps"], ["pooled"]),
        node("Flatten", ["pooled"], ["scores"]),
    ]
    inputs = {"image": (TensorProto.FLOAT, ["N", 3, 16, 16])}
    outputs = {"scores": (TensorProto.FLOAT, ["N", 5])}
    tensors = {"scales": np.array([1, 1, 2, 2], np.float32), "w": w}
    model = models.model(nodes, inputs, outputs, tensors, opset=9, ir_version=4)
    spec = spec_of(size=(16, 16), classes=5)
    content = build_gradient_model(save(model, tmp_path), spec, kind="logit")
    slope = run(content, spec, [2, 0])[gradient_name("image")]
    # each score is the mean over 256 pixels of the sum of three channels, over 7
    np.testing.assert_allclose(slope, np.full((2, 3, 16, 16), 1 / 7 / 256), rtol=1e-5)
