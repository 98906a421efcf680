"""What is missing is said with the ways to give it."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.resolve import resolve_spec
from tests.helpers import models
from tests.helpers.described import make_net, save_and_read


def test_error_on_unknown_normalisation_lists_the_ways_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_spec(make_net(tmp_path), {})
    for part in ("range, mean, std", "--preprocessing", "--mean", "net.toml", "inspect"):
        assert part in str(caught.value)


def test_size_that_the_graph_leaves_open_must_be_given(tmp_path: Path) -> None:
    proto = models.convnet()
    for axis in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    model = save_and_read(proto, tmp_path)
    with pytest.raises(ModelError, match="cannot tell size"):
        resolve_spec(model, {"preprocessing": "lite"})
    assert resolve_spec(model, {"preprocessing": "lite", "size": 20}).size == (20, 20)


def test_head_of_one_number_per_image_must_be_given(
    tmp_path: Path,
) -> None:
    model = save_and_read(models.additive(models.weights((4, 4), 1)), tmp_path)
    flags = {"range": (0, 1), "class_names": ("cat", "dog")}
    with pytest.raises(ModelError, match=r"--head probability if .* or --head logit"):
        resolve_spec(model, flags)
    for head in ("logit", "logits", "multilabel-logits"):
        assert resolve_spec(model, {**flags, "head": head}).head == "logit"
    for head in ("probability", "probabilities", "multilabel-probabilities"):
        assert resolve_spec(model, {**flags, "head": head}).head == "probability"
    with pytest.raises(ModelError, match="says head softmax, but the graph has one number per"):
        resolve_spec(model, {**flags, "head": "softmax"})


def test_head_of_one_score_without_a_sigmoid_is_not_guessed(tmp_path: Path) -> None:
    model = save_and_read(models.additive(models.weights((8, 6), classes=1)), tmp_path)
    with pytest.raises(ModelError, match="--head probability"):
        resolve_spec(model, {"preprocessing": "unit"})
