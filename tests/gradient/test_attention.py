"""Attention is found in every form, with what it is of; what cannot be followed is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnxplain.core.data import Tokens
from onnxplain.core.errors import ModelError
from onnxplain.gradient.attention import find_attention, names_attention
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.stages import find_last
from tests.helpers import models
from tests.helpers.layers import read_grids
from tests.helpers.transformers import FORMS, Form, Vit, draw_weights, make_vit

node = helper.make_node
VIT = Vit()


def open_grids(model: ModelProto, vit: Vit = VIT) -> GridGraph:
    return read_grids(model, vit.size)


def make(vit: Vit = VIT, form: Form = "split") -> ModelProto:
    return make_vit(vit, draw_weights(vit), form)


@pytest.mark.parametrize(
    ("form", "axes"), [("split", "NCHW"), ("merged", "BHW"), ("turned", "NCWH"), ("fused", "NCHW")]
)
def test_weights_of_every_block_are_found_in_every_form(form: Form, axes: str) -> None:
    layers = find_attention(open_grids(make(form=form)))
    assert [layer.axes for layer in layers] == [axes] * 2
    assert [layer.shape for layer in layers] == [(VIT.heads, 7, 7)] * 2
    assert [layer.tokens for layer in layers] == [Tokens((2, 3), 1, (0, 1))] * 2
    if form != "fused":
        assert [layer.tensor for layer in layers] == ["b0/weights", "b1/weights"]


@pytest.mark.parametrize("form", FORMS)
def test_default_layer_of_maps_is_what_the_last_attention_reads(form: Form) -> None:
    layer = find_last(open_grids(make(form=form)), 3)
    assert (layer.tensor, layer.shape, layer.prefix) == ("b1/n1", (VIT.width, *VIT.grid), 1)


@pytest.mark.parametrize(
    ("vit", "read"),
    [
        (Vit(prefix=4), (0, 1)),
        (Vit(prefix=0, head="mean"), (0, 6)),
        (Vit(prefix=2, head="mean"), (0, 8)),
        (Vit(prefix=2, head="mean of patches"), (2, 8)),
    ],
)
def test_tokens_that_the_scores_read_are_found(vit: Vit, read: tuple[int, int]) -> None:
    (layer, _) = find_attention(open_grids(make(vit), vit))
    assert layer.tokens == Tokens((2, 3), vit.prefix, read)


def change_end(make_pooled: Sequence[NodeProto], tensors: dict[str, np.ndarray]) -> ModelProto:
    """Return a model whose scores read the normalised tokens in another way."""
    model = make(Vit(prefix=2))
    kept = [one for one in model.graph.node if one.output[0] != "pooled"]
    place = len(kept) - 1
    del model.graph.node[:]
    model.graph.node.extend([*kept[:place], *make_pooled, *kept[place:]])
    model.graph.initializer.extend(models.numpy_helper.from_array(v, k) for k, v in tensors.items())
    return model


def test_two_tokens_in_front_that_are_read_count_alike() -> None:
    """As those of class and distillation in DeiT."""
    nodes = [
        node("Gather", ["normed", "zero"], ["first"], axis=1),
        node("Gather", ["normed", "second"], ["other"], axis=1),
        node("Add", ["first", "other"], ["pooled"]),
    ]
    model = change_end(nodes, {"second": np.array(-7, np.int64)})
    (layer, _) = find_attention(open_grids(model))
    assert layer.tokens == Tokens((2, 3), 2, (0, 2))


def test_class_token_counts_alone_beside_the_mean_of_the_others() -> None:
    """As in the classifiers of DINOv2; the tokens are split into two parts."""
    nodes = [
        node("Split", ["normed", "parts"], ["token", "others"], axis=1),
        node("Squeeze", ["token", "axis"], ["first"]),
        node("ReduceMean", ["others"], ["mean"], axes=[1], keepdims=0),
        node("Add", ["first", "mean"], ["pooled"]),
    ]
    tensors = {"parts": np.array([1, 7], np.int64), "axis": np.array([1], np.int64)}
    (layer, _) = find_attention(open_grids(change_end(nodes, tensors)))
    assert layer.tokens == Tokens((2, 3), 2, (0, 1))


def test_grid_can_be_given() -> None:
    assert names_attention("attention@3x2")
    assert not names_attention("attention@3x2x1")
    (layer, _) = find_attention(open_grids(make()), "attention@3x2")
    assert layer.tokens is not None
    assert layer.tokens.grid == (3, 2)
    with pytest.raises(ModelError, match=r"7 tokens attend .* 4 x 4 patches .*attention@14x14"):
        find_attention(open_grids(make()), "attention@4x4")


def attend(
    shape: Sequence[int], *, keys: int | None = None, count: int = 1, parallel: bool = False
) -> ModelProto:
    """Make a graph with attention of some shapes between a convolution and the scores."""
    *rows, queries = shape
    n_keys = keys or queries
    nodes = [node("Conv", ["image", "patch"], ["maps"], strides=[4, 4])]
    tensors = {"patch": np.ones((4, 3, 4, 4), np.float32)}
    last = "maps"
    for place in range(count):
        p = f"b{place}/"
        nodes += [
            node("Reshape", [last, f"{p}to"], [f"{p}x"]),
            node("MatMul", [f"{p}x", f"{p}w"], [f"{p}s"]),
            node("Softmax", [f"{p}s"], [f"{p}a"], axis=-1),
            node("MatMul", [f"{p}x", f"{p}wv"], [f"{p}v"]),
            node("Reshape", [f"{p}v", f"{p}tov"], [f"{p}values"]),
            node("MatMul", [f"{p}a", f"{p}values"], [f"{p}out"]),
        ]
        size = 4 * 2 * 3 // (int(np.prod(rows)) * queries)
        width = 4 * 2 * 3 // (int(np.prod(rows)) * n_keys)
        tensors |= {
            f"{p}to": np.array([*rows, queries, size], np.int64),
            f"{p}w": np.ones((size, n_keys), np.float32),
            f"{p}wv": np.ones((size, size), np.float32),
            f"{p}tov": np.array([*rows, n_keys, width], np.int64),
        }
        last = "maps" if parallel else f"{p}out"
    ends = [f"b{place}/out" for place in range(count)] if parallel else [last]
    nodes.append(node("Sum", ends, ["joined"]))
    nodes += [node("Flatten", ["joined"], ["flat"])]
    nodes += [node("ReduceSum", ["flat"], ["scores"], keepdims=1)]
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, [1, 3, 8, 12])},
        {"scores": (TensorProto.FLOAT, [1, 1])},
        tensors,
    )


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (attend([2, 1, 3]), r"shape \(2, 1, 3, 3\): tokens attend within windows"),
        (attend([1, 2, 1, 3]), r"shape \(1, 2, 1, 3, 3\): tokens attend within windows"),
        (attend([1, 1, 6], keys=3), r"\(1, 1, 6, 3\): the tokens that read are not those"),
        (attend([1, 1, 3]), "3 tokens attend to each other, and 2 x 3 patches were found"),
        (attend([1, 1, 6], count=2, parallel=True), "'b1/a' does not follow on 'b0/a' alone"),
    ],
)
def test_attention_that_cannot_be_followed_is_refused(model: ModelProto, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        find_attention(open_grids(model))


def test_tokens_that_are_merged_on_the_way_are_refused() -> None:
    model = attend([1, 1, 6], count=2)
    for stored in model.graph.initializer:
        changed = {"b1/to": [1, 1, 3, 8], "b1/tov": [1, 1, 3, 8]}.get(stored.name)
        if changed:
            stored.CopyFrom(models.numpy_helper.from_array(np.array(changed), stored.name))
        if stored.name in ("b1/w", "b1/wv"):
            side = 3 if stored.name == "b1/w" else 8
            array = np.ones((8, side), np.float32)
            stored.CopyFrom(models.numpy_helper.from_array(array, stored.name))
    with pytest.raises(ModelError, match="is of 3 tokens, and the first one of 6: tokens are merg"):
        find_attention(open_grids(model))


def test_operators_that_hide_their_softmax_are_named() -> None:
    model = make(form="fused")
    for one in model.graph.node:
        if one.op_type == "Attention":
            one.op_type, one.domain, one.name = "MultiHeadAttention", "com.microsoft", "mha"
            del one.attribute[:]
    with pytest.raises(ModelError, match=r"'mha' \(com.microsoft::MultiHeadAttention\) hides"):
        find_attention(open_grids(model))


def test_attention_of_unknown_shape_is_refused() -> None:
    model = make()
    for one in model.graph.node:
        if one.output[0] == "b0/s":  # an operator that nothing is known of
            one.op_type, one.domain = "Unknown", "somewhere"
    with pytest.raises(ModelError, match="'b0/weights' is not known from the file; simplify it"):
        find_attention(open_grids(model))


def test_models_without_attention_are_told_so() -> None:
    graph = read_grids(models.convnet(), (16, 16))
    with pytest.raises(ModelError, match="the model has no attention: no softmax multiplies"):
        find_attention(graph)
