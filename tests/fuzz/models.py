"""ONNX files: damaged ones, and the same network written in another way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import onnxplain
from onnxplain.core.errors import OnnxplainError
from onnxplain.graph.stand_ins import STAND_INS
from onnxplain.subjects import classify
from tests.fuzz.mutations import TEXTS, WHOLE, check_refusal, mutate_bytes, pick
from tests.helpers import models, tails

Rng = np.random.Generator

# Two answers of these differ by right.
RANDOM = {
    *("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike"),
    *("RandomUniform", "RandomUniformLike"),
}
FLAGS: dict[str, Any] = {"range": (0, 1), "mean": (0,), "std": (1,), "device": "cpu"}


@cache
def make_bases() -> tuple[bytes, ...]:
    """Make small classifiers of many operators, serialised."""
    w = models.weights((8, 8))
    protos = [
        models.convnet((8, 8)),
        models.additive(w),
        models.additive(w, layout="nhwc", head="probabilities", batch=1, flatten="one-row"),
        models.additive(w, head="sigmoid", flatten="minus-one"),
        models.quantised(w),
        models.max_of_regions((8, 8)),
        models.lying_batch((8, 8)),
        *(tails.make_tailed(tail) for tail in list(tails.KNOWN.values())[::4]),
    ]
    return tuple(proto.SerializeToString() for proto in protos)


def try_case(rng: Rng, folder: Path) -> str:
    proto = ModelProto.FromString(pick(rng, make_bases()))
    if rng.random() < 0.25:
        return _try_other_writing(rng, folder, proto)
    changed = proto.SerializeToString()
    if rng.random() < 0.8:
        for _ in range(int(rng.integers(1, 4))):
            damage(rng, proto)
        changed = _serialise(proto) or changed
    else:
        changed = mutate_bytes(rng, changed)
    path = folder / "model.onnx"
    path.write_bytes(changed)
    return check_answers(rng, path)


def check_answers(rng: Rng, path: Path) -> str:
    """Load a classifier; its probabilities are finite, and scores of an image are its own."""
    try:
        classifier = onnxplain.load(path, batch_size=pick(rng, (1, 1, 2, 3)), **FLAGS)
        images = rng.random((3, *classifier.size, 3)).astype(np.float32)
        scores = classifier.scores(images)
        again = [classifier.scores(images[i : i + 1])[0] for i in range(3)]
        probabilities = classify(classifier, images[0])
    except OnnxplainError as error:  # of one classifier, these say enough
        return check_refusal(error, path.name, "output '", "the classifier returned")
    assert scores.shape[0] == 3
    assert probabilities.min() >= 0
    assert probabilities.max() <= 1
    np.testing.assert_allclose(scores, again, rtol=1e-3, atol=1e-5)
    return "right"


def _serialise(proto: ModelProto) -> bytes | None:
    try:
        return bytes(proto.SerializeToString())
    except ValueError:
        return None


def _try_other_writing(rng: Rng, folder: Path, proto: ModelProto) -> str:
    """Write the same network in another way; it has the same answers, or the same refusal."""
    plain = folder / "plain.onnx"
    plain.write_bytes(proto.SerializeToString())
    for _ in range(int(rng.integers(1, 4))):
        pick(rng, HARMLESS)(rng, proto)
    path = folder / "other.onnx"
    path.write_bytes(proto.SerializeToString())
    size = pick(rng, (1, 2))
    wanted, got = _score(plain, size), _score(path, size)
    if isinstance(wanted, str):
        assert isinstance(got, str), f"refused, but not the other: {wanted}"
        return "refused"
    assert not isinstance(got, str), f"refused, but not the plain one: {got}"
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    return "right"


def _score(path: Path, batch_size: int) -> NDArray[Any] | str:
    try:
        classifier = onnxplain.load(path, batch_size=batch_size, **FLAGS)
        images = np.random.default_rng(0).random((2, *classifier.size, 3)).astype(np.float32)
        return np.asarray(classifier.scores(images))
    except OnnxplainError as error:
        check_refusal(error, path.name)
        return str(error)


# Changes that are no changes.


def rename(rng: Rng, proto: ModelProto) -> None:
    graph = proto.graph
    names = {name for node in graph.node for name in node.output if name}
    names -= {value.name for value in graph.output}
    new = {name: f"t{i}" for i, name in enumerate(sorted(names))}
    for node in graph.node:
        node.name = f"node {rng.integers(2**30)}"
        for names_of in (node.input, node.output):
            for i, name in enumerate(names_of):
                names_of[i] = new.get(name, name)
    del graph.value_info[:]


def shuffle_stored(rng: Rng, proto: ModelProto) -> None:
    tensors = list(proto.graph.initializer)
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(tensors[i] for i in rng.permutation(len(tensors)))


def shuffle_nodes(rng: Rng, proto: ModelProto) -> None:
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes[i] for i in rng.permutation(len(nodes)))


def add_metadata(rng: Rng, proto: ModelProto) -> None:
    helper.set_model_props(proto, {"note": "x" * int(rng.integers(100)), "author": "me"})
    proto.doc_string = proto.graph.doc_string = "a classifier"
    proto.producer_name = "fuzz"


def add_unused(rng: Rng, proto: ModelProto) -> None:
    unused = rng.normal(size=rng.integers(1, 9, 3))
    name = f"unused {rng.integers(2**30)}"
    proto.graph.initializer.append(numpy_helper.from_array(unused, name))


def unpack(rng: Rng, proto: ModelProto) -> None:
    for stored in proto.graph.initializer:
        if stored.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(stored)
            stored.CopyFrom(
                helper.make_tensor(stored.name, TensorProto.FLOAT, values.shape, values.ravel())
            )


def add_identity(rng: Rng, proto: ModelProto) -> None:
    graph = proto.graph
    places = [
        (n, i) for n, node in enumerate(graph.node) for i, name in enumerate(node.input) if name
    ]
    n, i = pick(rng, places)
    name = f"same {rng.integers(2**30)}"
    identity = helper.make_node("Identity", [graph.node[n].input[i]], [name])
    graph.node[n].input[i] = name
    graph.node.insert(n, identity)


def list_weights_as_inputs(rng: Rng, proto: ModelProto) -> None:
    known = {value.name for value in proto.graph.input}
    proto.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in proto.graph.initializer
        if tensor.name not in known
    )


HARMLESS: list[Callable[[Rng, ModelProto], None]] = [
    rename,
    shuffle_stored,
    shuffle_nodes,
    add_metadata,
    add_unused,
    unpack,
    add_identity,
    list_weights_as_inputs,
]


# Changes that may be anything.


def damage(rng: Rng, proto: ModelProto) -> None:
    """Change one field of a model."""
    graph = proto.graph
    node = pick(rng, graph.node) if graph.node else NodeProto()
    match int(rng.integers(13)):
        case 0 if node.attribute:
            _change_attribute(rng, pick(rng, node.attribute))
        case 1:
            names = {schema.name for schema in onnx.defs.get_all_schemas()} - RANDOM
            node.op_type = pick(rng, (*sorted(names), "Nothing", ""))
        case 2 if node.input:
            node.input[int(rng.integers(len(node.input)))] = pick(rng, _list_names(proto))
        case 3 if node.output:
            node.output[int(rng.integers(len(node.output)))] = pick(rng, _list_names(proto))
        case 4 if graph.initializer:
            _change_tensor(rng, pick(rng, graph.initializer))
        case 5:
            _change_value(rng, pick(rng, [*graph.input, *graph.output]))
        case 6 if len(graph.node):
            del graph.node[int(rng.integers(len(graph.node)))]
        case 7:
            key = pick(rng, ("names", "classes", "onnxplain.spec", "Image.NominalPixelRange", "x"))
            helper.set_model_props(proto, {key: _drop_surrogates(pick(rng, TEXTS))})
        case 8 if proto.opset_import:
            pick(rng, proto.opset_import).version = int(
                pick(rng, (1, 6, 9, 11, 13, 18, 21, 24, 99))
            )
        case 9:
            proto.ir_version = int(pick(rng, (0, 1, 3, 8, 13, 2**31)))
        case 10:
            _insert_node(rng, proto)
        case 11:
            node.domain = pick(rng, ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "my.own"))
            proto.opset_import.append(helper.make_opsetid(node.domain, 1))
            if node.domain == "com.microsoft" and rng.random() < 0.7:
                node.op_type = pick(rng, STAND_INS)
        case _:
            graph.output.append(graph.output[0] if graph.output else onnx.ValueInfoProto())
            graph.output[-1].name = pick(rng, _list_names(proto))


def _drop_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _list_names(proto: ModelProto) -> list[str]:
    graph = proto.graph
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    return [*names, *(tensor.name for tensor in graph.initializer), "", "nowhere"]


def _change_attribute(rng: Rng, attribute: onnx.AttributeProto) -> None:
    match int(rng.integers(5)):
        case 0:
            attribute.name = pick(rng, ("axis", "axes", "kernel_shape", "pads", "strides", "x"))
        case 1:
            attribute.i = int(pick(rng, WHOLE[:-2]))
        case 2 if attribute.ints:
            attribute.ints[int(rng.integers(len(attribute.ints)))] = int(pick(rng, WHOLE[:-2]))
        case 3:
            attribute.f = float(pick(rng, (0.0, -1.0, float("nan"), float("inf"), 1e30)))
        case _:
            attribute.type = int(pick(rng, (0, 1, 2, 3, 4, 6, 7)))


def _change_tensor(rng: Rng, tensor: TensorProto) -> None:
    match int(rng.integers(6)):
        case 0:
            tensor.data_type = int(rng.integers(0, 30))
        case 1 if tensor.dims:
            tensor.dims[int(rng.integers(len(tensor.dims)))] = int(pick(rng, WHOLE[:-2]))
        case 2:
            tensor.raw_data = mutate_bytes(rng, tensor.raw_data)
        case 3:
            values = _read(tensor).astype(np.int64)
            if values.size:
                values.flat[int(rng.integers(values.size))] = pick(rng, WHOLE[:-2])
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        case 4:
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=_drop_surrogates(pick(rng, TEXTS)))
        case _:
            values = _read(tensor)
            if values.dtype.kind == "f":
                odd = pick(rng, (np.nan, np.inf, 0.0, 1e30, -1e30))
                values = np.where(rng.random(values.shape) < 0.5, odd, values).astype(values.dtype)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _read(tensor: TensorProto) -> NDArray[Any]:
    """Return a tensor's values, or one number if they do not fit its declaration any more."""
    try:
        return np.array(numpy_helper.to_array(tensor))
    except Exception:
        return np.zeros(1, np.float32)


def _change_value(rng: Rng, value: onnx.ValueInfoProto) -> None:
    dims = value.type.tensor_type.shape.dim
    match int(rng.integers(5)):
        case 0:
            value.type.tensor_type.elem_type = int(rng.integers(0, 30))
        case 1 if dims:
            pick(rng, dims).dim_value = int(pick(rng, (0, 1, 3, 7, 64, 100_000, 2**31, -1)))
        case 2 if dims:
            pick(rng, dims).dim_param = "N"
        case 3:
            value.name = _drop_surrogates(pick(rng, TEXTS))
        case _:
            value.type.tensor_type.ClearField("shape")


def _insert_node(rng: Rng, proto: ModelProto) -> None:
    """Insert a node of any operator behind a tensor, with odd constants as its other inputs."""
    graph = proto.graph
    schemas = onnx.defs.get_all_schemas_with_history()
    schema = pick(rng, [one for one in schemas if not one.domain and one.name not in RANDOM])
    if not graph.node:
        return
    at = int(rng.integers(len(graph.node)))
    if not graph.node[at].input:
        return
    inputs = [graph.node[at].input[0]]
    for i in range(int(rng.integers(min(schema.max_input, 5) + 1)) - 1):
        values = rng.choice(np.array(WHOLE[:-3]), int(rng.integers(1, 5)))
        name = f"odd {i} {rng.integers(2**30)}"
        graph.initializer.append(numpy_helper.from_array(values.astype(np.int64), name))
        inputs.append(name)
    outputs = [f"made {rng.integers(2**30)}" for _ in range(max(schema.min_output, 1))]
    node = helper.make_node(schema.name, inputs, outputs)
    for name, kind in schema.attributes.items():
        if rng.random() < 0.5:
            whole = [int(pick(rng, WHOLE[:-3])) for _ in range(int(rng.integers(1, 5)))]
            if kind.type == onnx.defs.OpSchema.AttrType.INT:
                node.attribute.append(helper.make_attribute(name, whole[0]))
            elif kind.type == onnx.defs.OpSchema.AttrType.INTS:
                node.attribute.append(helper.make_attribute(name, whole))
    graph.node[at].input[0] = outputs[0]
    graph.node.insert(at, node)
