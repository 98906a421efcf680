"""Features are found among a classifier's tensors, and any tensor becomes its only output."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.graph.inner_tensors import find_features_tensor, keep_only_output
from tests.helpers import models


def run(proto: ModelProto, images: Any) -> Any:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


def test_last_layer_turns_features_into_scores() -> None:
    proto = models.convnet()
    assert find_features_tensor(proto) == "flat"
    images = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    features = run(keep_only_output(proto, "flat"), images)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    scores = features @ stored["w3"] + stored["b3"]
    np.testing.assert_allclose(scores, run(proto, images), atol=1e-5)  # float32 sums


def test_stored_factor_of_a_product_is_not_a_feature() -> None:
    proto = models.model(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("Transpose", ["flat"], ["column"]),
            helper.make_node("MatMul", ["w", "column"], ["product"]),
            helper.make_node("Transpose", ["product"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, 4, 4])},
        {"scores": (TensorProto.FLOAT, ["N", 2])},
        {"w": np.ones((2, 48), np.float32)},
    )
    assert find_features_tensor(proto) == "column"


def test_model_without_weights_has_no_features() -> None:
    with pytest.raises(ModelError, match="no layer of the model has weights; name the tensor"):
        find_features_tensor(models.max_of_regions((8, 8)))


@pytest.mark.parametrize(
    ("tensor", "says"), [("flat2", "did you mean flat?"), ("zzzz", r"its last are \['g', 'flat'")]
)
def test_error_on_an_unknown_tensor_lists_similar_or_last_ones(tensor: str, says: str) -> None:
    with pytest.raises(ModelError, match=f"no node of the model makes a tensor '{tensor}'; {says}"):
        keep_only_output(models.convnet(), tensor)
