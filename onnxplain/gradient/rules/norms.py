"""Softmax and the normalisations, in closed form."""

# ruff: noqa: D103 (a rule is described by the operator it is named after)

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from onnxplain.gradient.node import Node
from onnxplain.gradient.refusal import Refusal
from onnxplain.gradient.rules.reduction import invert_norm
from onnxplain.gradient.tape import Grads, Rule, Tape, first_output_rule


@first_output_rule
def softmax(tape: Tape, node: Node, g: str) -> Grads:
    t = tape.mul(g, node.y)
    return [tape.sub(t, tape.mul(node.y, tape.sum(t, [node.attributes.get("axis", -1)])))]


@first_output_rule
def log_softmax(tape: Tape, node: Node, g: str) -> Grads:
    total = tape.sum(g, [node.attributes.get("axis", -1)])
    return [tape.sub(g, tape.mul(tape.op("Exp", node.y), total))]


def _average(tape: Tape, a: str, axes: Sequence[int], count: int) -> str:
    return tape.scale(tape.sum(a, axes), 1 / count)


def _invert_deviation(tape: Tape, variance: str, epsilon: float) -> str:
    """Write ``1 / sqrt(variance + epsilon)``."""
    return tape.op("Reciprocal", tape.op("Sqrt", tape.add(variance, tape.real(epsilon))))


def standardise_back(
    tape: Tape,
    x: str,
    g: str,
    axes: Sequence[int],
    count: int,
    epsilon: float,
    *,
    fixed: bool = False,
) -> str:
    """Write the gradient of `x` from the gradient `g` of ``xh = (x - mean) / sigma``.

    It is ``(g - mean(g) - xh mean(g xh)) / sigma``; means are over `axes`, which hold `count`
    values. With sigma held fixed it is ``(g - mean(g)) / sigma``.
    """
    centred = tape.sub(x, _average(tape, x, axes, count))
    variance = _average(tape, tape.mul(centred, centred), axes, count)
    inverse = _invert_deviation(tape, variance, epsilon)
    less = tape.sub(g, _average(tape, g, axes, count))
    if fixed:
        return tape.mul(less, inverse)
    xh = tape.mul(centred, inverse)
    along = tape.mul(xh, _average(tape, tape.mul(g, xh), axes, count))
    return tape.mul(tape.sub(less, along), inverse)


def _check_parameters(tape: Tape, node: Node, *, may_be_sources: bool = False) -> None:
    """Refuse a scale or bias that is computed from the image, or has no gradient here."""
    wanted = [name for name in node.inputs[1:] if name and tape.wants(name)]
    if wanted and not (may_be_sources and all(tape.producer(name) is None for name in wanted)):
        raise Refusal("its scale or bias depends on the image")


def _read_last_axes(tape: Tape, node: Node) -> tuple[list[int], int]:
    """Return the axes from the node's `axis` to the last, and the number of values on them."""
    rank = len(tape.shape(node.x))
    axes = list(range(node.attributes.get("axis", -1) % rank, rank))
    return axes, int(np.prod(tape.sizes(node.x, axes)))


def layer_normalization(tape: Tape, node: Node, g: str, *, fixed: bool = False) -> Grads:
    _check_parameters(tape, node, may_be_sources=True)
    axes, count = _read_last_axes(tape, node)
    scale, bias = node.inputs[1], node.input(2)
    epsilon = node.attributes.get("epsilon", 1e-5)
    grads: list[str | None] = [None, None, None]
    if tape.wants(node.x):
        scaled = tape.mul(g, scale)
        grads[0] = standardise_back(tape, node.x, scaled, axes, count, epsilon, fixed=fixed)
    if tape.wants(scale):
        centred = tape.sub(node.x, _average(tape, node.x, axes, count))
        variance = _average(tape, tape.mul(centred, centred), axes, count)
        xh = tape.mul(centred, _invert_deviation(tape, variance, epsilon))
        grads[1] = tape.unbroadcast(tape.mul(g, xh), tape.shape(node.y), scale)
    if bias and tape.wants(bias):
        grads[2] = tape.unbroadcast(g, tape.shape(node.y), bias)
    return grads


def rms_normalization(tape: Tape, node: Node, g: str, *, fixed: bool = False) -> Grads:
    """Differentiate as layer normalisation, without the mean."""
    _check_parameters(tape, node)
    axes, count = _read_last_axes(tape, node)
    square = _average(tape, tape.mul(node.x, node.x), axes, count)
    inverse = _invert_deviation(tape, square, node.attributes.get("epsilon", 1e-5))
    scaled = tape.mul(g, node.inputs[1])
    if fixed:
        return [tape.mul(scaled, inverse)]
    xh = tape.mul(node.x, inverse)
    along = tape.mul(xh, _average(tape, tape.mul(scaled, xh), axes, count))
    return [tape.mul(tape.sub(scaled, along), inverse)]


def _align_channels(tape: Tape, name: str, rank: int) -> str:
    """Make a vector of one value per channel broadcast over (N, C, ...)."""
    return tape.unsqueeze(name, range(1, rank - 1))


def instance_normalization(tape: Tape, node: Node, g: str, *, fixed: bool = False) -> Grads:
    _check_parameters(tape, node)
    rank = len(tape.shape(node.x))
    axes = list(range(2, rank))
    count = int(np.prod(tape.sizes(node.x, axes)))
    scaled = tape.mul(g, _align_channels(tape, node.inputs[1], rank))
    epsilon = node.attributes.get("epsilon", 1e-5)
    return [standardise_back(tape, node.x, scaled, axes, count, epsilon, fixed=fixed)]


def group_normalization(tape: Tape, node: Node, g: str, *, fixed: bool = False) -> Grads:
    """Work on (N, groups, rest); the scale is per channel, before opset 21 per group."""
    _check_parameters(tape, node)
    groups, rank = node.attributes["num_groups"], len(tape.shape(node.x))
    channels, *space = tape.sizes(node.x, range(1, rank))
    count = channels // groups * int(np.prod(space))
    scale = node.inputs[1]
    per_channel = tape.sizes(scale, [0]) == [channels]
    if per_channel:
        g = tape.mul(g, _align_channels(tape, scale, rank))
    x, g = (tape.reshape(name, [None, groups, count]) for name in (node.x, g))
    if not per_channel:
        g = tape.mul(g, tape.unsqueeze(scale, [1]))
    epsilon = node.attributes.get("epsilon", 1e-5)
    back = standardise_back(tape, x, g, [2], count, epsilon, fixed=fixed)
    return [tape.reshape_like(back, node.x)]


@first_output_rule
def batch_normalization(tape: Tape, node: Node, g: str) -> Grads:
    if node.attributes.get("training_mode", 0):
        raise Refusal("it is in training mode; export the model for inference")
    _check_parameters(tape, node, may_be_sources=True)
    scale, bias, mean, variance = node.inputs[1:5]
    if tape.wants(mean) or tape.wants(variance):
        raise Refusal("its mean or variance depends on the image")
    rank = len(tape.shape(node.x))
    inverse = _invert_deviation(tape, variance, node.attributes.get("epsilon", 1e-5))
    others = [0, *range(2, rank)]
    grads: list[str | None] = [None] * 5
    if tape.wants(node.x):
        factor = tape.mul(scale, inverse)
        grads[0] = tape.mul(g, _align_channels(tape, factor, rank))
    if tape.wants(scale):
        centred = tape.sub(node.x, _align_channels(tape, mean, rank))
        along = tape.sum(tape.mul(g, centred), others, keep=False)
        grads[1] = tape.mul(along, inverse)
    if tape.wants(bias):
        grads[2] = tape.sum(g, others, keep=False)
    return grads


@first_output_rule
def lrn(tape: Tape, node: Node, g: str) -> Grads:
    """Differentiate ``y = x S^-beta``, ``S = bias + alpha / size * (sum of near squares)``.

    The sum of the squares of near channels is a convolution of kernel 1 with a band of ones.
    """
    size, rank = node.attributes["size"], len(tape.shape(node.x))
    alpha, beta, bias = (
        node.attributes.get(key, value)
        for key, value in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    (channels,) = tape.sizes(node.x, [1])
    offsets = np.arange(channels) - np.arange(channels)[:, None]
    near = (offsets >= -((size - 1) // 2)) & (offsets <= size - 1 - (size - 1) // 2)
    kernel = (...,) + (None,) * (rank - 2)
    squares = tape.op("Conv", tape.mul(node.x, node.x), tape.real(near[kernel]))
    s = tape.add(tape.scale(squares, alpha / size), tape.real(bias))
    shared = tape.op("Conv", tape.div(tape.mul(g, node.y), s), tape.real(near.T[kernel]))
    own = tape.mul(g, tape.op("Pow", s, tape.real(-beta)))
    return [tape.sub(own, tape.scale(tape.mul(node.x, shared), 2 * alpha * beta / size))]


@first_output_rule
def lp_normalization(tape: Tape, node: Node, g: str) -> Grads:
    """Write ``(g - y sum(g y)) / ||x||`` for ``y = x / ||x||`` with the Euclidean norm."""
    if node.attributes.get("p", 2) != 2:
        raise Refusal("its norm is not the Euclidean one")
    axis = node.attributes.get("axis", -1)
    norm = tape.op("Sqrt", tape.sum(tape.mul(node.x, node.x), [axis]))
    along = tape.mul(node.y, tape.sum(tape.mul(g, node.y), [axis]))
    return [tape.mul(tape.sub(g, along), invert_norm(tape, norm))]


_BY_DEVIATION = {
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
}

RULES: dict[str, Rule] = {
    **{name: first_output_rule(rule) for name, rule in _BY_DEVIATION.items()},
    "BatchNormalization": batch_normalization,
    "LRN": lrn,
    "LogSoftmax": log_softmax,
    "LpNormalization": lp_normalization,
    "Softmax": softmax,
}

# With the deviation that they divide by held fixed.
FIXED_RULES: dict[str, Rule] = {
    name: first_output_rule(functools.partial(rule, fixed=True))
    for name, rule in _BY_DEVIATION.items()
}
