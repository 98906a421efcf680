"""A coarse mask in front of a classifier, so that its score can be differentiated by the mask.

``x = image + m (fill - image)``, where m is the mask, its cells enlarged bilinearly. Methods
that optimise a mask compose the image in the same way on the host; here the graph does so, in
the model's own input space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto, ValueInfoProto

from onnxplain.core.data import Size
from onnxplain.core.spec import Layout
from onnxplain.gradient.refusal import check_names_are_free
from onnxplain.graph.names import collect_tensor_names, rename_uses
from onnxplain.graph.shapes import read_declared_dims
from onnxplain.graph.writer import GraphWriter
from onnxplain.masks.enlarge import Enlargement

MASK, FILL = "mask", "fill"


@dataclass(frozen=True)
class CoarseMask:
    """A square of cells that removes parts of the image.

    Parameters
    ----------
    cells : int
        Number of cells per side.
    layout : {'nchw', 'nhwc'}
        Order of the image's axes.
    size : (rows, columns)
        Size of the image.
    """

    cells: int
    layout: Layout
    size: Size


def add_mask(graph: GraphProto, input: str, mask: CoarseMask, dtype: np.dtype[Any]) -> None:
    """Add the inputs `fill` and `mask` to a graph and compose its image with them.

    Parameters
    ----------
    graph : GraphProto
        Of opset 13 or later; changed in place.
    input : str
        Name of its image. The image and `fill`, which replaces removed pixels, have one row,
        or as many rows as `mask`.
    mask : CoarseMask
        Size of the input `mask`, (N, cells, cells) in [0, 1], where 1 removes.
    dtype : dtype
        Type of the graph's real numbers.
    """
    check_names_are_free(collect_tensor_names(graph), (MASK, FILL))
    writer = GraphWriter(graph, prefix=f"{MASK}/", at=0)
    rename_uses(graph.node, input, f"{writer.prefix}composed")
    _declare_inputs(writer, input, mask, dtype)
    enlarge = Enlargement.bilinear(mask.cells, mask.size)
    shape = [-1, 1, *mask.size] if mask.layout == "nchw" else [-1, *mask.size, 1]
    down = writer.store(enlarge.down.astype(dtype), "down")
    across = writer.store(enlarge.across.T.astype(dtype), "across")
    tall = writer.op("MatMul", down, MASK, name="tall")
    pixels = writer.op("MatMul", tall, across, name="pixels")
    spread = writer.op(
        "Reshape", pixels, writer.store(np.array(shape, np.int64), "shape"), name="spread"
    )
    delta = writer.op("Sub", FILL, input, name="delta")
    change = writer.op("Mul", spread, delta, name="change")
    writer.op("Add", input, change, name="composed")


def _declare_inputs(
    writer: GraphWriter, input: str, mask: CoarseMask, dtype: np.dtype[Any]
) -> None:
    """Declare the new inputs; the image may now have fewer rows than the batch."""
    graph = writer.graph
    image = next(value for value in graph.input if value.name == input)
    dims = read_declared_dims(image)
    assert dims  # an image has four
    rows = "N" if dims[0] is None else dims[0]
    image.type.tensor_type.shape.dim[0].dim_param = "images"
    fill = ValueInfoProto()
    fill.CopyFrom(image)
    fill.name = FILL
    graph.input.append(fill)
    writer.add_input(MASK, dtype, [rows, mask.cells, mask.cells])
