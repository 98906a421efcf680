"""At which tensors the state of a backward walk is relevance, and at which relevance per unit.

Relevance per unit of a tensor's value says nothing where the value is 0. So the state is the
relevance itself at the image, at what normalises or only rearranges it, and above layers whose
rule gives some to inputs that are 0, up to the layer of weights before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from onnxplain.gradient.cuts import Region

# With constants: they normalise the image, and each pixel keeps its relevance.
NORMALISING = {"Add", "Div", "Mul", "Sub"}
ARRANGING = {
    *("Cast", "Concat", "DepthToSpace", "Dropout", "Flatten", "Gather", "Identity", "Pad"),
    *("Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze"),
}
RECTIFYING = {"Clip", "LeakyRelu", "PRelu", "Relu"}
CHOOSING = {"MaxPool"}


@dataclass(frozen=True, eq=False)
class Forms:
    """The tensors whose state is relevance itself.

    Parameters
    ----------
    front : set of str
        The image, and what only normalises or rearranges it.
    direct : set of str
        These, and others above rules that return relevance.
    """

    front: frozenset[str]
    direct: frozenset[str]


def find_forms(region: Region, returning: Collection[str]) -> Forms:
    """Find them.

    Parameters
    ----------
    region : Region
        The graph between the image and the score.
    returning : collection of str
        What is read by the layers whose rule returns relevance.
    """
    front = find_front(region)
    direct = set(front)
    for tensor in returning:
        while tensor not in direct:
            direct.add(tensor)
            node = region.producers[tensor]
            inputs = [name for name in node.input if name in region.places]
            if node.op_type not in ARRANGING | RECTIFYING | CHOOSING or len(inputs) != 1:
                break
            (tensor,) = inputs
    return Forms(front, frozenset(direct))


def find_front(region: Region) -> frozenset[str]:
    """Find the image, and what only normalises or rearranges it."""
    front = {region.source}
    for node in region.nodes:
        inputs = [name for name in node.input if name in region.places]
        is_one = len(inputs) == 1 and node.op_type in NORMALISING
        if set(inputs) <= front and (is_one or node.op_type in ARRANGING):
            front.update(filter(None, node.output))
    return frozenset(front)
