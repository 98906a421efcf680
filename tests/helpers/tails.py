"""Classifiers that end in other ways than a softmax, with what they answer worked out in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnxplain.describe.score_tail.head import read_tail
from onnxplain.describe.score_tail.values import Values
from tests.helpers import models
from tests.helpers.described import save_and_read

SIZE = (8, 8)
CLASSES = 9
# Large enough that the classes of the probe images differ, and their order too.
WEIGHTS = 20 * models.weights(SIZE, CLASSES)

node = helper.make_node
SOFTMAX = node("Softmax", ["logits"], ["p"], axis=1)
SECOND = [node("Neg", ["logits"], ["other"]), node("Softmax", ["other"], ["p2"], axis=1)]
EXP = node("Exp", ["logits"], ["e"])
SUM = node("ReduceSum", ["e", "ax"], ["s"], keepdims=1)

Array = NDArray[np.float64]


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    result: Array = e / e.sum(axis=1, keepdims=True)
    return result


def sigmoid(z: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-z))
    return result


def normalise_relu(z: Array) -> Array:
    positive = np.maximum(z, 0) + 0.01
    result: Array = positive / positive.sum(axis=1, keepdims=True)
    return result


def mean_with_negative(z: Array) -> Array:
    return (softmax(z) + softmax(-z)) / 2


@dataclass(frozen=True)
class Tail:
    """The nodes between `logits` and `scores`, and the probabilities that they make."""

    nodes: Sequence[NodeProto]
    compute: Callable[[Array], Array]
    tensors: dict[str, Any] = field(default_factory=dict)
    classes: int = CLASSES


def f32(value: float) -> NDArray[np.float32]:
    return np.asarray(value, np.float32)


def ends(*values: int) -> dict[str, NDArray[np.int64]]:
    return {name: np.array([v]) for name, v in zip(("from", "to", "ax"), values, strict=True)}


# The graph tells that these are probabilities.
KNOWN = {
    "softmax": Tail([node("Softmax", ["logits"], ["scores"], axis=-1)], softmax),
    "background left out": Tail(
        [SOFTMAX, node("Slice", ["p", "from", "to", "ax"], ["scores"])],
        lambda z: softmax(z)[:, 1:],
        ends(1, CLASSES, 1),
        CLASSES - 1,
    ),
    "other order": Tail(
        [SOFTMAX, node("Gather", ["p", "order"], ["scores"], axis=1)],
        lambda z: softmax(z)[:, ::-1],
        {"order": np.arange(CLASSES)[::-1].copy()},
    ),
    "mean of two heads": Tail(
        [
            SOFTMAX,
            *SECOND,
            node("Add", ["p", "p2"], ["sum"]),
            node("Mul", ["sum", "half"], ["scores"]),
        ],
        mean_with_negative,
        {"half": f32(0.5)},
    ),
    "Mean of two heads": Tail(
        [SOFTMAX, *SECOND, node("Mean", ["p", "p2"], ["scores"])], mean_with_negative
    ),
    "percent": Tail(
        [SOFTMAX, node("Mul", ["p", "hundred"], ["scores"])], softmax, {"hundred": f32(100)}
    ),
    "whole percents": Tail(
        [SOFTMAX, node("Mul", ["p", "hundred"], ["a"]), node("Round", ["a"], ["scores"])],
        lambda z: np.round(100 * softmax(z)) / 100,
        {"hundred": f32(100)},
    ),
    "sum of two heads": Tail(
        [SOFTMAX, *SECOND, node("Add", ["p", "p2"], ["scores"])], mean_with_negative
    ),
    "plus eps": Tail([SOFTMAX, node("Add", ["p", "eps"], ["scores"])], softmax, {"eps": f32(1e-8)}),
    "at least eps": Tail(
        [SOFTMAX, node("Max", ["p", "eps"], ["scores"])], softmax, {"eps": f32(1e-8)}
    ),
    "clipped": Tail(
        [SOFTMAX, node("Clip", ["p", "low", "high"], ["scores"])],
        softmax,
        {"low": f32(1e-8), "high": f32(1 - 1e-7)},
    ),
    "small ones to 0": Tail(
        [
            SOFTMAX,
            node("Less", ["p", "few"], ["is"]),
            node("Where", ["is", "no", "p"], ["scores"]),
        ],
        softmax,
        {"few": f32(1e-6), "no": f32(0)},
    ),
    "exp of log-softmax": Tail(
        [node("LogSoftmax", ["logits"], ["l"], axis=1), node("Exp", ["l"], ["scores"])], softmax
    ),
    "exp over its sum": Tail(
        [EXP, SUM, node("Div", ["e", "s"], ["scores"])], softmax, {"ax": np.array([1])}
    ),
    "exp times the reciprocal": Tail(
        [EXP, SUM, node("Reciprocal", ["s"], ["r"]), node("Mul", ["r", "e"], ["scores"])],
        softmax,
        {"ax": np.array([1])},
    ),
    "1 - p and p": Tail(
        [
            node("Sigmoid", ["logits"], ["all"]),
            node("Slice", ["all", "from", "to", "ax"], ["p"]),
            node("Sub", ["one", "p"], ["q"]),
            node("Concat", ["q", "p"], ["scores"], axis=1),
        ],
        lambda z: np.hstack([1 - sigmoid(z)[:, :1], sigmoid(z)[:, :1]]),
        {**ends(0, 1, 1), "one": f32(1)},
        2,
    ),
    "1 - p beside p": Tail(
        [
            node("Gather", ["logits", "which"], ["z"], axis=1),
            node("Sigmoid", ["z"], ["p"]),
            node("Sub", ["one", "p"], ["q"]),
            node("Unsqueeze", ["p", "ax"], ["p1"]),
            node("Unsqueeze", ["q", "ax"], ["q1"]),
            node("Concat", ["p1", "q1"], ["scores"], axis=1),
        ],
        lambda z: np.hstack([sigmoid(z)[:, :1], 1 - sigmoid(z)[:, :1]]),
        {"which": np.array(0), "ax": np.array([1]), "one": f32(1)},
        2,
    ),
    "cast to half and back": Tail(
        [
            SOFTMAX,
            node("Cast", ["p"], ["half"], to=TensorProto.FLOAT16),
            node("Cast", ["half"], ["scores"], to=TensorProto.FLOAT),
        ],
        softmax,
    ),
}

# The graph tells that these are probabilities of independent labels.
LABELS = {
    "sigmoids": Tail([node("Sigmoid", ["logits"], ["scores"])], sigmoid),
    "sigmoids by hand": Tail(
        [
            node("Neg", ["logits"], ["n"]),
            node("Exp", ["n"], ["e"]),
            node("Add", ["e", "one"], ["d"]),
            node("Div", ["one", "d"], ["scores"]),
        ],
        sigmoid,
        {"one": f32(1)},
    ),
    "mean of sigmoids": Tail(
        [
            node("Sigmoid", ["logits"], ["p"]),
            node("Mul", ["logits", "third"], ["n"]),
            node("Sigmoid", ["n"], ["p2"]),
            node("Mean", ["p", "p2"], ["scores"]),
        ],
        lambda z: (sigmoid(z) + sigmoid(z / 3)) / 2,
        {"third": f32(1 / 3)},
    ),
    "sigmoids in percent": Tail(
        [node("Sigmoid", ["logits"], ["p"]), node("Mul", ["p", "hundred"], ["scores"])],
        sigmoid,
        {"hundred": f32(100)},
    ),
    "sigmoids kept from 0": Tail(
        [node("Sigmoid", ["logits"], ["p"]), node("Max", ["p", "eps"], ["scores"])],
        sigmoid,
        {"eps": f32(1e-8)},
    ),
    "small sigmoids to 0": Tail(
        [
            node("Sigmoid", ["logits"], ["p"]),
            node("Less", ["p", "few"], ["is"]),
            node("Where", ["is", "no", "p"], ["scores"]),
        ],
        sigmoid,
        {"few": f32(1e-6), "no": f32(0)},
    ),
    "absence of labels": Tail(
        [node("Sigmoid", ["logits"], ["p"]), node("Sub", ["one", "p"], ["scores"])],
        lambda z: 1 - sigmoid(z),
        {"one": f32(1)},
    ),
    "some of the labels": Tail(
        [
            node("Sigmoid", ["logits"], ["p"]),
            node("Slice", ["p", "from", "to", "ax"], ["scores"]),
        ],
        lambda z: sigmoid(z)[:, 1:],
        ends(1, CLASSES, 1),
        CLASSES - 1,
    ),
    "a head for each label": Tail(
        [
            node("Split", ["logits", "parts"], ["z0", "z1", "z2"], axis=1),
            *(node("Sigmoid", [f"z{i}"], [f"p{i}"]) for i in range(3)),
            node("Concat", ["p0", "p1", "p2"], ["scores"], axis=1),
        ],
        sigmoid,
        {"parts": np.array([1, 1, CLASSES - 2])},
    ),
    "sigmoids in a column": Tail(
        [
            node("Reshape", ["logits", "maps"], ["tall"]),
            node("Sigmoid", ["tall"], ["p"]),
            node("Reshape", ["p", "rows"], ["scores"]),
        ],
        sigmoid,
        {"maps": np.array([-1, CLASSES, 1, 1]), "rows": np.array([-1, CLASSES])},
    ),
    "two labels": Tail(
        [
            node("Slice", ["logits", "from", "to", "ax"], ["two"]),
            node("Sigmoid", ["two"], ["scores"]),
        ],
        lambda z: sigmoid(z)[:, :2],
        ends(0, 2, 1),
        2,
    ),
}

# Only the answers tell it of these.
SEEN = {
    "stacked heads": Tail(
        [
            SOFTMAX,
            *SECOND,
            node("Unsqueeze", ["p", "first"], ["u"]),
            node("Unsqueeze", ["p2", "first"], ["u2"]),
            node("Concat", ["u", "u2"], ["both"], axis=0),
            node("ReduceMean", ["both"], ["scores"], axes=[0], keepdims=0),
        ],
        mean_with_negative,
        {"first": np.array([0])},
    ),
    "own normalisation": Tail(
        [
            node("Relu", ["logits"], ["r"]),
            node("Add", ["r", "little"], ["a"]),
            node("LpNormalization", ["a"], ["scores"], axis=1, p=1),
        ],
        normalise_relu,
        {"little": f32(0.01)},
    ),
}


def make_tailed(tail: Tail | Sequence[NodeProto], **tensors: Any) -> ModelProto:
    """Make a classifier of `WEIGHTS` whose logits go through a tail."""
    if not isinstance(tail, Tail):
        tail = Tail(tail, softmax, tensors)
    return models.model(
        [
            node("Flatten", ["image"], ["flat"]),
            node("Gemm", ["flat", "w"], ["logits"], transB=1),
            *tail.nodes,
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, *SIZE])},
        {"scores": (TensorProto.FLOAT, ["N", tail.classes])},
        {"w": WEIGHTS.transpose(0, 3, 1, 2).reshape(CLASSES, -1), **tail.tensors},
    )


def read_values(folder: Path, *nodes: NodeProto, **tensors: Any) -> Values | None:
    """Return what is known of `scores` that nodes make of `logits`."""
    model = save_and_read(make_tailed(nodes, **tensors), folder)
    return read_tail(model, "scores", CLASSES)


def compute_probabilities(tail: Tail, images: NDArray[np.float32]) -> Array:
    """Return the right probabilities of images (N, H, W, 3)."""
    return tail.compute(models.additive_scores(WEIGHTS, images))
