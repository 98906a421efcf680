"""Several graphs with the weights that they share stored once, in a file of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto, TensorProto
from onnx import numpy_helper as arrays

SMALL = 1024  # bytes; smaller tensors stay in their graph, which runtimes may want to read
ALIGNMENT = 64
KINDS = (
    *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE),
    *(TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64),
)


@dataclass(frozen=True)
class SharedWeights:
    """Graphs whose weights lie in one file.

    Parameters
    ----------
    graphs : tuple of bytes
        Contents of ONNX files with external data.
    weights : bytes
        What the external data is: the content of the file of that name.
    """

    graphs: tuple[bytes, ...]
    weights: bytes


def share_weights(models: Sequence[bytes], location: str = "weights") -> SharedWeights:
    """Move the weights of models into one file, equal ones once.

    Parameters
    ----------
    models : sequence of bytes
        Contents of ONNX files that hold all their weights.
    location : str
        Name of the file that the graphs refer to.
    """
    parts: list[bytes] = []
    places: dict[bytes, int] = {}
    length = 0
    graphs = []
    for content in models:
        model = ModelProto.FromString(content)
        for tensor in model.graph.initializer:
            if tensor.data_type not in KINDS:
                continue
            data = arrays.to_array(tensor).tobytes()
            if len(data) < SMALL:
                continue
            digest = hashlib.sha256(data).digest()
            if digest not in places:
                places[digest] = length
                padding = -len(data) % ALIGNMENT
                parts += [data, bytes(padding)]
                length += len(data) + padding
            _refer(tensor, location, places[digest], len(data))
        graphs.append(model.SerializeToString())
    return SharedWeights(tuple(graphs), b"".join(parts))


def _refer(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    """Replace the data of a tensor by the place where it lies."""
    for field in ("raw_data", "float_data", "double_data", "int32_data", "int64_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
