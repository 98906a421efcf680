"""Attention that is written out gives the scores of the operator, under the same names."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from onnxplain.gradient.fused import expand_attention
from tests.helpers import models
from tests.helpers.specs import photos
from tests.helpers.transformers import Vit, draw_weights, make_vit
from tests.reference.transformers import run_vit

VIT = Vit()


def test_attention_that_is_written_out_gives_the_same_scores() -> None:
    weights, images = draw_weights(VIT), photos(2, VIT.size)
    model = make_vit(VIT, weights, "fused")
    before = model.SerializeToString()
    expanded = expand_attention(model)
    assert model.SerializeToString() == before
    kinds = [node.op_type for node in expanded.graph.node]
    assert "Attention" not in kinds
    assert kinds.count("Softmax") == VIT.blocks
    session = ort.InferenceSession(expanded.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"image": images.transpose(0, 3, 1, 2)})
    expected = [run_vit(VIT, weights, image.astype(float))[0] for image in images]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_equal_graphs_get_equal_names() -> None:
    first, second = (
        expand_attention(make_vit(VIT, draw_weights(VIT, seed), "fused")) for seed in (0, 1)
    )
    assert list(first.graph.node) == list(second.graph.node)


def test_other_models_are_returned_as_they_are() -> None:
    model = models.convnet()
    assert expand_attention(model) is model
