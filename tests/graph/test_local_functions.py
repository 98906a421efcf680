"""Local functions are put in place, so that the operators inside them are checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from onnxplain.core.errors import ModelError
from onnxplain.graph.load import read_model
from onnxplain.graph.local_functions import inline_functions
from tests.helpers import models

node = helper.make_node


def make_calling_model(call: NodeProto, domain: str) -> ModelProto:
    """Make a classifier whose scores are those of a call from `mean` to `scores`."""
    proto = models.model(
        [node("ReduceMean", ["image"], ["mean"], keepdims=0, axes=[2, 3]), call],
        {"image": (TensorProto.FLOAT, ["N", 3, 8, 8])},
        {"scores": (TensorProto.FLOAT, ["N", 3])},
        check=False,
    )
    proto.opset_import.append(helper.make_opsetid(domain, 1))
    return proto


def make_call(name: str, start: str, end: str) -> NodeProto:
    return node(name, [start], [end], domain="mine")


def make_function_model(bodies: dict[str, Sequence[NodeProto]], name: str) -> ModelProto:
    """Make a model that calls one of several local functions from `a` to `b`."""
    proto = make_calling_model(make_call(name, "mean", "scores"), "mine")
    for function, nodes in bodies.items():
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
        proto.functions.append(
            helper.make_function("mine", function, ["a"], ["b"], list(nodes), imports)
        )
    return proto


def make_big_function_model(power: int) -> ModelProto:
    """Make a model whose function expands an intermediate result to 2**power rows."""
    shape = numpy_helper.from_array(np.array([2**power, 1, 3]))
    body = [
        node("Constant", [], ["shape"], value=shape),
        node("Expand", ["a", "shape"], ["big"]),
        node("ReduceMax", ["big"], ["b"], axes=[0], keepdims=0),
    ]
    return make_function_model({"F": body}, "F")


def check_refused(proto: ModelProto, tmp_path: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        read_model(models.save(proto, tmp_path / "bomb.onnx"))
    assert str(caught.value).startswith("bomb.onnx: ")


def check_accepted(proto: ModelProto, tmp_path: Path) -> None:
    read_model(models.save(proto, tmp_path / "fine.onnx"))


def test_operators_inside_local_functions_are_checked(tmp_path: Path) -> None:
    check_accepted(make_big_function_model(4), tmp_path)
    check_refused(make_big_function_model(30), tmp_path, r"Expand.* makes a tensor of 3221225472")


def test_functions_that_multiply_or_call_themselves_are_errors(tmp_path: Path) -> None:
    chain: dict[str, Sequence[NodeProto]] = {"F0": [node("Relu", ["a"], ["b"])]}
    for level in range(1, 7):
        steps = [make_call(f"F{level - 1}", f"t{i}", f"t{i + 1}") for i in range(8)]
        ends = [node("Identity", ["a"], ["t0"]), node("Identity", ["t8"], ["b"])]
        chain[f"F{level}"] = [ends[0], *steps, ends[1]]
    check_refused(make_function_model(chain, "F6"), tmp_path, "operators; at most")
    recursive = {"F": [make_call("F", "a", "b")]}
    check_refused(
        make_function_model(recursive, "F"), tmp_path, "calls itself|not a valid ONNX model"
    )
    with pytest.raises(ModelError, match="the local function F calls itself"):
        inline_functions(make_function_model(recursive, "F"), "net.onnx")


def test_error_on_unknown_operators_names_them(tmp_path: Path) -> None:
    proto = make_calling_model(make_call("Evil", "mean", "scores"), "mine")
    check_refused(proto, tmp_path, "mine::Evil")


def test_operators_of_onnx_runtime_are_accepted(tmp_path: Path) -> None:
    call = node("Gelu", ["mean"], ["scores"], domain="com.microsoft")
    check_accepted(make_calling_model(call, "com.microsoft"), tmp_path)


def test_inlined_model_holds_the_nodes_of_its_functions() -> None:
    proto = make_big_function_model(2)
    inlined = inline_functions(proto, "net.onnx")
    assert [inner.op_type for inner in inlined.graph.node] == [
        "ReduceMean",
        "Constant",
        "Expand",
        "ReduceMax",
    ]
    assert not inlined.functions
    onnx.checker.check_model(inlined)


ALPHA = helper.make_attribute("alpha", 0.9)
IMPORTS = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]


def make_reference(name: str) -> onnx.AttributeProto:
    """Make the attribute `alpha` that has the value of a function's attribute."""
    return onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name=name)


def make_leaky_model(call: NodeProto, *outer: onnx.FunctionProto) -> ModelProto:
    """Make a model of a function `Leaky` with a default slope of .9, whose input is negative."""
    proto = make_calling_model(call, "mine")
    proto.graph.node.insert(1, node("Neg", ["mean"], ["negative"]))
    leaky = node("LeakyRelu", ["a"], ["b"])
    leaky.attribute.append(make_reference("alpha"))
    proto.functions.append(
        helper.make_function("mine", "Leaky", ["a"], ["b"], [leaky], IMPORTS, [], [ALPHA])
    )
    proto.functions.extend(outer)
    return proto


def make_handing_function(call: NodeProto, defaults: list[onnx.AttributeProto]) -> Any:
    """Make a function `Outer` that calls `Leaky` and has an attribute `beta`."""
    call.attribute.append(make_reference("beta"))
    names = [] if defaults else ["beta"]
    return helper.make_function("mine", "Outer", ["a"], ["b"], [call], IMPORTS, names, defaults)


LEAKY_MODELS = {
    "default": (make_leaky_model(make_call("Leaky", "negative", "scores")), 0.9),
    "given": (
        make_leaky_model(node("Leaky", ["negative"], ["scores"], domain="mine", alpha=0.5)),
        0.5,
    ),
    "default of the outer function": (
        make_leaky_model(
            make_call("Outer", "negative", "scores"),
            make_handing_function(
                make_call("Leaky", "a", "b"), [helper.make_attribute("beta", 0.7)]
            ),
        ),
        0.7,
    ),
    "nothing handed on": (
        make_leaky_model(
            make_call("Outer", "negative", "scores"),
            make_handing_function(make_call("Leaky", "a", "b"), []),
        ),
        0.9,
    ),
}


@pytest.mark.parametrize("name", LEAKY_MODELS)
def test_defaults_of_a_function_are_kept(name: str, tmp_path: Path) -> None:
    proto, slope = LEAKY_MODELS[name]
    path = models.save(proto, tmp_path / "net.onnx")
    image = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    inlined = read_model(path).proto
    assert not inlined.functions
    (scores,) = InferenceSession(inlined.SerializeToString()).run(None, {"image": image})
    (untouched,) = InferenceSession(path).run(None, {"image": image})
    np.testing.assert_allclose(scores, untouched, rtol=1e-6)
    np.testing.assert_allclose(scores, -slope * image.mean(axis=(2, 3)), rtol=1e-5)


def test_defaults_are_kept_where_the_call_is_in_a_branch(tmp_path: Path) -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [make_call("Leaky", "negative", name)],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3])],
        )
        for name in ("then", "else")
    }
    proto = make_leaky_model(node("If", ["yes"], ["scores"], **branches))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    inlined = inline_functions(proto, "net.onnx")
    image = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    (scores,) = InferenceSession(inlined.SerializeToString()).run(None, {"image": image})
    np.testing.assert_allclose(scores, -0.9 * image.mean(axis=(2, 3)), rtol=1e-5)


def test_model_without_functions_stays_as_it_is() -> None:
    proto = models.convnet()
    assert inline_functions(proto, "net.onnx") is proto
