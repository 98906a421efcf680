"""Tokens of transformers: which of them reach the scores, and what the last attention reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onnx import NodeProto

from onnxplain.core.data import Layer
from onnxplain.gradient.cuts import Region, find_inner_region
from onnxplain.gradient.stops import find_softmax
from onnxplain.graph.shapes import Dims, count_elements

PICKING = {"Gather", "Slice", "Split"}
FUSED = {"Attention", "MultiHeadAttention"}  # operators that hide their softmax


def drops_the_grid(
    uses: Iterable[NodeProto], tokens: Layer, dims: Mapping[str, Dims | None], batch: int
) -> bool:
    """Return whether all uses of some tokens take only a few, such as the class token."""
    rows, columns = tokens.grid
    for node in uses:
        count = count_elements(dims.get(node.output[0]))
        if node.op_type not in PICKING or count is None:
            return False
        if count >= batch * tokens.channels * rows * columns:
            return False
    return True


def find_last_norm(
    region: Region, cuts: Sequence[str], dims: Mapping[str, Dims | None]
) -> str | None:
    """Return the tokens that the last attention reads: the output of its block's normalisation.

    The input of that normalisation would do less well: if only the class token goes on, its
    other tokens count only relative to their own scale, and activation times gradient sums to
    zero at each of them.

    Parameters
    ----------
    region : Region
        From the image to the scores.
    cuts : sequence of str
        The cuts that are tokens, in order.
    dims : mapping
        The dimensions of every tensor.
    """
    attended = _find_last_attention(region)
    if attended is None:
        return None
    place = region.places[attended]
    sources = [name for name in cuts if region.places[name] < place]
    if not sources:
        return None
    inner = find_inner_region(region, sources[-1], attended)
    alike = [name for name in inner.cuts[:-1] if dims.get(name) == dims.get(sources[-1])]
    return alike[-1] if alike else None


def _find_last_attention(region: Region) -> str | None:
    """Return the product of the last attention's weights with its values."""
    for node in reversed(region.nodes):
        if node.op_type in FUSED:
            return str(node.output[0])
        is_product = node.op_type == "MatMul" and all(name in region.places for name in node.input)
        if is_product and any(find_softmax(region, name) is not None for name in node.input):
            return str(node.output[0])
    return None
