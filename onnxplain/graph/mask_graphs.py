"""Tiny graphs that turn a few numbers per mask into composed inputs, on the device.

Each evaluation sends a patch's corner, a grid's cells and shift, a bit per segment or a count
of pixels over the bus instead of an image. The composition is folded into two planes,
``x = base + mask * delta``: the encoded image, and the encoded fill minus that image.

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
pixels                                                   ``masks`` float32 (N, H, W)
========  =============================================  ================================

Every graph also takes ``base`` and ``delta``, (1, C, H, W) or (1, H, W, C) float32, and gives
``x``, (N, C, H, W) or (N, H, W, C). Where the fill depends on the mask, it takes ``pictures``
instead of ``delta``: float32 (F, H, W, 3) RGB in [0, 1], one for all masks or one for each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from onnx import ModelProto

from onnxplain.core.data import GREY
from onnxplain.core.spec import ChannelOrder, DType, Layout
from onnxplain.graph.writer import GraphWriter, find_element_type
from onnxplain.masks.codes import CodeFamily

OPSET = 17
IR_VERSION = 8


class Entry(NamedTuple):
    """How a pixel p in [0, 1] enters a model: ``p * gain + bias``, in its order of channels."""

    colour: ChannelOrder
    gain: tuple[float, ...]
    bias: tuple[float, ...]


def build_mask_graph(
    family: CodeFamily,
    layout: Layout,
    channels: int,
    *,
    dtype: DType = "float32",
    entry: Entry | None = None,
) -> ModelProto:
    """Build the graph that composes the inputs of one family's masks.

    Parameters
    ----------
    family : CodeFamily
        How masks are coded, as in the module's table.
    layout : {'nchw', 'nhwc'}
        Order of the axes of `base`, `delta` and `x`.
    channels : int
        Number of colour channels.
    dtype : {'float32', 'float16', 'float64', 'uint8', 'int8'}
        Element type of `x`; for integers the values are rounded to the nearest, halves to even,
        and clipped.
    entry : Entry, optional
        If given, the graph takes `pictures` instead of `delta`, and lets them enter the model.

    Returns
    -------
    model : ModelProto
        Standard operators of opset 17; inputs and output as in the module's table.
    """
    render = {
        "patch": _render_patches,
        "grid": _render_grids,
        "segments": _render_segments,
        "cells": _render_cells,
        "bits": _render_bits,
        "rank": _render_ranks,
        "pixels": _take_masks,
    }[family]
    writer = GraphWriter()
    axes: list[int | str] = [channels, "H", "W"] if layout == "nchw" else ["H", "W", channels]
    base = writer.add_input("base", np.float32, [1, *axes])
    if entry is None:
        delta = writer.add_input("delta", np.float32, [1, *axes])
    else:
        delta = writer.op("Sub", _enter_pictures(writer, layout, entry), base)
    mask = _unsqueeze(writer, render(writer, layout), 1 if layout == "nchw" else 3)
    composed = writer.op("Add", base, writer.op("Mul", mask, delta))
    writer.add_output(_convert(writer, composed, dtype), dtype, ["N", *axes])
    return writer.build_model(f"{family}_masks", opset=OPSET, ir_version=IR_VERSION)


def _convert(writer: GraphWriter, composed: str, dtype: DType) -> str:
    """Write `x`, the composed values in the model's type."""
    if dtype == "float32":
        return writer.op("Identity", composed, out="x")
    if dtype in ("uint8", "int8"):
        bounds = np.iinfo(dtype)
        low, high = (writer.store(np.array(end, np.float32)) for end in (bounds.min, bounds.max))
        composed = writer.op("Clip", writer.op("Round", composed), low, high)
    return writer.op("Cast", composed, out="x", to=find_element_type(dtype))


def _enter_pictures(writer: GraphWriter, layout: Layout, entry: Entry) -> str:
    """Let pictures enter the model's space, as the host does (`ModelSpace.enter`)."""
    pixels = writer.add_input("pictures", np.float32, ["F", "H", "W", 3])
    if entry.colour == "grey":
        pixels = writer.op("MatMul", pixels, writer.store(GREY[:, None].astype(np.float32)))
    if layout == "nchw":  # first, as products over a last axis of three are slow
        pixels = writer.op("Transpose", pixels, perm=[0, 3, 1, 2])
    if entry.colour == "bgr":
        axis = 1 if layout == "nchw" else 3
        pixels = writer.op("Gather", pixels, _store_integers(writer, [2, 1, 0]), axis=axis)
    shape = (-1, 1, 1) if layout == "nchw" else (-1,)
    gain, bias = (writer.store(np.array(values, np.float32).reshape(shape)) for values in entry[1:])
    return writer.op("Add", writer.op("Mul", pixels, gain), bias)


# The masks of each family: these functions declare its inputs and return the name of a tensor
# (N, H, W) of float32.


def _render_patches(writer: GraphWriter, layout: Layout) -> str:
    """Write ones where a pixel's row and column both lie inside the square."""
    first = 2 if layout == "nchw" else 1
    patch = writer.add_input("patch", np.int32, [])
    corners = writer.add_input("corners", np.int32, ["N", 2])
    shape = writer.op("Shape", "base")
    zero, step = (writer.store(np.array(value, np.int32)) for value in (0, 1))
    sides = []
    for side, across in enumerate((2, 1)):  # rows become (N, H, 1), columns (N, 1, W)
        length = writer.op("Gather", shape, _store_integers(writer, first + side))
        stop = writer.op("Cast", length, to=find_element_type(np.int32))
        pixels = writer.op("Range", zero, stop, step)
        corner = writer.op("Gather", corners, _store_integers(writer, [side]), axis=1)
        offset = writer.op("Sub", pixels, corner)
        inside = writer.op(
            "And", writer.op("GreaterOrEqual", offset, zero), writer.op("Less", offset, patch)
        )
        sides.append(_unsqueeze(writer, _cast_to_float(writer, inside), across))
    return writer.op("Mul", *sides)


def _render_grids(writer: GraphWriter, layout: Layout) -> str:
    """Enlarge rows, then columns, each by the matrix of its shift."""
    banks = (
        writer.add_input("row_bank", np.float32, ["cell_rows", "H", "g"]),
        writer.add_input("column_bank", np.float32, ["cell_columns", "g", "W"]),
    )
    cells = writer.add_input("cells", np.uint8, ["N", "g", "g"])
    offsets = writer.add_input("offsets", np.int32, ["N", 2])
    row_matrix, column_matrix = (
        writer.op(
            "Gather",
            bank,
            writer.op("Gather", offsets, _store_integers(writer, side), axis=1),
            axis=0,
        )
        for side, bank in enumerate(banks)
    )
    tall = writer.op("MatMul", row_matrix, _cast_to_float(writer, cells))
    return writer.op("MatMul", tall, column_matrix)


def _render_segments(writer: GraphWriter, layout: Layout) -> str:
    """Look up each pixel's segment."""
    labels = writer.add_input("labels", np.int32, ["H", "W"])
    removed = writer.add_input("removed", np.uint8, ["N", "S"])
    return writer.op("Gather", _cast_to_float(writer, removed), labels, axis=1)


def _render_cells(writer: GraphWriter, layout: Layout) -> str:
    """Look up each pixel's cell."""
    rows = writer.add_input("rows", np.int32, ["H"])
    columns = writer.add_input("columns", np.int32, ["W"])
    cells = writer.add_input("cells", np.float32, ["N", "g", "h"])
    return writer.op("Gather", writer.op("Gather", cells, rows, axis=1), columns, axis=2)


def _render_bits(writer: GraphWriter, layout: Layout) -> str:
    """Take bytes apart, the highest bit first, then look up each pixel's cell.

    It computes in float32: every provider has these operators, and bytes are exact in it.
    """
    rows = writer.add_input("rows", np.int32, ["H"])
    columns = writer.add_input("columns", np.int32, ["W"])
    packed = writer.add_input("bits", np.uint8, ["N", "bytes"])
    powers = writer.store((0.5 ** np.arange(7, -1, -1)).astype(np.float32))
    apart = _unsqueeze(writer, _cast_to_float(writer, packed), 2)
    shifted = writer.op("Floor", writer.op("Mul", apart, powers))
    half = writer.op("Floor", writer.op("Mul", shifted, writer.store(np.array(0.5, np.float32))))
    bits = writer.op("Sub", shifted, writer.op("Add", half, half))
    cells = writer.op("Reshape", bits, _store_integers(writer, [0, -1]))
    cell_of_pixel = writer.op("Add", _unsqueeze(writer, rows, 1), columns)
    return writer.op("Gather", cells, cell_of_pixel, axis=1)


def _render_ranks(writer: GraphWriter, layout: Layout) -> str:
    """Write ones at the pixels whose rank is below the mask's count."""
    rank = writer.add_input("rank", np.int32, ["H", "W"])
    removed = writer.add_input("removed", np.int32, ["N"])
    count = writer.op("Unsqueeze", removed, _store_integers(writer, [1, 2]))
    return _cast_to_float(writer, writer.op("Less", rank, count))


def _take_masks(writer: GraphWriter, layout: Layout) -> str:
    """Take masks as they are."""
    return writer.add_input("masks", np.float32, ["N", "H", "W"])


def _store_integers(writer: GraphWriter, values: int | list[int]) -> str:
    return writer.store(np.array(values, np.int64))


def _unsqueeze(writer: GraphWriter, tensor: str, axis: int) -> str:
    return writer.op("Unsqueeze", tensor, _store_integers(writer, [axis]))


def _cast_to_float(writer: GraphWriter, tensor: str) -> str:
    return writer.op("Cast", tensor, to=find_element_type(np.float32))
