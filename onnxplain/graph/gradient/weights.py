"""A model with all its weights in one message."""

from __future__ import annotations

from onnx import ModelProto, external_data_helper

from onnxplain.errors import BY_SCORES
from onnxplain.graph.gradient.errors import GradientError
from onnxplain.graph.load import ModelFile

LIMIT = 2**31 - 1  # bytes of one protobuf message


def with_weights(file: ModelFile) -> ModelProto:
    """A copy of a model that was read, with what lies in external files.

    Raises
    ------
    GradientError
        If it does not fit into one message.
    """
    model = ModelProto()
    model.CopyFrom(file.proto)
    if file.external:
        external_data_helper.load_external_data_for_model(model, str(file.path.parent))
        for tensor in model.graph.initializer:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
    if model.ByteSize() > LIMIT:
        raise GradientError(
            f"{file.path.name}: holds more than 2 GiB, which one ONNX message cannot; {BY_SCORES}"
        )
    return model
