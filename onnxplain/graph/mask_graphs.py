"""Tiny graphs that turn a few numbers a mask into composed inputs, on the device.

What crosses the bus for each evaluation is a patch's corner, a grid's cells and shift, a bit
a segment or a count of pixels, instead of an image. The composition is folded into two
planes, ``x = base + mask * delta``: the encoded image, and the encoded fill less that.

========  =============================================  ================================
family    statics                                        per evaluation
========  =============================================  ================================
patch     ``patch`` int32 ()                             ``corners`` int32 (N, 2)
grid      ``row_bank`` (cell, H, g), ``column_bank``     ``cells`` uint8 (N, g, g),
          (cell, g, W), float32                          ``offsets`` int32 (N, 2)
segments  ``labels`` int32 (H, W)                        ``removed`` uint8 (N, S)
cells     ``rows`` int32 (H,), ``columns`` int32 (W,)    ``cells`` float32 (N, g, h)
bits      as for cells, ``rows`` times h                 ``bits`` uint8 (N, g * h / 8)
rank      ``rank`` int32 (H, W)                          ``removed`` int32 (N,)
========  =============================================  ================================

Every graph also takes ``base`` and ``delta``, (1, C, H, W) or (1, H, W, C) float32, and gives
``x``, (N, C, H, W) or (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from onnxplain.core.spec import DType, Layout
from onnxplain.masks.codes import CodeFamily

OPSET = 17
IR_VERSION = 8
ELEMENTS: Mapping[DType, int] = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
}


def build_mask_graph(
    family: CodeFamily, layout: Layout, channels: int, *, dtype: DType = "float32"
) -> ModelProto:
    """The graph that composes the inputs of one family's masks.

    Parameters
    ----------
    family : {'patch', 'grid', 'segments', 'cells', 'bits', 'rank'}
        How masks are coded.
    layout : {'nchw', 'nhwc'}
        Order of the axes of `base`, `delta` and `x`.
    channels : int
        Colour channels.
    dtype : {'float32', 'float16', 'uint8'}
        Element type of `x`; uint8 is rounded to the nearest, halves to even, and clipped.

    Returns
    -------
    model : ModelProto
        Standard operators of opset 17; its inputs and output as in the module's table.
    """
    render = {
        "patch": _patch,
        "grid": _grid,
        "segments": _segments,
        "cells": _cells,
        "bits": _bits,
        "rank": _rank,
    }[family]
    nodes, inputs, tensors = render(layout)
    shape = [1, channels, "H", "W"] if layout == "nchw" else [1, "H", "W", channels]
    planes = [_input(name, TensorProto.FLOAT, shape) for name in ("base", "delta")]
    axis = 1 if layout == "nchw" else 3
    tensors["channel"] = np.array([axis], np.int64)
    nodes += [
        _node("Unsqueeze", "mask", "channel", out="spread"),
        _node("Mul", "spread", "delta", out="change"),
        _node("Add", "base", "change", out="composed"),
        *_cast(dtype, tensors),
    ]
    graph = helper.make_graph(
        nodes,
        f"{family}_masks",
        [*planes, *inputs],
        [_input("x", ELEMENTS[dtype], ["N", *shape[1:]])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


# Each family: nodes that give `mask` (N, H, W) float32, its inputs, and constants.
_Parts: TypeAlias = tuple[list[NodeProto], list[ValueInfoProto], dict[str, NDArray[Any]]]


def _patch(layout: Layout) -> _Parts:
    """Ones where a pixel's row and column both lie inside the square."""
    nodes, first = [_node("Shape", "base", out="shape")], 2 if layout == "nchw" else 1
    tensors: dict[str, NDArray[Any]] = {
        "zero": np.array(0, np.int32),
        "one": np.array(1, np.int32),
        "across": np.array([2], np.int64),
        "down": np.array([1], np.int64),
    }
    for index, (side, axis) in enumerate((("row", "across"), ("column", "down"))):
        tensors[f"{side}_axis"] = np.array(first + index, np.int64)
        tensors[f"{side}_place"] = np.array([index], np.int64)
        nodes += [
            _node("Gather", "shape", f"{side}_axis", out=f"{side}_long"),
            _node("Cast", f"{side}_long", out=f"{side}_count", to=TensorProto.INT32),
            _node("Range", "zero", f"{side}_count", "one", out=f"{side}_index"),
            _node("Gather", "corners", f"{side}_place", out=f"{side}_from", axis=1),
            _node("Sub", f"{side}_index", f"{side}_from", out=f"{side}_in"),
            _node("GreaterOrEqual", f"{side}_in", "zero", out=f"{side}_after"),
            _node("Less", f"{side}_in", "patch", out=f"{side}_before"),
            _node("And", f"{side}_after", f"{side}_before", out=f"{side}_bool"),
            _node("Cast", f"{side}_bool", out=f"{side}_flat", to=TensorProto.FLOAT),
            _node("Unsqueeze", f"{side}_flat", axis, out=f"{side}_line"),
        ]
    nodes.append(_node("Mul", "row_line", "column_line", out="mask"))
    inputs = [
        _input("patch", TensorProto.INT32, []),
        _input("corners", TensorProto.INT32, ["N", 2]),
    ]
    return nodes, inputs, tensors


def _grid(layout: Layout) -> _Parts:
    """Enlarge rows, then columns, each by the matrix of its shift."""
    nodes = [_node("Cast", "cells", out="values", to=TensorProto.FLOAT)]
    for side in ("row", "column"):
        nodes += [
            _node("Gather", "offsets", f"{side}_place", out=f"{side}_offset", axis=1),
            _node("Gather", f"{side}_bank", f"{side}_offset", out=f"{side}_matrix", axis=0),
        ]
    nodes += [
        _node("MatMul", "row_matrix", "values", out="tall"),
        _node("MatMul", "tall", "column_matrix", out="mask"),
    ]
    tensors = {"row_place": np.array(0, np.int64), "column_place": np.array(1, np.int64)}
    inputs = [
        _input("row_bank", TensorProto.FLOAT, ["cell_rows", "H", "g"]),
        _input("column_bank", TensorProto.FLOAT, ["cell_columns", "g", "W"]),
        _input("cells", TensorProto.UINT8, ["N", "g", "g"]),
        _input("offsets", TensorProto.INT32, ["N", 2]),
    ]
    return nodes, inputs, tensors


def _segments(layout: Layout) -> _Parts:
    """Look up each pixel's segment."""
    nodes = [
        _node("Cast", "removed", out="bits", to=TensorProto.FLOAT),
        _node("Gather", "bits", "labels", out="mask", axis=1),
    ]
    inputs = [
        _input("labels", TensorProto.INT32, ["H", "W"]),
        _input("removed", TensorProto.UINT8, ["N", "S"]),
    ]
    return nodes, inputs, {}


def _cells(layout: Layout) -> _Parts:
    """Look up each pixel's cell."""
    nodes = [
        _node("Gather", "cells", "rows", out="tall", axis=1),
        _node("Gather", "tall", "columns", out="mask", axis=2),
    ]
    inputs = [
        _input("rows", TensorProto.INT32, ["H"]),
        _input("columns", TensorProto.INT32, ["W"]),
        _input("cells", TensorProto.FLOAT, ["N", "g", "h"]),
    ]
    return nodes, inputs, {}


def _bits(layout: Layout) -> _Parts:
    """Take bytes apart, the highest bit first, then look up each pixel's cell.

    In float32, whose operators every provider has, and in which bytes are exact.
    """
    nodes = [
        _node("Cast", "bits", out="bytes", to=TensorProto.FLOAT),
        _node("Unsqueeze", "bytes", "last", out="apart"),
        _node("Mul", "apart", "places", out="scaled"),
        _node("Floor", "scaled", out="shifted"),
        _node("Mul", "shifted", "half", out="halved"),
        _node("Floor", "halved", out="whole"),
        _node("Add", "whole", "whole", out="even"),
        _node("Sub", "shifted", "even", out="bit"),
        _node("Reshape", "bit", "flat", out="cells"),
        _node("Unsqueeze", "rows", "down", out="row_starts"),
        _node("Add", "row_starts", "columns", out="cell"),
        _node("Gather", "cells", "cell", out="mask", axis=1),
    ]
    inputs = [
        _input("rows", TensorProto.INT32, ["H"]),
        _input("columns", TensorProto.INT32, ["W"]),
        _input("bits", TensorProto.UINT8, ["N", "bytes"]),
    ]
    tensors: dict[str, NDArray[Any]] = {
        "last": np.array([2], np.int64),
        "down": np.array([1], np.int64),
        "flat": np.array([0, -1], np.int64),
        "places": (0.5 ** np.arange(7, -1, -1)).astype(np.float32),
        "half": np.array(0.5, np.float32),
    }
    return nodes, inputs, tensors


def _rank(layout: Layout) -> _Parts:
    """Ones where a pixel goes before the count is reached."""
    nodes = [
        _node("Unsqueeze", "removed", "space", out="count"),
        _node("Less", "rank", "count", out="before"),
        _node("Cast", "before", out="mask", to=TensorProto.FLOAT),
    ]
    inputs = [
        _input("rank", TensorProto.INT32, ["H", "W"]),
        _input("removed", TensorProto.INT32, ["N"]),
    ]
    return nodes, inputs, {"space": np.array([1, 2], np.int64)}


def _cast(dtype: DType, tensors: dict[str, NDArray[Any]]) -> list[NodeProto]:
    if dtype == "float32":
        return [_node("Identity", "composed", out="x")]
    if dtype == "float16":
        return [_node("Cast", "composed", out="x", to=ELEMENTS[dtype])]
    tensors |= {"black": np.array(0, np.float32), "white": np.array(255, np.float32)}
    return [
        _node("Round", "composed", out="rounded"),
        _node("Clip", "rounded", "black", "white", out="clipped"),
        _node("Cast", "clipped", out="x", to=ELEMENTS[dtype]),
    ]


def _node(op: str, *inputs: str, out: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, [out], **attributes)


def _input(name: str, element: int, shape: list[Any]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)
