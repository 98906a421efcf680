"""A small transformer as an ONNX file, in the forms that exporters write; see the reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnxplain.engine.settle import looks_at_attention
from onnxplain.registry import METHODS
from onnxplain.runtime import OnnxClassifier
from tests.helpers import models
from tests.helpers.inside import open_model
from tests.helpers.specs import spec_of

Head: TypeAlias = Literal["class", "mean", "mean of patches"]
# Heads on an axis of their own, those of all images on one axis, keys first, or one operator.
Form: TypeAlias = Literal["split", "merged", "turned", "fused"]
FORMS: tuple[Form, ...] = get_args(Form)
Weights: TypeAlias = dict[str, NDArray[np.float32]]
node = helper.make_node
FAR = 2**31


@dataclass(frozen=True)
class Vit:
    """How a transformer is built.

    Parameters
    ----------
    grid : (rows, columns)
        Of patches.
    prefix : int
        Number of tokens in front of them.
    head : str
        What its scores read.
    """

    grid: tuple[int, int] = (2, 3)
    patch: int = 4
    width: int = 8
    heads: int = 2
    blocks: int = 2
    prefix: int = 1
    head: Head = "class"
    classes: int = 3

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of its images."""
        rows, columns = self.grid
        return rows * self.patch, columns * self.patch

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return self.prefix + self.grid[0] * self.grid[1]

    @property
    def block_names(self) -> list[str]:
        """What the names of each block begin with."""
        return [f"b{place}/" for place in range(self.blocks)]


def draw_weights(vit: Vit, seed: int = 0) -> Weights:
    """Draw weights that make attention uneven."""
    rng = np.random.default_rng(seed)
    d = vit.width

    def draw(*shape: int, scale: float = 1.0) -> NDArray[np.float32]:
        return (rng.normal(size=shape) * scale).astype(np.float32)

    weights = {
        "patch": draw(d, 3, vit.patch, vit.patch, scale=0.5),
        "patch_bias": draw(d, scale=0.1),
        "position": draw(1, vit.n_tokens, d, scale=0.3),
        "norm_scale": 1 + draw(d, scale=0.1),
        "norm_bias": draw(d, scale=0.1),
        "head": draw(d, vit.classes, scale=d**-0.5),
        "head_bias": draw(vit.classes, scale=0.1),
    }
    if vit.prefix:
        weights["token"] = draw(1, vit.prefix, d)
    for p in vit.block_names:
        for name in ("q", "k", "v", "o"):
            weights[f"{p}w{name}"] = draw(d, d, scale=1.5 * d**-0.5)
            weights[f"{p}b{name}"] = draw(d, scale=0.1)
        weights |= {f"{p}up": draw(d, 2 * d, scale=d**-0.5), f"{p}up_bias": draw(2 * d, scale=0.1)}
        weights |= {f"{p}down": draw(2 * d, d, scale=d**-0.5), f"{p}down_bias": draw(d, scale=0.1)}
        weights |= {f"{p}n1_scale": 1 + draw(d, scale=0.1), f"{p}n1_bias": draw(d, scale=0.1)}
        weights |= {f"{p}n2_scale": 1 + draw(d, scale=0.1), f"{p}n2_bias": draw(d, scale=0.1)}
    return weights


def make_vit(vit: Vit, weights: Weights, form: Form = "split", opset: int = 17) -> ModelProto:
    """Make its file, of a dynamic batch; the operator Attention needs opset 23."""
    opset = 23 if form == "fused" else opset
    d, rows = vit.width, vit.grid[0] * vit.grid[1]
    constants = {
        "to_tokens": np.array([0, d, rows], np.int64),
        "to_heads": np.array([0, 0, vit.heads, d // vit.heads], np.int64),
        "to_merged": np.array([-1, vit.n_tokens, d // vit.heads], np.int64),
        "from_merged": np.array([-1, vit.heads, vit.n_tokens, d // vit.heads], np.int64),
        "to_width": np.array([0, 0, d], np.int64),
        "scale": np.array((d // vit.heads) ** -0.5, np.float32),
        "one": np.array([1], np.int64),
        "zero": np.array(0, np.int64),
        "far": np.array([FAR], np.int64),
        "prefix": np.array([vit.prefix], np.int64),
        "token_shape": np.array([vit.prefix, d], np.int64),
    }
    nodes = [
        node("Conv", ["image", "patch", "patch_bias"], ["maps"], strides=[vit.patch] * 2),
        node("Reshape", ["maps", "to_tokens"], ["flat"]),
        node("Transpose", ["flat"], ["patches"], perm=[0, 2, 1]),
    ]
    last = "patches"
    if vit.prefix:
        nodes += [
            node("Shape", ["image"], ["n"], end=1),
            node("Concat", ["n", "token_shape"], ["repeated"], axis=0),
            node("Expand", ["token", "repeated"], ["tokens"]),
            node("Concat", ["tokens", "patches"], ["joined"], axis=1),
        ]
        last = "joined"
    nodes.append(node("Add", [last, "position"], ["embedded"]))
    last = "embedded"
    for p in vit.block_names:
        nodes += _make_block(vit, p, last, form)
        last = f"{p}out"
    norm = ["norm_scale", "norm_bias"]
    nodes.append(node("LayerNormalization", [last, *norm], ["normed"], axis=-1))
    pooled, axes = ([], {"axes": [1]}) if opset < 18 else (["one"], {})
    if vit.head == "class":
        nodes.append(node("Gather", ["normed", "zero"], ["pooled"], axis=1))
    elif vit.head == "mean of patches":
        nodes.append(node("Slice", ["normed", "prefix", "far", "one"], ["picked"]))
        nodes.append(node("ReduceMean", ["picked", *pooled], ["pooled"], keepdims=0, **axes))
    else:
        nodes.append(node("ReduceMean", ["normed", *pooled], ["pooled"], keepdims=0, **axes))
    nodes.append(node("Gemm", ["pooled", "head", "head_bias"], ["scores"]))
    used = {name for one in nodes for name in one.input}
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, *vit.size])},
        {"scores": (TensorProto.FLOAT, ["N", vit.classes])},
        {name: value for name, value in (constants | weights).items() if name in used},
        opset=opset,
        ir_version=11 if form == "fused" else 8,
    )


def _make_block(vit: Vit, p: str, before: str, form: Form) -> list[NodeProto]:
    """Make a block: attention on normalised tokens, and two dense layers, each added."""
    nodes = [
        node("LayerNormalization", [before, f"{p}n1_scale", f"{p}n1_bias"], [f"{p}n1"], axis=-1)
    ]
    for name in "qkv":
        nodes.append(node("MatMul", [f"{p}n1", f"{p}w{name}"], [f"{p}{name}0"]))
        nodes.append(node("Add", [f"{p}{name}0", f"{p}b{name}"], [f"{p}{name}"]))
    if form == "fused":
        heads = {"q_num_heads": vit.heads, "kv_num_heads": vit.heads}
        nodes.append(node("Attention", [f"{p}q", f"{p}k", f"{p}v"], [f"{p}read"], **heads))
    else:
        nodes += _make_attention(p, form)
    return [
        *nodes,
        node("MatMul", [f"{p}read", f"{p}wo"], [f"{p}o0"]),
        node("Add", [f"{p}o0", f"{p}bo"], [f"{p}o"]),
        node("Add", [before, f"{p}o"], [f"{p}mid"]),
        node("LayerNormalization", [f"{p}mid", f"{p}n2_scale", f"{p}n2_bias"], [f"{p}n2"], axis=-1),
        node("MatMul", [f"{p}n2", f"{p}up"], [f"{p}u0"]),
        node("Add", [f"{p}u0", f"{p}up_bias"], [f"{p}u"]),
        *_make_gelu(p),
        node("MatMul", [f"{p}g", f"{p}down"], [f"{p}d0"]),
        node("Add", [f"{p}d0", f"{p}down_bias"], [f"{p}d"]),
        node("Add", [f"{p}mid", f"{p}d"], [f"{p}out"]),
    ]


def _make_gelu(p: str) -> list[NodeProto]:
    return [
        node("Constant", [], [f"{p}root"], value_float=float(np.sqrt(2))),
        node("Constant", [], [f"{p}one"], value_float=1.0),
        node("Constant", [], [f"{p}half"], value_float=0.5),
        node("Div", [f"{p}u", f"{p}root"], [f"{p}g0"]),
        node("Erf", [f"{p}g0"], [f"{p}g1"]),
        node("Add", [f"{p}g1", f"{p}one"], [f"{p}g2"]),
        node("Mul", [f"{p}u", f"{p}g2"], [f"{p}g3"]),
        node("Mul", [f"{p}g3", f"{p}half"], [f"{p}g"]),
    ]


def _make_attention(p: str, form: Form) -> list[NodeProto]:
    nodes = []
    for name in "qkv":
        nodes.append(node("Reshape", [f"{p}{name}", "to_heads"], [f"{p}{name}1"]))
        nodes.append(node("Transpose", [f"{p}{name}1"], [f"{p}{name}2"], perm=[0, 2, 1, 3]))
    nodes.append(node("Mul", [f"{p}q2", "scale"], [f"{p}q3"]))
    q, k, v = (f"{p}q3", f"{p}k2", f"{p}v2")
    perm = [0, 1, 3, 2]
    if form == "merged":
        merged = [(name, f"{name}m") for name in (q, k, v)]
        nodes += [node("Reshape", [name, "to_merged"], [new]) for name, new in merged]
        q, k, v = (new for _, new in merged)
        perm = [0, 2, 1]
    if form == "turned":
        nodes += [
            node("Transpose", [q], [f"{p}qt"], perm=perm),
            node("MatMul", [k, f"{p}qt"], [f"{p}s"]),
            node("Softmax", [f"{p}s"], [f"{p}weights"], axis=2),
            node("Transpose", [f"{p}weights"], [f"{p}back"], perm=perm),
            node("MatMul", [f"{p}back", v], [f"{p}r0"]),
        ]
    else:
        nodes += [
            node("Transpose", [k], [f"{p}kt"], perm=perm),
            node("MatMul", [q, f"{p}kt"], [f"{p}s"]),
            node("Softmax", [f"{p}s"], [f"{p}weights"], axis=-1),
            node("MatMul", [f"{p}weights", v], [f"{p}r0"]),
        ]
    if form == "merged":
        nodes.append(node("Reshape", [f"{p}r0", "from_merged"], [f"{p}r"]))
    r = f"{p}r" if form == "merged" else f"{p}r0"
    return [
        *nodes,
        node("Transpose", [r], [f"{p}r1"], perm=[0, 2, 1, 3]),
        node("Reshape", [f"{p}r1", "to_width"], [f"{p}read"]),
    ]


def make_net_for(name: str, size: tuple[int, int], classes: int = 5, opset: int = 17) -> ModelProto:
    """Make a small net of images of a size that a method can look into."""
    if not looks_at_attention(METHODS[name]()):
        return models.convnet(size, classes=classes, opset=opset)
    vit = Vit((size[0] // Vit.patch, size[1] // Vit.patch), classes=classes)
    return make_vit(vit, draw_weights(vit), opset=opset)


@cache
def open_net_for(
    name: str, size: tuple[int, int], classes: int = 2, batch_size: int = 4
) -> OnnxClassifier:
    """Open it."""
    spec = spec_of(size=size, classes=classes)
    return open_model(make_net_for(name, size, classes), spec, batch_size)


@cache
def open_vit(vit: Vit = Vit(), form: Form = "split", batch_size: int = 4) -> OnnxClassifier:
    """Open one."""
    spec = spec_of(size=vit.size, classes=vit.classes)
    return open_model(make_vit(vit, draw_weights(vit), form), spec, batch_size)
