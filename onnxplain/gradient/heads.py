"""The score that is differentiated: one number per row, from the model's output and a target.

=============  ==========================================  =============================
score          model gives logits z                        model gives probabilities p
=============  ==========================================  =============================
probability    ``softmax(z)_t``                            ``p_t``
logit          ``z_t``                                     ``log p_t``
log-odds       ``z_t - logsumexp(z_others)``               ``log p_t - log(1 - p_t)``
raw            ``z_t``                                     ``z_t``, in front of the softmax
contrast       ``z_t`` less that of similar classes        the same, in front of the softmax
=============  ==========================================  =============================

and of independent labels

=============  ==========================================  =============================
probability    ``sigmoid(z_t)``                            ``p_t``
logit          ``z_t``                                     ``log p_t - log(1 - p_t)``
log-odds       ``z_t``                                     ``log p_t - log(1 - p_t)``
=============  ==========================================  =============================

These are the scores of `onnxplain.core.scores`. If the model ends in a softmax or sigmoid,
apart from nodes that only reshape or store its result, the last column is computed from the logits
before it, without loss where p is near 0 or 1. Other probabilities are clipped to
[1e-7, 1 - 1e-7] for logit and log-odds, and have no gradient outside; raw and contrast are
refused for them. A single logit z, or sigmoid, has the raw scores -z and z.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx

from onnxplain.core.data import ScoreKind
from onnxplain.core.scores import NO_CONTRAST, RAW, RIVALS, SMALLEST_PROBABILITY, is_multilabel
from onnxplain.core.spec import OUTPUTS, Head
from onnxplain.gradient.prepare import read_opset
from onnxplain.gradient.refusal import GradientError
from onnxplain.graph.nodes import find_producers, read_attributes
from onnxplain.graph.writer import GraphWriter, find_element_type

TARGET, SCORE = "target", "target_score"
SHAPING = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}
STORING = {"Cast", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear"}
FAR = 1e30  # subtracted from the target's logit, so that only the others count in a logsumexp


def add_head(
    model: onnx.ModelProto,
    output: str,
    *,
    kind: ScoreKind,
    head: Head,
    scale: tuple[float, float] = (1.0, 0.0),
    dtype: np.dtype[Any],
) -> None:
    """Add the input `target` (N,) of int64 and the output `target_score` (N,) to a model.

    Parameters
    ----------
    model : ModelProto
        Changed in place; of its outputs it keeps only `output`.
    output : str
        Name of its scores: (N, K), perhaps with further axes of length 1 at the end, or (N,).
    kind : {'probability', 'logit', 'log-odds', 'raw', 'contrast'}
        The score.
    head : str
        What `output` holds, as ``head`` of `onnxplain.core.spec.ModelSpec`.
    scale : (scale, zero_point)
        As ``output_scale`` of `onnxplain.core.spec.ModelSpec`.
    dtype : dtype
        Type of the output.

    Raises
    ------
    GradientError
        If the score is one of the logits, and the model computes none.
    """
    graph = model.graph
    writer = _HeadWriter(model, dtype)
    end, scores = _find_end(model, output, head), output
    if scale != (1.0, 0.0):
        less = writer.op("Sub", output, writer.real(scale[1]))
        scores = writer.op("Mul", less, writer.real(scale[0]))
    outputs = OUTPUTS[head]
    multilabel = is_multilabel(outputs)
    if kind in RAW:
        score = _score_raw(writer, find_logits(model, output, head) or scores, head, kind)
    elif outputs in ("logits", "multilabel-logits"):
        z = _write_logits(writer, scores, head)
        score = _score_logits(writer, z, kind, multilabel=multilabel)
    elif end is not None:
        z = _write_logits(writer, end.input[0], head)
        if kind == "logit" and not multilabel:
            z = writer.op("LogSoftmax", z, axis=1)
        score = _score_logits(writer, z, kind, multilabel=multilabel)
    else:
        p = writer.op("Flatten", scores, axis=1)
        if head == "probability":
            p = writer.op("Concat", writer.op("Sub", writer.real(1), p), p, axis=1)
        score = _score_probabilities(writer, p, kind, multilabel=multilabel)
    kept = [value for value in graph.output if value.name == output]
    del graph.output[:]
    graph.output.extend(kept)
    writer.base.add_input(TARGET, np.int64, ["N"])
    writer.base.add_output(SCORE, dtype, ["N"], source=score)


def _find_end(model: onnx.ModelProto, output: str, head: Head) -> onnx.NodeProto | None:
    """Return the softmax over the classes, or the sigmoid, that a model ends in, if any.

    Nodes that only reshape its result, or store it in another type, may follow it, if that
    result is known to hold one row of classes per image.
    """
    makers = find_producers(model.graph)
    node, is_shaped = makers.get(output), False
    while node is not None and node.op_type in SHAPING | STORING:
        is_shaped = is_shaped or node.op_type in SHAPING
        node = makers.get(node.input[0])
    wanted = "Sigmoid" if head in ("probability", "multilabel-probabilities") else "Softmax"
    if node is None or node.op_type != wanted:
        return None
    axis = read_attributes(node).get("axis", -1) if node.op_type == "Softmax" else 1
    if not is_shaped:
        return node if axis in (1, -1) else None
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    classes = math.prod(sizes.get(output, [0])[1:])
    inner = sizes.get(node.output[0], [0])
    if classes < 1 or math.prod(inner[1:]) != classes or len(inner) < 2:
        return None
    is_over_all = node.op_type == "Sigmoid" or (axis % len(inner) and inner[axis] == classes)
    return node if is_over_all else None


def find_logits(model: onnx.ModelProto, output: str, head: Head) -> str | None:
    """Return the tensor in front of the final softmax or sigmoid; None if `output` has the logits.

    Raises
    ------
    GradientError
        If the model returns probabilities of another origin.
    """
    if OUTPUTS[head] in ("logits", "multilabel-logits"):
        return None
    end = _find_end(model, output, head)
    if end is None:
        makers = {name: node.op_type for node in model.graph.node for name in node.output}
        raise GradientError(
            f"the scores 'raw' and 'contrast' are of the logits in front of a final softmax or "
            f"sigmoid, and the output {output!r} comes from {makers.get(output, 'no node')}; "
            f"choose the score logit, log-odds or probability"
        )
    return str(end.input[0])


def _score_raw(writer: _HeadWriter, z: str, head: Head, kind: ScoreKind) -> str:
    if kind == "contrast" and is_multilabel(OUTPUTS[head]):
        raise GradientError(NO_CONTRAST)
    z = writer.op("Flatten", z, axis=1)
    if head in ("probability", "logit"):
        z = writer.op("Concat", writer.op("Neg", z), z, axis=1)
    own = writer.pick_target(z)
    return own if kind == "raw" else writer.op("Sub", own, writer.average_rivals(z))


def _write_logits(writer: _HeadWriter, z: str, head: Head) -> str:
    """Write one row of logits per image.

    A single logit gets a 0 before it: the difference of the two is that logit.
    """
    z = writer.op("Flatten", z, axis=1)
    if head not in ("probability", "logit"):
        return z
    return writer.op("Concat", writer.op("Mul", z, writer.real(0)), z, axis=1)


def _score_logits(writer: _HeadWriter, z: str, kind: ScoreKind, *, multilabel: bool) -> str:
    if multilabel:
        score = writer.pick_target(z)
        return writer.op("Sigmoid", score) if kind == "probability" else score
    if kind == "probability":
        return writer.pick_target(writer.op("Softmax", z, axis=1))
    if kind == "logit":
        return writer.pick_target(z)
    far = writer.op("Mul", writer.one_hot(z), writer.real(FAR))
    others = writer.op("Sub", z, far)
    return writer.op("Sub", writer.pick_target(z), writer.log_sum_exp(others))


def _score_probabilities(writer: _HeadWriter, p: str, kind: ScoreKind, *, multilabel: bool) -> str:
    score = writer.pick_target(p)
    if kind == "probability":
        return score
    score = writer.op(
        "Clip", score, writer.real(SMALLEST_PROBABILITY), writer.real(1 - SMALLEST_PROBABILITY)
    )
    log = writer.op("Log", score)
    if kind == "logit" and not multilabel:
        return log
    return writer.op("Sub", log, writer.op("Log", writer.op("Sub", writer.real(1), score)))


class _HeadWriter:
    """Write the nodes of a head at the end of a model."""

    def __init__(self, model: onnx.ModelProto, dtype: np.dtype[Any]) -> None:
        # Folding merges equal constants, and keeps the name of the later one.
        self.base = GraphWriter(model.graph, prefix="head/", share=False)
        self.op = self.base.op
        self._opset = read_opset(model)
        self._dtype = dtype

    def real(self, value: float) -> str:
        """Store a real number."""
        return self.base.store(np.array(value, self._dtype))

    def ints(self, value: int | list[int]) -> str:
        """Store whole numbers."""
        return self.base.store(np.array(value, np.int64))

    def one_hot(self, scores: str) -> str:
        """Write 1 at each row's target, else 0, in the shape of the scores (N, K)."""
        classes = self.op("Gather", self.op("Shape", scores), self.ints(1))
        values = self.base.store(np.array([0, 1], np.float32))
        hot = self.op("OneHot", TARGET, classes, values)
        if self._dtype == np.float32:
            return hot
        # ONNX Runtime has no OneHot of float64.
        return self.op("Cast", hot, to=find_element_type(self._dtype))

    def pick_target(self, scores: str) -> str:
        """Write the target's entry of each row."""
        chosen = self.op("Mul", scores, self.one_hot(scores))
        return self.op("ReduceSum", chosen, self.ints([1]), keepdims=0)

    def log_sum_exp(self, a: str) -> str:
        """Write the log-sum-exp of each row; its axes became an input in opset 18."""
        if self._opset < 18:
            return self.op("ReduceLogSumExp", a, axes=[1], keepdims=0)
        return self.op("ReduceLogSumExp", a, self.ints([1]), keepdims=0)

    def average_rivals(self, z: str) -> str:
        """Write the mean logit of the classes nearest to the target, weighted by probability.

        No gradient passes the choice of the classes.
        """
        one_hot = self.one_hot(z)
        own = self.op("ReduceSum", self.op("Mul", z, one_hot), self.ints([1]), keepdims=1)
        distance = self.op("Abs", self.op("Sub", z, own))
        apart = self.op("Add", distance, self.op("Mul", one_hot, self.real(FAR)))
        width = self.op("Sub", self.op("Gather", self.op("Shape", z), self.ints([1])), self.ints(1))
        count = self.op("Min", width, self.ints(RIVALS))
        _, nearest = self.base.ops("TopK", [apart, count], 2, axis=1, largest=0)
        classes = self.op("Gather", self.op("Shape", z), self.ints(1))
        values = self.base.store(np.array([0, 1], self._dtype))
        chosen = self.op("OneHot", nearest, classes, values, axis=1)  # (N, K, rivals)
        is_rival = self.op("ReduceSum", chosen, self.ints([2]), keepdims=0)
        p = self.op("Mul", self.op("Softmax", z, axis=1), is_rival)
        total = self.op("ReduceSum", p, self.ints([1]), keepdims=0)
        return self.op(
            "Div", self.op("ReduceSum", self.op("Mul", p, z), self.ints([1]), keepdims=0), total
        )
