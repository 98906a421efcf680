"""Transformers: the default layer of class tokens and of means, and grids that are given."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.gradient.layers import LayerFinder
from tests.helpers import models
from tests.helpers.layers import open_finder

node = helper.make_node
WIDTH, GRID = 6, (3, 4)
N_TOKENS = GRID[0] * GRID[1]


def make_block(place: int, before: str) -> tuple[list[NodeProto], str]:
    """One block: normalisation, attention with one head, the sum; no second half."""
    p = f"b{place}/"
    nodes = [
        node("LayerNormalization", [before, "scale"], [p + "norm"], axis=-1),
        node("MatMul", [p + "norm", "wq"], [p + "q"]),
        node("MatMul", [p + "norm", "wk"], [p + "k"]),
        node("MatMul", [p + "norm", "wv"], [p + "v"]),
        node("Transpose", [p + "k"], [p + "kt"], perm=[0, 2, 1]),
        node("MatMul", [p + "q", p + "kt"], [p + "s"]),
        node("Softmax", [p + "s"], [p + "weights"], axis=-1),
        node("MatMul", [p + "weights", p + "v"], [p + "attended"]),
        node("Add", [before, p + "attended"], [p + "out"]),
    ]
    return nodes, p + "out"


def make_vit(*, class_token: bool, patch_conv: bool = True) -> ModelProto:
    """A transformer of two blocks on 12 x 16 pixels."""
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) for name in ("wq", "wk", "wv")
    }
    tensors |= {
        "scale": np.ones(WIDTH, np.float32),
        "patch": rng.normal(size=(WIDTH, 3, 4, 4)).astype(np.float32),
        "row": np.array([0, WIDTH, N_TOKENS], np.int64),
        "token": rng.normal(size=(1, 1, WIDTH)).astype(np.float32),
        "head": rng.normal(size=(WIDTH, 3)).astype(np.float32),
        "first": np.array(0, np.int64),
    }
    nodes = [
        node("Conv", ["image", "patch"], ["maps"], strides=[4, 4]),
        node("Reshape", ["maps", "row"], ["flat"]),
        node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
    ]
    image: list[int | str] = ["N", 3, 12, 16]
    if not patch_conv:  # tokens come in some other way
        image = [1, N_TOKENS, 3, 16]
        tensors["row"] = np.array([1, N_TOKENS, 48], np.int64)
        tensors["patch"] = rng.normal(size=(48, WIDTH)).astype(np.float32)
        nodes = [
            node("Reshape", ["image", "row"], ["flat"]),
            node("MatMul", ["flat", "patch"], ["tokens"]),
        ]
    last = "tokens"
    if class_token:
        nodes.append(node("Concat", ["token", "tokens"], ["joined"], axis=1))
        last = "joined"
    for place in range(2):
        block, last = make_block(place, last)
        nodes += block
    nodes.append(node("LayerNormalization", [last, "scale"], ["normed"], axis=-1))
    if class_token:
        nodes.append(node("Gather", ["normed", "first"], ["pooled"], axis=1))
    else:
        nodes.append(node("ReduceMean", ["normed"], ["pooled"], axes=[1], keepdims=0))
    nodes.append(node("MatMul", ["pooled", "head"], ["scores"]))
    image[0] = 1  # the class token is of one image
    used = {name for entry in nodes for name in entry.input}
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, image)},
        {"scores": (TensorProto.FLOAT, [1, 3])},
        {name: value for name, value in tensors.items() if name in used},
    )


def find(model: ModelProto) -> LayerFinder:
    return open_finder(model, (12, 16), 3)


def test_with_a_class_token_the_last_attention_reads_the_default_layer() -> None:
    layer = find(make_vit(class_token=True)).last
    assert (layer.tensor, layer.axes, layer.shape) == ("b1/norm", "NTC", (WIDTH, *GRID))
    assert (layer.prefix, layer.is_cut) == (1, False)
    assert "only the class token leaves" in layer.note


def test_with_a_mean_the_last_tokens_are_the_default_layer() -> None:
    layer = find(make_vit(class_token=False)).last
    assert (layer.tensor, layer.prefix, layer.is_cut) == ("normed", 0, True)


def test_flattened_maps_are_no_tokens() -> None:
    (layer,) = find(make_vit(class_token=False)).find("flat")
    assert (layer.axes, layer.shape) == ("NCT", (WIDTH, *GRID))


def test_grid_of_tokens_is_asked_for_where_nothing_tells_it() -> None:
    finder = find(make_vit(class_token=False, patch_conv=False))
    with pytest.raises(ModelError, match=r"'normed' has no grid.*give the grid.*normed@14x14"):
        finder.find("normed")
    (layer,) = finder.find("normed@3x4")
    assert (layer.shape, layer.prefix) == ((WIDTH, *GRID), 0)
    with pytest.raises(ModelError, match="not of the grid that was given"):
        finder.find("normed@4x4")
