"""The inputs and outputs of a classifier file, as one value with the source of every field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from onnxplain.core.data import Bytes3, Centre, Fit, Interpolation, Outputs, Preprocessing, Size

Layout: TypeAlias = Literal["nchw", "nhwc"]
ChannelOrder: TypeAlias = Literal["rgb", "bgr", "grey"]
DType: TypeAlias = Literal["float32", "float16", "float64", "uint8", "int8"]
Head: TypeAlias = Literal[
    "softmax",
    "logits",
    "probabilities",
    "sigmoid",
    "multilabel-logits",
    "multilabel-probabilities",
    "logit",
    "probability",
]
# What the scores (N, K) of a settled head are: one number becomes two, of two classes.
OUTPUTS: Mapping[Head, Outputs] = {
    "logits": "logits",
    "logit": "logits",
    "probabilities": "probabilities",
    "probability": "probabilities",
    "multilabel-logits": "multilabel-logits",
    "multilabel-probabilities": "multilabel-probabilities",
}


@dataclass(frozen=True)
class ModelSpec:
    """How to feed a classifier and how to read its output.

    A pixel p in [0, 1] enters the graph as ``(low + p * (high - low) - mean) / std``.

    Parameters
    ----------
    input, output : str
        Names of the graph's image input and of its score output.
    layout : {'nchw', 'nhwc'}
        Order of the input's axes.
    colour : {'rgb', 'bgr', 'grey'}
        The channels and their order; grey is ``.299 R + .587 G + .114 B``.
    dtype : {'float32', 'float16', 'float64', 'uint8', 'int8'}
        Element type of the input; integers are rounded and clipped.
    range : (low, high)
        The values that p = 0 and p = 1 get before `mean` and `std` are applied.
    mean, std : tuple of float
        In units of `range`, one per channel in the model's channel order.
    size : (rows, columns)
        Size of the input.
    fit, resize, interpolation, border, centre
        How a photo is brought to that size: fields of `onnxplain.core.data.Preprocessing`.
    head : str
        What the output holds. ``logits`` and ``probabilities`` are those of classes that exclude
        each other; ``multilabel-logits`` and ``multilabel-probabilities`` those of independent
        labels, each of which has a sigmoid of its own; ``logit`` and ``probability`` are one
        number, which belongs to the second of two classes. ``softmax`` and ``sigmoid`` say of
        what kind the scores are, and not whether they come before or after that function; a
        classifier is only opened once this is settled.
    output_scale : (scale, zero_point)
        An output q means ``scale * (q - zero_point)``: of a quantised one, or of percentages.
    class_names : tuple of str
        A name for every class, in the order of the scores.
    allow_random : bool
        Whether a model is taken that answers the same image differently each time.
    sources : mapping of str
        Where the value of each field came from.
    """

    input: str
    output: str
    layout: Layout
    colour: ChannelOrder
    dtype: DType
    range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: Size
    fit: Fit
    resize: Size | None
    interpolation: Interpolation
    border: Bytes3
    centre: Centre
    head: Head
    output_scale: tuple[float, float]
    class_names: tuple[str, ...]
    allow_random: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Number of colour channels of the input."""
        return 1 if self.colour == "grey" else 3

    @property
    def preprocessing(self) -> Preprocessing:
        """How a photo is brought to the size of the input."""
        return Preprocessing(self.fit, self.resize, self.interpolation, self.border, self.centre)

    def describe(self) -> dict[str, Any]:
        """Return everything that decides the scores of a photo, and the sources of the values.

        Class names are left out, as scores do not depend on them.
        """
        # Not by `asdict`, which would first copy thousands of class names.
        names = (one.name for one in fields(self) if one.name != "class_names")
        facts = {name: getattr(self, name) for name in names}
        return {**facts, "sources": dict(self.sources)}
