"""Resize is linear and works axis by axis: one matrix per axis, computed by Resize itself.

Resizing the rows of an identity matrix gives the matrix of one axis, whatever the mode and
the coordinate convention. The runtime computes it once, when it loads the model.
"""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

import numpy as np

from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule

KEPT = (
    "antialias",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "mode",
    "nearest_mode",
)


@first_output_rule
def resize(tape: Tape, node: Node, g: str) -> Grads:
    if node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise Refusal("it crops (tf_crop_and_resize)")
    if node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refusal("it keeps the image's proportions (keep_aspect_ratio_policy)")
    before, after = tape.shape(node.x), tape.shape(node.y)
    if before == after:  # then the runtime copies, whatever the scales are
        return [g]
    rank = len(before)
    for axis in range(rank):
        scale = _read_scale(tape, node, axis)
        # A scale near 1 may keep the size, and still moves every place.
        if before[axis] == after[axis] and scale in (None, 1):
            continue
        (size,), (new,) = tape.sizes(node.x, [axis]), tape.sizes(node.y, [axis])
        g = tape.contract(g, _write_matrix(tape, node, (size, new), scale), axis, rank)
    return [g]


def _write_matrix(tape: Tape, node: Node, sizes: tuple[int, int], scale: float | None) -> str:
    """Write the matrix (new, size) whose rows say how each new place mixes the old ones.

    A row of the identity is an image of its own, of one line, which is doubled: the runtime would
    copy images that keep their size.
    """
    size, new = sizes
    identity = tape.real(np.eye(size)[:, None, None])
    kept = {name: node.attributes[name] for name in KEPT if name in node.attributes}
    if scale is None:
        resized = tape.op("Resize", identity, "", "", tape.ints([size, 1, 2, new]), **kept)
    else:
        scales = tape.op("Cast", tape.real([1, 1, 2, scale]), to=1)  # always float32
        resized = tape.op("Resize", identity, "", scales, **kept)
    line = tape.slice(resized, [0], [1], [2])
    return tape.transpose(tape.reshape(line, [size, new]), [1, 0])


def _read_scale(tape: Tape, node: Node, axis: int) -> float | None:
    """Return the scale of an axis if the node has scales; None if it has sizes."""
    if not node.input(2) or tape.shape(node.input(2)) == (0,):
        return None
    scales = tape.constant(node.input(2))
    if scales is None:
        raise Refusal("its scales depend on the image")
    rank = len(tape.shape(node.x))
    axes = [own % rank for own in node.attributes.get("axes", [])]
    return float(scales[axes.index(axis) if axes else axis])


RULES: dict[str, Rule] = {"Resize": resize}
