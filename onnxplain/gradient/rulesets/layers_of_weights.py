"""Layers of weights, y = W a + b, that rules apply forwards and backwards with other weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnxplain.gradient.cuts import Region
from onnxplain.gradient.node import Node, read_node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.rules.convolution import transpose_conv, transpose_conv_transpose
from onnxplain.gradient.tape import Tape

CONVOLUTIONS = {"Conv", "ConvTranspose"}
PRODUCTS = {"Gemm", "MatMul"}


@dataclass(frozen=True, eq=False)
class Weights:
    """A layer of weights on a tape.

    Parameters
    ----------
    tape : Tape
        Where it is written.
    node : Node
        Conv, ConvTranspose, Gemm or MatMul, of the image's values and stored weights.
    place : int
        Which of its inputs the weights are: 1, or 0 of a MatMul.
    bias : str
        The tensor that is added; empty if there is none.
    y : str
        The tensor that the layer makes, with its bias.
    """

    tape: Tape
    node: Node
    place: int
    bias: str
    y: str

    @property
    def x(self) -> str:
        """What the weights are applied to."""
        return self.node.inputs[1 - self.place]

    @property
    def weight(self) -> str:
        """The weights."""
        return self.node.inputs[self.place]

    def apply(self, a: str, weight: str, bias: str = "") -> str:
        """Write ``W a + b`` with other weights of the same shape."""
        tape, node = self.tape, self.node
        if node.operator == "MatMul":
            operands = (a, weight) if self.place == 1 else (weight, a)
            product = tape.op("MatMul", *operands)
            return tape.add(product, bias) if bias else product
        attributes = dict(node.attributes)
        if node.operator == "Gemm" and (attributes.get("transA") or attributes.get("alpha", 1) < 0):
            raise Refusal("it transposes its first factor, or has a negative alpha")
        if node.operator == "Gemm" and attributes.get("beta", 1) < 0:
            raise Refusal("it has a negative beta")
        return tape.op(node.operator, a, weight, *([bias] if bias else []), **attributes)

    def back(self, c: str, weight: str) -> str:
        """Write ``W' c``, the adjoint of `apply` without its bias."""
        tape, node = self.tape, self.node
        if node.operator == "Conv":
            return transpose_conv(tape, node, c, weight)
        if node.operator == "ConvTranspose":
            return transpose_conv_transpose(tape, node, c, weight)
        if node.operator == "Gemm":
            flip, alpha = node.attributes.get("transB", 0), node.attributes.get("alpha", 1.0)
            return tape.op("Gemm", c, weight, transA=0, transB=1 - flip, alpha=alpha)
        turned = tape.transpose(weight, [1, 0])
        return tape.op("MatMul", *((c, turned) if self.place == 1 else (turned, c)))


@dataclass(frozen=True, eq=False)
class WeightsFinder:
    """Finds the layers of weights of a graph, with a bias that is added by a node of its own.

    Parameters
    ----------
    region : Region
        The graph between the image and the score.
    """

    region: Region

    def find(self) -> Mapping[str, Node]:
        """Return the nodes of all layers of weights, in order, by the tensor that they make."""
        nodes = map(read_node, self.region.nodes)
        return {node.y: node for node in nodes if self._find_place(node) is not None}

    def read(self, tape: Tape, node: Node) -> Weights:
        """Read one of them."""
        place = self._find_place(node)
        assert place is not None
        if node.operator == "MatMul" and len(tape.shape(node.inputs[place])) != 2:
            raise Refusal("its weights are no matrix")
        adding = self.find_added(node)
        if adding is None:
            bias = node.input(2) if node.operator != "MatMul" else ""
            return Weights(tape, node, place, bias, node.y)
        (added,) = (name for name in adding.inputs if name != node.y)
        return Weights(tape, node, place, added, adding.y)

    def find_added(self, node: Node) -> Node | None:
        """Return the node that adds a bias to the product of a MatMul, if there is one."""
        readers = self.region.consumers.get(node.y, [])
        if node.operator != "MatMul" or len(readers) != 1 or readers[0].op_type != "Add":
            return None
        others = [name for name in readers[0].input if name != node.y]
        is_constant = len(others) == 1 and others[0] not in self.region.places
        return read_node(readers[0]) if is_constant else None

    def _find_place(self, node: Node) -> int | None:
        """Return which input the weights are; None of other nodes."""
        if node.operator not in CONVOLUTIONS | PRODUCTS:
            return None
        first, second = (name in self.region.places for name in node.inputs[:2])
        if first == second or (second and node.operator != "MatMul"):
            return None
        return 1 if first else 0
