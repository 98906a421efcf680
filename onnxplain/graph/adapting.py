"""Bring the interface of a classifier's graph to the usual one: images and scores with a batch.

What is changed computes the same: a switch of training becomes the constant that turns it off, an
image without a batch gets one of 1, scores without one get it too, and the scores that a ZipMap
turns into a dictionary are handed out as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnx import numpy_helper as arrays

from onnxplain.graph.load import ModelFile, load_weights, read_model
from onnxplain.graph.nodes import list_subgraphs
from onnxplain.graph.safety import check_safety
from onnxplain.graph.shapes import Shapes, list_fed_inputs, read_declared_dims

TRAINING_SWITCHES = ("learning_phase", "is_training", "training", "phase_train", "training_mode")
SWITCH_TYPES = (TensorProto.BOOL, TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT)
NUMBERS = (
    *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16),
    *(TensorProto.UINT8, TensorProto.INT8),
)
PREFIX = "onnxplain.interface/"
NAMES = "class_names"  # key of the metadata


def read_classifier(source: str | os.PathLike[str] | bytes) -> ModelFile:
    """Read a classifier as `read_model` does, and bring it to the usual interface."""
    return adapt_classifier(read_model(source))


def adapt_classifier(file: ModelFile) -> ModelFile:
    """Return a file with the usual interface, or the file itself if it has that already.

    Its hash stays that of the file. Weights in other files are loaded if anything is changed.
    """
    graph = file.proto.graph
    changes: list[Callable[[ModelProto], None]] = []
    zipped = {node.output[0]: node for node in graph.node if node.op_type == "ZipMap"}
    if any(value.name in zipped for value in graph.output):
        changes.append(_unzip)
    inputs = list_fed_inputs(graph)
    if len(inputs) > 1 and any(map(_is_switch, inputs)):
        changes.append(_turn_off_training)
    images = [value for value in inputs if not _is_switch(value)]
    if len(images) == 1 and _is_single_image(images[0]):
        changes.append(_add_batch_to_input)
    if _find_single_scores(file.proto, file.shapes) is not None:
        changes.append(lambda proto: _add_batch_to_scores(proto, file.shapes))
    if not changes:
        return file
    proto = ModelProto()
    proto.CopyFrom(load_weights(file))
    for change in changes:
        change(proto)
    shapes = check_safety(proto, file.path.name)
    return replace(file, proto=proto, external=False, shapes=shapes)


def _unzip(proto: ModelProto) -> None:
    """Hand out what goes into each ZipMap, under its name, and keep the names of the classes."""
    graph = proto.graph
    zipped = {node.output[0]: node for node in graph.node if node.op_type == "ZipMap"}
    for value in graph.output:
        node = zipped.get(value.name)
        if node is None:
            continue
        names = _read_class_names(node)
        if names and not any(entry.key == NAMES for entry in proto.metadata_props):
            proto.metadata_props.add(key=NAMES, value=json.dumps(names))
        value.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
        place = list(graph.node).index(node)
        del graph.node[place]
        graph.node.insert(place, helper.make_node("Identity", [node.input[0]], [value.name]))


def _read_class_names(node: NodeProto) -> list[str]:
    """Return the names that a ZipMap gives the classes, [] if they are their numbers."""
    for entry in node.attribute:
        if entry.strings:
            return [name.decode("utf-8", "replace") for name in entry.strings]
        if list(entry.ints) != list(range(len(entry.ints))):
            return list(map(str, entry.ints))
    return []


def _is_switch(value: ValueInfoProto) -> bool:
    """Whether an input is one number that says whether the model is being trained."""
    kind = value.type.tensor_type.elem_type
    dims = read_declared_dims(value)
    is_named = value.name.split(":")[0].split("/")[-1].lower().endswith(TRAINING_SWITCHES)
    return is_named and kind in SWITCH_TYPES and dims is not None and set(dims) <= {1}


def _turn_off_training(proto: ModelProto) -> None:
    """Store every switch of training as a constant of 0."""
    graph = proto.graph
    for value in filter(_is_switch, list_fed_inputs(graph)):
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        off = np.zeros([1] * len(read_declared_dims(value) or ()), kind)
        graph.initializer.append(arrays.from_array(off, value.name))
        graph.input.remove(value)


def _is_single_image(value: ValueInfoProto) -> bool:
    """Whether an input takes an image (C, H, W) or (H, W, C)."""
    dims = read_declared_dims(value)
    is_number = value.type.tensor_type.elem_type in NUMBERS
    return is_number and dims is not None and len(dims) == 3 and (3 in dims[::2] or 1 in dims[::2])


def _add_batch_to_input(proto: ModelProto) -> None:
    """Give the image a batch of 1, which the graph drops first."""
    graph = proto.graph
    (value,) = list_fed_inputs(graph)
    inner = PREFIX + value.name
    _rename(graph, value.name, inner)
    graph.node.insert(0, _make_axis_node(proto, "Squeeze", value.name, inner))
    dims = value.type.tensor_type.shape.dim
    dims.insert(0, helper.make_tensor_type_proto(1, [1]).tensor_type.shape.dim[0])


def _find_single_scores(proto: ModelProto, shapes: Shapes) -> ValueInfoProto | None:
    """Return the output that holds the scores (K,) of one image, if no other holds numbers."""
    numbers = [value for value in proto.graph.output if value.type.tensor_type.elem_type in NUMBERS]
    if len(numbers) != 1:
        return None
    dims = shapes.dims(numbers[0].name) or read_declared_dims(numbers[0])
    return numbers[0] if dims is not None and len(dims) == 1 and (dims[0] or 1) > 1 else None


def _add_batch_to_scores(proto: ModelProto, shapes: Shapes) -> None:
    """Give the scores (K,) of one image a batch of 1."""
    graph = proto.graph
    value = _find_single_scores(proto, shapes)
    assert value is not None
    inner = PREFIX + value.name
    _rename(graph, value.name, inner)
    for node in graph.node:
        node.output[:] = [inner if name == value.name else name for name in node.output]
    graph.node.append(_make_axis_node(proto, "Unsqueeze", inner, value.name))
    dims = shapes.dims(value.name) or read_declared_dims(value) or ()
    typed = helper.make_tensor_type_proto(value.type.tensor_type.elem_type, [1, *dims])
    value.type.CopyFrom(typed)


def _make_axis_node(proto: ModelProto, op: str, taken: str, made: str) -> NodeProto:
    """Make a Squeeze or Unsqueeze of the first axis."""
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    name = f"{PREFIX}{op.lower()}"
    if opset < 13:
        return helper.make_node(op, [taken], [made], name=name, axes=[0])
    axes = f"{name}/axes"
    proto.graph.initializer.append(arrays.from_array(np.array([0], np.int64), axes))
    return helper.make_node(op, [taken, axes], [made], name=name)


def _rename(graph: GraphProto, old: str, new: str) -> None:
    """Let all nodes, also in subgraphs, read a tensor by another name."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for _, inner in list_subgraphs(node):
            _rename(inner, old, new)
            for value in inner.output:
                value.name = new if value.name == old else value.name
