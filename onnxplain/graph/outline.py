"""What a graph takes, returns and is made of, whatever it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from onnx import ModelProto, TensorProto, ValueInfoProto

from onnxplain.graph.shapes import list_fed_inputs


class Port(NamedTuple):
    """An input or output: its name, element type and dimensions; open ones have their name."""

    name: str
    dtype: str
    dims: tuple[int | str, ...] | None


@dataclass(frozen=True)
class Outline:
    """The ports of a graph, how many nodes of each operator it has, and its opsets by domain."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: Mapping[str, int]
    opsets: Mapping[str, int]


def outline_graph(proto: ModelProto) -> Outline:
    """Read the outline of a model; the most frequent operators come first."""
    counts = Counter(node.op_type for node in proto.graph.node)
    return Outline(
        inputs=_list_ports(list_fed_inputs(proto.graph)),
        outputs=_list_ports(proto.graph.output),
        operators=dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))),
        opsets={entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
    )


def _list_ports(values: Iterable[ValueInfoProto]) -> tuple[Port, ...]:
    return tuple(map(_read_port, values))


def _read_port(value: ValueInfoProto) -> Port:
    if not value.type.HasField("tensor_type"):
        return Port(value.name, str(value.type.WhichOneof("value") or "unknown"), None)
    tensor = value.type.tensor_type
    dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
    if not tensor.HasField("shape"):
        return Port(value.name, dtype, None)
    dims: list[int | str] = [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in tensor.shape.dim
    ]
    return Port(value.name, dtype, tuple(dims))
