"""Tiny ONNX graphs with known answers, shared by all tests.

Weights are over RGB pixels in [0, 1]; `additive` builds the same network for any layout,
colour order, range, normalisation and element type, so that its twins give one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

DTYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
}


def weights(size: tuple[int, int], classes: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """Random weights (K, H, W, 3) over RGB, small enough that no softmax saturates."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(classes, *size, 3)) / np.sqrt(size[0] * size[1])
    return drawn.astype(np.float32)


def additive_scores(
    w: NDArray[np.float32], images: NDArray[np.float32], head: str = "logits"
) -> NDArray[np.float64]:
    """The scores of `additive`: the weighted sum over the pixels, in float64.

    `head`: ``logits``, ``probabilities`` (softmax) or ``sigmoid``.
    """
    z = np.einsum("khwc,nhwc->nk", w.astype(np.float64), images.astype(np.float64))
    if head == "probabilities":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        z = e / e.sum(axis=1, keepdims=True)
    elif head == "sigmoid":
        z = 1 / (1 + np.exp(-z))
    return z


def encode(
    images: NDArray[np.float32],
    *,
    layout: str = "nchw",
    colour: str = "rgb",
    dtype: str = "float32",
    range: tuple[float, float] = (0, 1),
    mean: Sequence[float] = (0,),
    std: Sequence[float] = (1,),
) -> NDArray[Any]:
    """Images (N, H, W, 3) as such a graph takes them; the plain form of the convention."""
    if colour == "grey":
        images = (images @ np.array([0.299, 0.587, 0.114]))[..., None]
    elif colour == "bgr":
        images = images[..., ::-1]
    low, high = range
    x = (low + images * (high - low) - np.asarray(mean)) / np.asarray(std)
    if layout == "nchw":
        x = x.transpose(0, 3, 1, 2)
    if dtype == "uint8":
        x = np.rint(x)
    return np.ascontiguousarray(x.astype(dtype))


def additive(
    w: NDArray[np.float32],
    *,
    layout: str = "nchw",
    colour: str = "rgb",
    dtype: str = "float32",
    range: tuple[float, float] = (0, 1),
    mean: Sequence[float] = (0,),
    std: Sequence[float] = (1,),
    head: str = "logits",
    batch: int | str = "N",
    flatten: str = "flatten",
    output_rank: int = 2,
    opset: int = 17,
) -> ModelProto:
    """Scores that are a weighted sum of the pixels, plus one number per class.

    Parameters
    ----------
    w : (K, H, W, 3) or (K, H, W, 1) ndarray
        Weights over pixels in [0, 1]; one channel for grey models.
    layout, colour, dtype, range, mean, std
        How the graph takes its input; folded into the weights, so that scores are the same.
    head : {'logits', 'probabilities', 'sigmoid'}
        A sigmoid is applied to each class separately.
    batch : int or str
        The declared first dimension.
    flatten : {'flatten', 'one-row', 'copy', 'minus-one'}
        How pixels become a row: Flatten; Reshape to (1, -1), which holds for batch 1 only;
        Reshape to (0, -1); Reshape to (-1, D).
    output_rank : {2, 4}
        4 adds two axes of size 1 to the scores.
    """
    k, rows, columns, channels = w.shape
    low, high = range
    scale = np.broadcast_to(np.asarray(std, float), channels) / (high - low)
    shift = (np.broadcast_to(np.asarray(mean, float), channels) - low) / (high - low)
    folded = w.astype(np.float64)
    if colour == "bgr":
        folded = folded[..., ::-1]
    bias = (folded * shift).sum(axis=(1, 2, 3)).astype(np.float32)
    folded = folded * scale
    if layout == "nchw":
        folded, shape = folded.transpose(0, 3, 1, 2), (channels, rows, columns)
    else:
        shape = (rows, columns, channels)
    matrix = folded.reshape(k, -1).astype(np.float32)
    target = {
        "one-row": [1, -1],
        "copy": [0, -1],
        "minus-one": [-1, matrix.shape[1]],
    }.get(flatten)
    tensors = {"w": matrix, "b": bias}
    nodes, x = [], "image"
    if dtype != "float32":
        nodes.append(helper.make_node("Cast", [x], ["cast"], to=TensorProto.FLOAT))
        x = "cast"
    if target is None:
        nodes.append(helper.make_node("Flatten", [x], ["flat"]))
    else:
        tensors["row"] = np.array(target, np.int64)
        nodes.append(helper.make_node("Reshape", [x, "row"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["z"], transB=1))
    last = "z"
    if head != "logits":
        op = {"probabilities": "Softmax", "sigmoid": "Sigmoid"}[head]
        axis = {"axis": 1} if op == "Softmax" else {}
        nodes.append(helper.make_node(op, [last], ["p"], **axis))
        last = "p"
    dims: list[int | str] = [batch, k]
    if output_rank == 4:
        tensors["four"] = np.array([-1, k, 1, 1], np.int64)
        nodes.append(helper.make_node("Reshape", [last, "four"], ["tall"]))
        last, dims = "tall", [batch, k, 1, 1]
    elif output_rank == 1:
        tensors["axis"] = np.array([1], np.int64)
        nodes.append(helper.make_node("Squeeze", [last, "axis"], ["line"]))
        dims = [batch]
    nodes[-1].output[0] = "scores"
    return model(
        nodes,
        {"image": (DTYPES[dtype], [batch, *shape])},
        {"scores": (TensorProto.FLOAT, dims)},
        tensors,
        opset=opset,
    )


def max_of_regions(size: tuple[int, int]) -> ModelProto:
    """Four logits: the brightest pixel (mean over channels) of each quarter of the image."""
    rows, columns = size
    kernel = [rows // 2, columns // 2]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("MaxPool", ["grey"], ["top"], kernel_shape=kernel, strides=kernel),
        helper.make_node("Flatten", ["top"], ["scores"]),
    ]
    return model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, rows, columns])},
        {"scores": (TensorProto.FLOAT, ["N", 4])},
    )


def constant(size: tuple[int, int], scores: Sequence[float]) -> ModelProto:
    """The same logits for every image."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "last"], ["column"]),
        helper.make_node("Add", ["column", "fixed"], ["scores"]),
    ]
    return model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, *size])},
        {"scores": (TensorProto.FLOAT, ["N", len(scores)])},
        {
            "zero": np.zeros((), np.float32),
            "last": np.array([1], np.int64),
            "fixed": np.array([scores], np.float32),
        },
    )


def convnet(
    size: tuple[int, int] = (16, 16),
    *,
    classes: int = 5,
    batch: int | str = "N",
    opset: int = 17,
    seed: int = 0,
    one_row: bool = False,
) -> ModelProto:
    """Conv, ReLU, MaxPool, Conv, ReLU, pooling, Gemm: a small net of the usual kind.

    With `one_row` the pooled features are reshaped to (1, 8), which holds for batch 1 only.
    """
    rng = np.random.default_rng(seed)
    tensors = {
        "w1": (rng.normal(size=(4, 3, 3, 3)) / 2).astype(np.float32),
        "w2": (rng.normal(size=(8, 4, 3, 3)) / 3).astype(np.float32),
        "w3": rng.normal(size=(8, classes)).astype(np.float32),
        "b3": rng.normal(size=classes).astype(np.float32),
        "row": np.array([1, 8] if one_row else [-1, 8], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"]),
        helper.make_node("Reshape", ["g", "row"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3", "b3"], ["scores"]),
    ]
    return model(
        nodes,
        {"image": (TensorProto.FLOAT, [batch, 3, *size])},
        {"scores": (TensorProto.FLOAT, [batch, classes])},
        tensors,
        opset=opset,
    )


def quantised(w: NDArray[np.float32], *, scale: float = 1 / 256, zero: int = 0) -> ModelProto:
    """uint8 NHWC in, uint8 probabilities out, batch 1, as converted from TFLite."""
    proto = additive(w, layout="nhwc", dtype="uint8", range=(0, 255), head="probabilities", batch=1)
    graph = proto.graph
    graph.node[-1].output[0] = "p"
    for name, value in (("s", np.float32(scale)), ("zp", np.uint8(zero))):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    graph.node.append(helper.make_node("QuantizeLinear", ["p", "s", "zp"], ["scores"]))
    graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.checker.check_model(proto)
    return proto


def lying_batch(size: tuple[int, int] = (16, 16)) -> ModelProto:
    """Declares a dynamic batch, and gives every row the scores of the first image."""
    proto = convnet(size)
    graph = proto.graph
    graph.node[-1].output[0] = "all"
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    graph.node.extend(
        [
            helper.make_node("Gather", ["all", "first"], ["one"], axis=0),
            helper.make_node("Mul", ["all", "zero"], ["none"]),
            helper.make_node("Add", ["one", "none"], ["scores"]),
        ]
    )
    onnx.checker.check_model(proto)
    return proto


def saturated(size: tuple[int, int] = (16, 16)) -> ModelProto:
    """Probabilities of exactly 1 and 0, whatever the image."""
    proto = constant(size, [100.0, -100.0, -100.0])
    proto.graph.node[-1].output[0] = "z"
    proto.graph.node.append(helper.make_node("Softmax", ["z"], ["scores"], axis=1))
    onnx.checker.check_model(proto)
    return proto


def segmenter(size: tuple[int, int] = (16, 16)) -> ModelProto:
    """A score for every class at every pixel: not a classifier."""
    w = np.ones((4, 3, 1, 1), np.float32)
    return model(
        [helper.make_node("Conv", ["image", "w"], ["map"])],
        {"image": (TensorProto.FLOAT, ["N", 3, *size])},
        {"map": (TensorProto.FLOAT, ["N", 4, *size])},
        {"w": w},
    )


def text_model() -> ModelProto:
    """Scores of token numbers: takes no image."""
    table = np.ones((50, 2), np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        helper.make_node("ReduceMean", ["embedded"], ["scores"], axes=[1], keepdims=0),
    ]
    return model(
        nodes,
        {"input_ids": (TensorProto.INT64, ["N", "T"])},
        {"scores": (TensorProto.FLOAT, ["N", 2])},
        {"table": table},
    )


def inpainter(kind: str = "mean", size: tuple[int | str, int | str] = ("H", "W")) -> ModelProto:
    """Takes ``image`` (N, 3, H, W) in [0, 1] and ``mask`` (N, 1, H, W), 1 = hole.

    Parameters
    ----------
    kind : {'identity', 'mean', 'half', 'near', 'dark', 'nan', 'shape'}
        Returns the image as it came; the known pixels' mean colour in the hole; the
        constant 0.5 in the hole; the mean of the known pixels at most 3 rows and columns
        away. Faulty ones: all pixels halved, also the known; NaN in
        the hole; one channel instead of three.
    """
    tensors: dict[str, NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "half": np.array(0.5, np.float32),
    }
    paint = [  # image * (1 - mask) + colour * mask
        helper.make_node("Sub", ["one", "mask"], ["known"]),
        helper.make_node("Mul", ["image", "known"], ["kept"]),
        helper.make_node("Mul", ["colour", "mask"], ["new"]),
        helper.make_node("Add", ["kept", "new"], ["output"]),
    ]
    if kind == "identity":
        nodes = [helper.make_node("Identity", ["image"], ["output"])]
    elif kind == "mean":
        nodes = [
            *paint[:2],
            helper.make_node("ReduceSum", ["kept", "space"], ["total"], keepdims=1),
            helper.make_node("ReduceSum", ["known", "space"], ["area"], keepdims=1),
            helper.make_node("Max", ["area", "one"], ["some"]),
            helper.make_node("Div", ["total", "some"], ["colour"]),
            *paint[2:],
        ]
        tensors["space"] = np.array([2, 3], np.int64)
    elif kind == "half":
        nodes = [helper.make_node("Identity", ["half"], ["colour"]), *paint]
    elif kind == "near":
        window = {"kernel_shape": [7, 7], "pads": [3] * 4, "count_include_pad": 1}
        nodes = [
            *paint[:2],
            helper.make_node("AveragePool", ["kept"], ["total"], **window),
            helper.make_node("AveragePool", ["known"], ["area"], **window),
            helper.make_node("Max", ["area", "little"], ["some"]),
            helper.make_node("Div", ["total", "some"], ["colour"]),
            *paint[2:],
        ]
        tensors["little"] = np.array(1e-3, np.float32)
    elif kind == "dark":
        nodes = [helper.make_node("Mul", ["image", "half"], ["output"])]
    elif kind == "nan":
        tensors["bad"] = np.array(np.nan, np.float32)
        nodes = [helper.make_node("Identity", ["bad"], ["colour"]), *paint]
    elif kind == "shape":
        nodes = [helper.make_node("ReduceMean", ["image"], ["output"], axes=[1], keepdims=1)]
    else:
        raise ValueError(kind)
    channels = 1 if kind == "shape" else 3
    return model(
        nodes,
        {
            "image": (TensorProto.FLOAT, ["N", 3, *size]),
            "mask": (TensorProto.FLOAT, ["N", 1, *size]),
        },
        {"output": (TensorProto.FLOAT, ["N", channels, *size])},
        tensors,
    )


def model(
    nodes: Sequence[NodeProto],
    inputs: dict[str, tuple[int, Sequence[int | str | None]]],
    outputs: dict[str, tuple[int, Sequence[int | str | None]]],
    tensors: dict[str, NDArray[Any]] | None = None,
    *,
    opset: int = 17,
    ir_version: int = 8,
    check: bool = True,
) -> ModelProto:
    """Make a checked model of the nodes; inputs and outputs are (element type, dimensions)."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (tensors or {}).items()],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )
    if check:
        onnx.checker.check_model(proto)
    return proto


def save(proto: ModelProto, path: Path, *, external: bool = False, threshold: int = 0) -> Path:
    """Write a model; with `external` its tensors go to ``<name>.data`` beside it.

    Tensors of fewer bytes than `threshold` stay inside, as exporters leave shapes.
    """
    if external:
        copy = ModelProto()
        copy.CopyFrom(proto)  # onnx would change the original
        onnx.save_model(
            copy,
            path,
            save_as_external_data=True,
            location=path.name + ".data",
            size_threshold=threshold,
        )
        assert path.with_name(path.name + ".data").stat().st_size > 0
    else:
        path.write_bytes(proto.SerializeToString())
    return path


def begin_with(nodes: Sequence[NodeProto], proto: ModelProto) -> ModelProto:
    """Put nodes that take ``image`` and make ``begun`` in front of a model."""
    for node in proto.graph.node:
        node.input[:] = ["begun" if name == "image" else name for name in node.input]
    later = [*proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes, *later])
    return proto


def widen(proto: ModelProto) -> ModelProto:
    """Put a way through float64 in front of a model.

    Casts to float64 have a gradient rule, which refuses these once it sees them.
    """
    nodes = [
        helper.make_node("Cast", ["image"], ["wide"], name="widen", to=TensorProto.DOUBLE),
        helper.make_node("Abs", ["wide"], ["same"]),
        helper.make_node("Cast", ["same"], ["begun"], to=TensorProto.FLOAT),
    ]
    return begin_with(nodes, proto)
