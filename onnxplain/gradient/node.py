"""Nodes of the forward graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from onnxplain.graph.nodes import read_attributes


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the forward graph.

    Parameters
    ----------
    operator : str
        Such as ``'Conv'``, or ``'domain::Name'`` outside the standard domain.
    name : str
        The node's own name, or that of its first output.
    inputs, outputs : tuple of str
        Names of tensors; empty where an optional one is left out.
    attributes : mapping
        Attributes by name, text as `str`; defaults are not filled in.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def x(self) -> str:
        """The first input."""
        return self.inputs[0]

    @property
    def y(self) -> str:
        """The first output."""
        return self.outputs[0]

    def input(self, index: int) -> str:
        """Return the name of an input, empty if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


def read_node(node: onnx.NodeProto) -> Node:
    """Return a node of a model as rules see it."""
    operator = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
    name = node.name or next(filter(None, node.output))
    return Node(operator, name, tuple(node.input), tuple(node.output), read_attributes(node))
