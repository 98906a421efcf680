"""The graph that makes the inputs of an inpainter on its device, from an image and its holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from onnxplain.core.spec import Layout
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.graph.mask_graphs import IR_VERSION, OPSET
from onnxplain.graph.writer import GraphWriter, find_element_type

IMAGE, MASK = "x", "mask"  # the graph's outputs


def build_input_graph(spec: InpainterSpec) -> bytes:
    """Build the graph that does on a device what `blank_holes` and `encode_inputs` do on a host.

    Its inputs are ``picture`` float32 (1, H, W, 3), RGB in [0, 1], and ``holes`` bool (N, H, W).
    Its outputs are `IMAGE`, and `MASK` where the inpainter takes its mask as an input of its own.
    """
    writer = GraphWriter()
    picture = writer.add_input("picture", np.float32, [1, "H", "W", 3])
    holes = writer.add_input("holes", np.bool_, ["N", "H", "W"])
    hole = writer.op("Unsqueeze", holes, _store(writer, [3], np.int64))
    x = _enter(writer, spec, _blank(writer, picture, hole), hole)
    mask = writer.op("Where", hole, _store(writer, spec.hole), _store(writer, spec.known))
    if spec.pack == "separate":
        _write_mask(writer, spec, mask)
    elif spec.pack == "channels":
        planes = {"image": x, "mask": mask, "ones": _fill_with_ones(writer, mask)}
        x = writer.op("Concat", *(planes[plane] for plane in spec.planes), axis=3)
    elif spec.pack == "width":
        x = writer.op("Concat", x, writer.op("Concat", mask, mask, mask, axis=3), axis=2)
    _arrange(writer, x, spec.layout, spec.dtype, IMAGE)
    model = writer.build_model("inputs", opset=OPSET, ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def _blank(writer: GraphWriter, picture: str, hole: str) -> str:
    """Write the mean of the known pixels into holes; grey if no pixel is known."""
    known = writer.op("Cast", writer.op("Not", hole), to=find_element_type(np.float32))
    axes = _store(writer, [1, 2], np.int64)
    total = writer.op("ReduceSum", writer.op("Mul", picture, known), axes)
    count = writer.op("ReduceSum", known, axes)
    mean = writer.op("Div", total, writer.op("Max", count, _store(writer, 1)))
    some = writer.op("Greater", count, _store(writer, 0))
    return writer.op("Where", hole, writer.op("Where", some, mean, _store(writer, 0.5)), picture)


def _enter(writer: GraphWriter, spec: InpainterSpec, x: str, hole: str) -> str:
    """Write pixels in the graph's order of channels and range."""
    if spec.colour == "bgr":
        x = writer.op("Gather", x, _store(writer, [2, 1, 0], np.int64), axis=3)
    low, high = spec.range
    mean, std = np.asarray(spec.mean), np.asarray(spec.std)
    x = writer.op("Mul", x, _store(writer, (high - low) / std))
    x = writer.op("Add", x, _store(writer, (low - mean) / std))
    return writer.op("Where", hole, _store(writer, 0), x) if spec.premultiply else x


def _fill_with_ones(writer: GraphWriter, mask: str) -> str:
    return writer.op("Expand", _store(writer, 1), writer.op("Shape", mask))


def _write_mask(writer: GraphWriter, spec: InpainterSpec, mask: str) -> None:
    """Write the mask (N, H, W, 1) in the form of an input of its own."""
    if spec.mask_channels:
        wide = writer.op("Concat", *[mask] * spec.mask_channels, axis=3)
        _arrange(writer, wide, spec.layout, spec.mask_dtype, MASK)
        return
    flat = writer.op("Squeeze", mask, _store(writer, [3], np.int64))
    writer.op("Cast", flat, out=MASK, to=find_element_type(spec.mask_dtype))
    writer.add_output(MASK, spec.mask_dtype, ["N", "H", "W"])


def _arrange(writer: GraphWriter, x: str, layout: Layout, dtype: DTypeLike, out: str) -> None:
    """Write numbers (N, H, W, C) in the layout and element type of an input."""
    if dtype == "uint8":
        x = writer.op("Clip", writer.op("Round", x), _store(writer, 0), _store(writer, 255))
    if layout == "nchw":
        x = writer.op("Transpose", x, perm=[0, 3, 1, 2])
    writer.op("Cast", x, out=out, to=find_element_type(dtype))
    writer.add_output(out, dtype, [None] * 4)


def _store(writer: GraphWriter, value: object, dtype: DTypeLike = np.float32) -> str:
    return writer.store(np.array(value, dtype))
