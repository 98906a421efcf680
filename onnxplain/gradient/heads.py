"""The score that is differentiated: one number a row, from the model's output and a target.

=============  ==========================================  =============================
score          model gives logits z                        model gives probabilities p
=============  ==========================================  =============================
probability    ``softmax(z)_t``                            ``p_t``
logit          ``z_t``                                     ``log p_t``
log-odds       ``z_t - logsumexp(z_others)``               ``log p_t - log(1 - p_t)``
=============  ==========================================  =============================

These are the scores of `onnxplain.core.scores`. A softmax or sigmoid that ends the model, but for
nodes that shape its result anew, is looked through, so that its logits give the last two
columns without loss where p is near 0 or 1; other probabilities are kept within 1e-7 and
1 - 1e-7, and have no gradient beyond.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.data import ScoreKind
from onnxplain.core.scores import SMALLEST_PROBABILITY
from onnxplain.core.spec import Head
from onnxplain.gradient.facts import attributes
from onnxplain.gradient.prepare import opset
from onnxplain.graph.names import collect_tensor_names, find_unused_prefix

TARGET, SCORE = "target", "target_score"
SHAPING = {"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze"}
FAR = 1e30  # taken off the target's logit, it leaves the others alone in a logsumexp


def add_head(
    model: onnx.ModelProto, output: str, *, kind: ScoreKind, head: Head, dtype: np.dtype[Any]
) -> None:
    """Add the input `target` (N,) of int64 and the output `target_score` (N,) to a model.

    Parameters
    ----------
    model : ModelProto
        Changed in place; keeps no other outputs than `output`.
    output : str
        Its scores (N, K), with or without axes of length 1 behind, or (N,).
    kind : {'probability', 'logit', 'log-odds'}
        Which score.
    head : {'logits', 'probabilities', 'sigmoid', 'logit'}
        What `output` holds.
    dtype : dtype
        Type of the output.
    """
    graph = model.graph
    writer = _Writer(model, dtype)
    end = _end(model, output, head)
    if head in ("logits", "logit"):
        z = _logits(writer, output, head)
        score = _from_logits(writer, z, kind)
    elif end is not None:
        z = _logits(writer, end.input[0], head)
        if kind == "logit":
            z = writer("LogSoftmax", z, axis=1)
        score = _from_logits(writer, z, kind)
    else:
        p = writer("Flatten", output, axis=1)
        if head == "sigmoid":
            p = writer("Concat", writer("Sub", writer.real(1), p), p, axis=1)
        score = _from_probabilities(writer, p, kind)
    graph.node.append(helper.make_node("Identity", [score], [SCORE]))
    graph.input.append(helper.make_tensor_value_info(TARGET, TensorProto.INT64, ["N"]))
    kept = [value for value in graph.output if value.name == output]
    del graph.output[:]
    code = helper.np_dtype_to_tensor_dtype(dtype)
    graph.output.extend([*kept, helper.make_tensor_value_info(SCORE, code, ["N"])])


def _end(model: onnx.ModelProto, output: str, head: Head) -> onnx.NodeProto | None:
    """The softmax over the classes or the sigmoid that makes the probabilities, if one does.

    Nodes that only shape its result anew are looked through, where what they are given is
    known to hold a row of the classes for each image already.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    node, shaped = makers.get(output), False
    while node is not None and node.op_type in SHAPING:
        shaped = shaped or node.op_type != "Identity"
        node = makers.get(node.input[0])
    if node is None or node.op_type != ("Sigmoid" if head == "sigmoid" else "Softmax"):
        return None
    axis = attributes(node).get("axis", -1) if node.op_type == "Softmax" else 1
    if not shaped:
        return node if axis in (1, -1) else None
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        value.name: [one.dim_value for one in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    classes = math.prod(sizes.get(output, [0])[1:])
    inner = sizes.get(node.output[0], [0])
    if classes < 1 or math.prod(inner[1:]) != classes or len(inner) < 2:
        return None
    over_all = node.op_type == "Sigmoid" or (axis % len(inner) and inner[axis] == classes)
    return node if over_all else None


def _logits(writer: _Writer, z: str, head: Head) -> str:
    """A row of logits an image; a single one stands beside 0, of which both differ as it says."""
    z = writer("Flatten", z, axis=1)
    if head not in ("sigmoid", "logit"):
        return z
    return writer("Concat", writer("Mul", z, writer.real(0)), z, axis=1)


def _from_logits(writer: _Writer, z: str, kind: ScoreKind) -> str:
    if kind == "probability":
        return writer.target(writer("Softmax", z, axis=1))
    if kind == "logit":
        return writer.target(z)
    far = writer("Mul", writer.one_hot(z), writer.real(FAR))
    others = writer("Sub", z, far)
    return writer("Sub", writer.target(z), writer.log_sum_exp(others))


def _from_probabilities(writer: _Writer, p: str, kind: ScoreKind) -> str:
    score = writer.target(p)
    if kind == "probability":
        return score
    score = writer(
        "Clip", score, writer.real(SMALLEST_PROBABILITY), writer.real(1 - SMALLEST_PROBABILITY)
    )
    log = writer("Log", score)
    if kind == "logit":
        return log
    return writer("Sub", log, writer("Log", writer("Sub", writer.real(1), score)))


class _Writer:
    """Appends nodes to a model; a call writes one of one output and names it."""

    def __init__(self, model: onnx.ModelProto, dtype: np.dtype[Any]) -> None:
        self._graph = model.graph
        self._opset = opset(model)
        self._dtype = dtype
        self._prefix = find_unused_prefix("head/", collect_tensor_names(model.graph))

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{self._prefix}{kind}_{len(self._graph.node)}"
        self._graph.node.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _store(self, value: NDArray[Any]) -> str:
        name = f"{self._prefix}constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def real(self, value: float) -> str:
        """A real number."""
        return self._store(np.array(value, self._dtype))

    def ints(self, value: int | list[int]) -> str:
        """Whole numbers."""
        return self._store(np.array(value, np.int64))

    def one_hot(self, scores: str) -> str:
        """1 at each row's target, else 0; shape of the scores (N, K)."""
        classes = self("Gather", self("Shape", scores), self.ints(1))
        values = self._store(np.array([0, 1], self._dtype))
        return self("OneHot", TARGET, classes, values)

    def target(self, scores: str) -> str:
        """The target's entry of each row."""
        chosen = self("Mul", scores, self.one_hot(scores))
        return self("ReduceSum", chosen, self.ints([1]), keepdims=0)

    def log_sum_exp(self, a: str) -> str:
        """Over each row; the axes became an input in opset 18."""
        if self._opset < 18:
            return self("ReduceLogSumExp", a, axes=[1], keepdims=0)
        return self("ReduceLogSumExp", a, self.ints([1]), keepdims=0)
