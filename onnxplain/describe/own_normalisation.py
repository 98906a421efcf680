"""Whether a graph normalises pixels itself, and a spec would normalise them a second time.

Keras puts ``Rescaling`` and ``Normalization`` into EfficientNet, ConvNeXt and MobileNetV3, and
other exporters put mean and std in front of the network. The first operators then are additions,
multiplications and batch normalisations by constants. Where these bring plain pixels (0 to 255,
or 0 to 1) to a usual form, but what a spec gives them to an unusual one, the spec is doubtful.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from onnxplain.core.spec import ModelSpec
from onnxplain.graph.load import ModelFile
from onnxplain.graph.nodes import read_attributes

PLAIN = {"bytes": (0.0, 255.0), "unit": (0.0, 1.0)}  # presets that only set the range
# Spans of usual forms: 0 to 1 and with mean and std (9 in Keras' EfficientNet), or 0 to 255.
USUAL_SPANS = ((0.9, 12.0), (200.0, 300.0))
# Photos are nearly the same if they span less than this, or lie so many of their spans off 0.
FLAT = 1 / 16
FAR = 10


class _Step(NamedTuple):
    """``scale * x + offset`` per channel, with the axis of the channels behind it."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    axis: int


class Doubt(NamedTuple):
    """Why a spec seems to normalise twice, whether that is certain, and the preset that fits."""

    reason: str
    certain: bool
    preset: str


def find_doubt(model: ModelFile, spec: ModelSpec) -> Doubt | None:
    """Return why pixels as a spec gives them do not suit the graph's own normalisation.

    Returns
    -------
    doubt : Doubt or None
        It is certain if all photos are nearly the same behind the graph's first operators.
        None if all is well, or the graph does not normalise in a usual way.
    """
    own = None if spec.dtype == "uint8" else _read_own(model, spec)
    if own is None:
        return None
    fitting = [name for name, plain in PLAIN.items() if _is_usual(*_apply(own, *plain))]
    mean, std = np.array(spec.mean), np.array(spec.std)
    low, high = ((value - mean) / std for value in spec.range)
    inner_low, inner_high = _apply(own, low, high)
    if not fitting or _is_usual(inner_low, inner_high):
        return None
    plain_low, plain_high = PLAIN[fitting[0]]
    reason = (
        f"the graph's first operators normalise pixels of {plain_low:g} to {plain_high:g} "
        f"themselves; given {_describe(low, high)}, they pass on "
        f"{_describe(inner_low, inner_high)}"
    )
    span = (inner_high - inner_low).max()
    nearest = np.minimum(abs(inner_low), abs(inner_high)).min()
    return Doubt(reason, bool(span < FLAT or nearest > FAR * span), fitting[0])


def _apply(own: _Step, low: Any, high: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest value of each channel behind the step."""
    ends = own.scale * low + own.offset, own.scale * high + own.offset
    return np.minimum(*ends), np.maximum(*ends)


def _is_usual(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    """Return whether values span as usual, and as far above 0 as below, or farther."""
    span = (high - low).max()
    spans = any(shortest <= span <= longest for shortest, longest in USUAL_SPANS)
    return spans and bool((-low <= 1.1 * high + 0.1).all())


def _describe(low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    return f"{low.min():.3g} to {high.max():.3g}"


def _read_own(model: ModelFile, spec: ModelSpec) -> _Step | None:
    """Return what the first operators do to the pixels together; None if they do nothing."""
    step = _Step(np.ones(spec.channels), np.zeros(spec.channels), 1 if spec.layout == "nchw" else 3)
    tensor, computes = spec.input, False
    outputs = {value.name for value in model.proto.graph.output}
    while tensor not in outputs:
        readers = [node for node in model.proto.graph.node if tensor in node.input]
        following = _follow(model, readers[0], tensor, step) if len(readers) == 1 else None
        if following is None:
            break
        computes |= readers[0].op_type not in ("Cast", "Identity", "Transpose")
        tensor, step = readers[0].output[0], following
    return step if computes else None


def _follow(model: ModelFile, node: NodeProto, tensor: str, step: _Step) -> _Step | None:
    """Return the step with one more node; None if the node is no such operator."""
    attributes = read_attributes(node)
    if node.op_type in ("Cast", "Identity"):
        return step
    if node.op_type == "Transpose":
        perm = attributes.get("perm", [3, 2, 1, 0])
        return step._replace(axis=list(perm).index(step.axis))
    if node.op_type == "BatchNormalization" and step.axis == 1:
        return _follow_batch_norm(model, node, attributes, step)
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    first = node.input[0] == tensor
    constant = model.shapes.values.get(node.input[1 if first else 0])
    value = None if constant is None else _spread(constant, step)
    if value is None or (node.op_type == "Div" and not (first and value.all())):
        return None
    if node.op_type in ("Mul", "Div"):
        factor = value if node.op_type == "Mul" else 1 / value
        return step._replace(scale=step.scale * factor, offset=step.offset * factor)
    if node.op_type == "Add":
        return step._replace(offset=step.offset + value)
    sign = 1 if first else -1
    return step._replace(scale=sign * step.scale, offset=sign * (step.offset - value))


def _follow_batch_norm(
    model: ModelFile, node: NodeProto, attributes: dict[str, Any], step: _Step
) -> _Step | None:
    values = [model.shapes.values.get(name) for name in node.input[1:5]]
    if attributes.get("training_mode"):
        return None
    gain, bias, mean, variance = (
        None if value is None or value.shape != step.scale.shape else value.astype(np.float64)
        for value in values
    )
    if gain is None or bias is None or mean is None or variance is None or variance.min() < 0:
        return None
    factor = gain / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return step._replace(scale=step.scale * factor, offset=(step.offset - mean) * factor + bias)


def _spread(constant: NDArray[Any], step: _Step) -> NDArray[np.float64] | None:
    """Return a constant per channel; None if it differs along another axis."""
    shape = (1,) * (4 - constant.ndim) + constant.shape
    if len(shape) != 4 or any(n != 1 for axis, n in enumerate(shape) if axis != step.axis):
        return None
    if shape[step.axis] not in (1, len(step.scale)):
        return None
    spread: NDArray[np.float64] = np.broadcast_to(
        constant.reshape(-1).astype(np.float64), step.scale.shape
    )
    return spread
