"""Inner tensors as outputs: names, and the real numbers that whole ones stand for."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from onnxplain.gradient.reading import add_tensors
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers import models


def test_real_tensors_keep_their_names_and_the_model_is_not_changed() -> None:
    model = models.convnet()
    before = model.SerializeToString()
    changed, names = add_tensors(model, "scores", ["r1", "scores", "r1"])
    assert names == ("r1", "scores", "r1")
    assert [output.name for output in changed.graph.output] == ["scores", "r1"]
    assert model.SerializeToString() == before


def test_whole_numbers_are_dequantised_behind_operators_that_move_them() -> None:
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
        node("Transpose", ["q"], ["turned"], perm=[0, 2, 3, 1]),
        node("DequantizeLinear", ["turned", "scale", "zero"], ["scores"]),
    ]
    model = models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, 4, 5])},
        {"scores": (TensorProto.FLOAT, ["N", 4, 5, 3])},
        {"scale": np.array(0.5, np.float32), "zero": np.array(7, np.uint8)},
    )
    changed, (name,) = add_tensors(model, "scores", ["turned"])
    image = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    outputs = RuntimeMeasure().run(changed.SerializeToString(), {"image": image})
    np.testing.assert_array_equal(outputs[name], outputs["scores"])
    np.testing.assert_allclose(outputs[name], image.transpose(0, 2, 3, 1), atol=0.25)
