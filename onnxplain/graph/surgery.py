"""Change a graph for sanity checks: subtract a shift from its input, randomise its weights.

References
----------
.. [1] Kindermans, Hooker et al., The (un)reliability of saliency methods, 2019,
   :doi:`10.1007/978-3-030-28954-6_14`
.. [2] Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, sec. 4.1,
   :arXiv:`1810.03292`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxplain.core.data import make_rng
from onnxplain.core.errors import ModelError
from onnxplain.graph.names import rename_uses
from onnxplain.graph.nodes import find_producers, walk_nodes
from onnxplain.graph.shapes import Dims, read_declared_dims
from onnxplain.graph.writer import GraphWriter

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)

# Operators with weights, and which of their inputs may be weights or a bias.
WEIGHT_INPUTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvInteger": (1,),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (0, 3),
}
# Operators that may stand between a stored tensor and the operator that uses it as weights.
BETWEEN = ("Cast", "DequantizeLinear", "Identity", "Reshape", "Transpose")


def prepend_subtraction(
    model: ModelProto, shift: ArrayLike, *, input: str | None = None
) -> ModelProto:
    """Return the model that first subtracts `shift` from its input: f2(x + shift) = f1(x).

    The subtraction comes before everything else, so padding and missing biases do not
    matter; editing the first layer's bias, as [1]_ does, is exact only without padding.
    Input and output keep their names and shapes.

    Parameters
    ----------
    model : ModelProto
        Not changed.
    shift : float or ndarray
        In the units of the graph's input: a number, a value per channel as (3, 1, 1) for NCHW,
        or an image. ``x + shift - shift`` is x to the last bit only if nothing is rounded,
        as for multiples of 1/256 and pixels of such values.
    input : str, optional
        Name of the graph's input; its first one if not given.

    Raises
    ------
    ModelError
        If there is no such input, it does not hold floating-point numbers, or the model's
        operator set is older than 7, whose Sub does not broadcast.
    ValueError
        If the shift does not have the shape of the input or one that broadcasts to it.
    """
    changed = ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    opset = next(
        (entry.version for entry in changed.opset_import if entry.domain in ("", "ai.onnx")), 0
    )
    if opset < 7:
        raise ModelError(f"the model uses operator set {opset}; convert it to 7 or later")
    stored = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in stored}
    name = input or next(iter(inputs), "")
    if name not in inputs:
        raise ModelError(f"the model has no input {name!r}; it has {', '.join(inputs) or 'none'}")
    tensor_type = inputs[name].type.tensor_type
    if tensor_type.elem_type not in FLOATS:
        element_type = TensorProto.DataType.Name(tensor_type.elem_type)
        raise ModelError(
            f"input {name!r} holds {element_type}; a shift needs floating-point numbers"
        )
    values = np.asarray(shift, helper.tensor_dtype_to_np_dtype(tensor_type.elem_type))
    _check_shift(values.shape, read_declared_dims(inputs[name]) or ())
    writer = GraphWriter(graph, at=0)
    constant = writer.store(values, f"{name}_shift")
    shifted = writer.find_name(f"{name}_unshifted")
    rename_uses(graph.node, name, shifted)
    writer.op("Sub", name, constant, out=shifted)
    return changed


@dataclass(frozen=True)
class Layer:
    """A node with weights: its name (its output's if it has none) and its stored tensors."""

    name: str
    tensors: tuple[str, ...]


def list_weight_layers(model: ModelProto) -> tuple[Layer, ...]:
    """List the layers with weights, in the order in which they run.

    These are convolutions and matrix products, also quantised ones, with the biases that they
    take themselves. Normalisation that is not folded into them is not a layer, nor is a
    product of two activations.
    """
    stored, producers = _find_stored(model.graph), find_producers(model.graph)
    layers = []
    for node in model.graph.node:
        places = (place for place in WEIGHT_INPUTS.get(node.op_type, ()) if place < len(node.input))
        origins = [_find_origin(node.input[place], stored, producers) for place in places]
        tensors = tuple(dict.fromkeys(name for name in origins if name is not None))
        if any(len(stored[name].dims) >= 2 for name in tensors):
            layers.append(Layer(node.name or node.output[0], tensors))
    return tuple(layers)


def randomise_layers(model: ModelProto, n_layers: int, *, seed: int = 0) -> ModelProto:
    """Return the model with layers randomised from the last one backwards [2]_.

    The values of each weight tensor are put in random order, which keeps their
    distribution and so the scale of the activations; [2]_ draws them anew.

    Parameters
    ----------
    model : ModelProto
        With its weights loaded; not changed.
    n_layers : int
        Number of layers, from 0 to ``len(list_weight_layers(model))``.
    seed : int
        With a tensor's name it decides the order of its values: a layer is randomised in the
        same way whatever the number of layers.

    Raises
    ------
    ValueError
        If the model has fewer layers.
    ModelError
        If its weights lie in external files that were not loaded.
    """
    layers = list_weight_layers(model)
    if not 0 <= n_layers <= len(layers):
        raise ValueError(f"n_layers must be from 0 to {len(layers)}, got {n_layers}")
    last_layers = layers[len(layers) - n_layers :]
    chosen = {name for layer in last_layers for name in layer.tensors}
    changed = ModelProto()
    changed.CopyFrom(model)
    for name, tensor in _find_stored(changed.graph).items():
        if name in chosen:
            if tensor.data_location == TensorProto.EXTERNAL:
                raise ModelError(f"tensor {name!r} lies in another file; load the model with it")
            values = numpy_helper.to_array(tensor)
            order = make_rng(seed, name).permutation(values.size)
            shuffled = values.reshape(-1)[order].reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(shuffled, tensor.name))
    return changed


def _check_shift(shape: tuple[int, ...], dims: Dims) -> None:
    """Raise an error unless a shift has the input's shape or one that broadcasts to it."""
    fits = len(shape) <= len(dims) and all(
        side in (1, dim) or dim is None
        for side, dim in zip(reversed(shape), reversed(dims), strict=False)
    )
    if not fits:
        raise ValueError(
            f"a shift of shape {shape} does not fit an input of shape {dims}; give a number or an "
            f"array that broadcasts to the input"
        )


def _find_stored(graph: GraphProto) -> dict[str, TensorProto]:
    """Return the tensors that a graph holds, initialisers and constants, by their names."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = node.attribute[0].t
    return stored


def _find_origin(
    name: str, stored: Mapping[str, TensorProto], producers: Mapping[str, NodeProto]
) -> str | None:
    """Return the stored tensor that a value is made of, if it is made of one alone."""
    while name not in stored:
        node = producers.get(name)
        if node is None or node.op_type not in BETWEEN:
            return None
        name = node.input[0]
    return name


def drop_unused_domains(model: ModelProto) -> None:
    """Drop the imports of operator sets that no node uses, in place.

    ONNX Runtime writes all sets that it knows into a file, and stricter readers refuse those that
    they do not know.
    """
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    used = {node.domain for nodes in bodies for node in walk_nodes(nodes)}
    used |= {"", "ai.onnx"} if used & {"", "ai.onnx"} else set()
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
