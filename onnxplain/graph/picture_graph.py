"""The graph that turns the numbers of an inpainter into pictures, on its device."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike
from onnx import ModelProto

from onnxplain.core.data import Size
from onnxplain.core.spec import Layout
from onnxplain.graph.mask_graphs import IR_VERSION, OPSET
from onnxplain.graph.writer import GraphWriter, find_element_type


def build_picture_graph(
    layout: Layout,
    dtype: DTypeLike,
    size: Size,
    *,
    span: tuple[float, float] = (0.0, 1.0),
    reverse: bool = False,
) -> ModelProto:
    """Build the graph that puts what an inpainter painted into the holes of an image.

    It computes what the host does, operation by operation, so that pictures are the same to the
    bit on the CPU.

    Parameters
    ----------
    layout : {'nchw', 'nhwc'}
        Order of the axes of `raw`.
    dtype : numpy type
        Element type of `raw`.
    size : (rows, columns)
        Size H, W of the image; `raw` may be larger, to the bottom and right.
    span : (low, high)
        The numbers of black and white.
    reverse : bool
        Whether the channels of `raw` are blue, green and red.

    Returns
    -------
    model : ModelProto
        Inputs: ``raw`` (N, 3, h, w) or (N, h, w, 3), the inpainter's numbers; ``holes`` bool
        (N, H, W); ``image`` float32 (1, H, W, 3). Outputs: ``pictures`` float32 (N, H, W, 3), RGB
        in [0, 1]; ``fault`` float32, 1 if any of `raw` is not finite, and otherwise 0.
    """
    rows, columns = size
    writer = GraphWriter()
    sides: list[int | str] = [3, "h", "w"] if layout == "nchw" else ["h", "w", 3]
    raw = writer.add_input("raw", dtype, ["N", *sides])
    holes = writer.add_input("holes", np.bool_, ["N", rows, columns])
    image = writer.add_input("image", np.float32, [1, rows, columns, 3])
    values = writer.op("Cast", raw, to=find_element_type(np.float32))
    _write_fault(writer, values)
    if layout == "nchw":
        values = writer.op("Transpose", values, perm=[0, 2, 3, 1])
    bounds = (np.array(bound, np.int64) for bound in ([0, 0], [rows, columns], [1, 2]))
    values = writer.op("Slice", values, *map(writer.store, bounds))
    low, high = span
    if span != (0, 1):
        scale, shift = (
            np.array(term, np.float32) for term in (1 / (high - low), -low / (high - low))
        )
        values = writer.op("Mul", values, writer.store(scale))
        values = writer.op("Add", values, writer.store(shift))
    if reverse:
        order = writer.store(np.array([2, 1, 0], np.int64))
        values = writer.op("Gather", values, order, axis=3)
    black, white = (writer.store(np.array(bound, np.float32)) for bound in (0, 1))
    values = writer.op("Clip", values, black, white)
    where = writer.op("Unsqueeze", holes, writer.store(np.array([3], np.int64)))
    writer.op("Where", where, values, image, out="pictures")
    writer.add_output("pictures", np.float32, ["N", rows, columns, 3])
    return writer.build_model("pictures", opset=OPSET, ir_version=IR_VERSION)


def _write_fault(writer: GraphWriter, values: str) -> None:
    """Write `fault`: a finite number less itself is 0, and any other is not a number."""
    zero = writer.store(np.array(0, np.float32))
    is_finite = writer.op("Equal", writer.op("Sub", values, values), zero)
    each = writer.op("Cast", writer.op("Not", is_finite), to=find_element_type(np.float32))
    writer.op("ReduceMax", each, out="fault", keepdims=0)
    writer.add_output("fault", np.float32, [])


def build_copy_graph() -> ModelProto:
    """Build the graph that copies `pictures` (N, H, W, 3) to `copy`, which may be elsewhere."""
    writer = GraphWriter()
    shape: list[int | str] = ["N", "H", "W", 3]
    pictures = writer.add_input("pictures", np.float32, shape)
    writer.add_output("copy", np.float32, shape, source=pictures)
    return writer.build_model("copy", opset=OPSET, ir_version=IR_VERSION)
