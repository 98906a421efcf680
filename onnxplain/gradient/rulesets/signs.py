"""Which tensors are known to be 0 or more: such as behind a rectifier, whatever the image is."""

from __future__ import annotations

from onnxplain.gradient.tape import Tape

NEVER_NEGATIVE = {"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt"}
# They return values that they were given, or averages of them.
KEEPING = {
    *("AveragePool", "Cast", "Concat", "Dropout", "Flatten", "Gather", "GlobalAveragePool"),
    *("GlobalMaxPool", "Identity", "MaxPool", "Mean", "Pad", "ReduceMax", "ReduceMean"),
    *("ReduceSum", "Reshape", "Slice", "Split", "Squeeze", "Sum", "Transpose", "Unsqueeze"),
    *("Add", "Mul"),
}
PARAMETERS = {"Gather", "Pad", "ReduceMax", "ReduceMean", "ReduceSum", "Reshape", "Slice"}
PARAMETERS |= {"Split", "Squeeze", "Unsqueeze"}  # their other inputs are no values


def is_never_negative(tape: Tape, name: str) -> bool:
    """Return whether a forward tensor is known to hold nothing below 0."""
    value = tape.constant(name)
    if value is not None:
        return bool((value >= 0).all())
    node = tape.producer(name)
    if node is None:
        return False
    if node.operator in NEVER_NEGATIVE:
        return True
    if node.operator == "Clip":
        low = tape.constant(node.input(1)) if node.input(1) else None
        return (low is not None and bool((low >= 0).all())) or is_never_negative(tape, node.x)
    if node.operator not in KEEPING:
        return False
    values = node.inputs[:1] if node.operator in PARAMETERS else node.inputs
    return all(is_never_negative(tape, value) for value in values)
