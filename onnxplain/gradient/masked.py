"""A coarse mask in front of a classifier, so that its score can be differentiated by the mask.

``x = image + m (fill - image)``, m being the cells of the mask enlarged bilinearly: what the
methods that optimise a mask compose on the host, here in the graph, in the model's own space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto, helper, numpy_helper

from onnxplain.core.data import Size
from onnxplain.core.spec import Layout
from onnxplain.gradient.refusal import check_free
from onnxplain.graph.names import collect_tensor_names, find_unused_prefix, rename_uses
from onnxplain.graph.shapes import read_declared_dims
from onnxplain.masks.enlarge import Enlargement

MASK, FILL = "mask", "fill"


@dataclass(frozen=True)
class CoarseMask:
    """A square of cells that removes parts of the image.

    Parameters
    ----------
    cells : int
        A side.
    layout : {'nchw', 'nhwc'}
        Order of the image's axes.
    size : (rows, columns)
        Of the image.
    """

    cells: int
    layout: Layout
    size: Size


def add_mask(graph: GraphProto, input: str, mask: CoarseMask, dtype: np.dtype[Any]) -> None:
    """Add the inputs `fill` and `mask` to a graph, and let it see what they make of its image.

    Parameters
    ----------
    graph : GraphProto
        Of opset 13 or later; changed in place.
    input : str
        Its image, of one row or as many as `mask`; `fill`, what stands in for it, likewise.
    mask : CoarseMask
        The input `mask` is (N, cells, cells) in [0, 1], where 1 removes.
    dtype : dtype
        Type of the graph's real numbers.
    """
    taken = collect_tensor_names(graph)
    check_free(taken, (MASK, FILL))
    prefix = find_unused_prefix(f"{MASK}/", taken)
    rename_uses(graph.node, input, f"{prefix}composed")
    _declare(graph, input, mask, dtype)
    enlarge = Enlargement.bilinear(mask.cells, mask.size)
    one = [-1, 1, *mask.size] if mask.layout == "nchw" else [-1, *mask.size, 1]
    constants = {
        "down": enlarge.down.astype(dtype),
        "across": enlarge.across.T.astype(dtype),
        "shape": np.array(one, np.int64),
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, f"{prefix}{name}"))
    steps = [
        ("MatMul", "down", MASK, "tall"),
        ("MatMul", "tall", "across", "pixels"),
        ("Reshape", "pixels", "shape", "spread"),
        ("Sub", FILL, input, "delta"),
        ("Mul", "spread", "delta", "change"),
        ("Add", input, "change", "composed"),
    ]
    outer = {MASK, FILL, input}
    nodes = [
        helper.make_node(
            operator,
            [name if name in outer else f"{prefix}{name}" for name in operands],
            [f"{prefix}{result}"],
            name=f"{prefix}{result}",
        )
        for operator, *operands, result in steps
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _declare(graph: GraphProto, input: str, mask: CoarseMask, dtype: np.dtype[Any]) -> None:
    """The new inputs; the image may now have fewer rows than the batch."""
    image = next(value for value in graph.input if value.name == input)
    dims = read_declared_dims(image)
    assert dims  # an image has four
    rows = "N" if dims[0] is None else dims[0]
    image.type.tensor_type.shape.dim[0].dim_param = "images"
    fill = type(image).FromString(image.SerializeToString())
    fill.name = FILL
    code = helper.np_dtype_to_tensor_dtype(dtype)
    cells = helper.make_tensor_value_info(MASK, code, [rows, mask.cells, mask.cells])
    graph.input.extend([fill, cells])
