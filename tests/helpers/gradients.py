"""Rules against central differences: both in float64 with onnx's reference evaluator.

The gradient is computed a second time in float32 with ONNX Runtime, which must agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxplain.gradient import RULES, Measure, Rule, differentiate, gradient_name, measure_facts
from tests.helpers.plain_ops import PLAIN

Array = NDArray[Any]
STEP = 1e-5


def evaluate(model: ModelProto) -> ReferenceEvaluator:
    """Onnx's evaluator of a model, in the type that the model is in."""
    return ReferenceEvaluator(model, new_ops=PLAIN)


class Reference:
    """The seam `Measure` on onnx's reference evaluator: slow, and in any type."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        return model

    def run(self, model: bytes, feeds: Mapping[str, Array]) -> dict[str, Array]:
        evaluator = evaluate(ModelProto.FromString(model))
        return dict(zip(evaluator.output_names, evaluator.run(None, dict(feeds)), strict=True))


class Plain:
    """The same on ONNX Runtime, without optimisation."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        return model

    def run(self, model: bytes, feeds: Mapping[str, Array]) -> dict[str, Array]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def make_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array],
    outputs: Sequence[str],
    opset: int = 18,
) -> ModelProto:
    """A model of some nodes, its inputs of the types given and of any shape."""
    code = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info(k, code(v.dtype), [None] * v.ndim)
            for k, v in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def cast(values: Mapping[str, Array], dtype: type) -> dict[str, Array]:
    """The real arrays in another type, the others as they are."""
    return {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in values.items()}


def _measure(dtype: type) -> Measure:
    return Reference() if dtype is np.float64 else Plain()


class Scored:
    """Some nodes that end in `y`, and the score ``sum(w * y)`` with fixed random `w`.

    Parameters
    ----------
    nodes : sequence of NodeProto
    inputs : mapping
        What gradients are taken by, float64.
    constants : mapping
        The rest.
    grows : bool
        Whether the first axis of every input is a batch: shapes are measured at two sizes.
    """

    def __init__(
        self,
        nodes: Sequence[NodeProto],
        inputs: Mapping[str, Array],
        constants: Mapping[str, Array],
        *,
        opset: int = 18,
        grows: bool = False,
        rules: Mapping[str, Rule] = RULES,
    ) -> None:
        self.inputs, self.grows, self.rules = dict(inputs), grows, rules
        self._nodes, self._opset, self._constants = nodes, opset, constants
        self._built: dict[type, ModelProto] = {}
        single = cast(inputs, np.float32)
        bare = make_model(nodes, single, cast(constants, np.float32), ["y"], opset)
        y = Plain().run(bare.SerializeToString(), single)["y"]
        shape = (1, *y.shape[1:]) if grows else y.shape
        self._w = np.random.default_rng(7).normal(size=shape)

    def model(self, dtype: type) -> ModelProto:
        constants = cast({**self._constants, "score/w": self._w}, dtype)
        score = [
            helper.make_node("Mul", ["y", "score/w"], ["score/product"]),
            helper.make_node("ReduceSum", ["score/product"], ["score"], keepdims=0),
        ]
        inputs = cast(self.inputs, dtype)
        return make_model([*self._nodes, *score], inputs, constants, ["score"], self._opset)

    def built(self, dtype: type) -> ModelProto:
        """The model and its gradients."""
        if dtype not in self._built:
            self._built[dtype] = self._differentiated(dtype)
        return self._built[dtype]

    def _differentiated(self, dtype: type) -> ModelProto:
        examples = [cast(self.inputs, dtype)]
        if self.grows:
            examples.append({k: np.concatenate([v, v[:1]]) for k, v in examples[0].items()})
        model = self.model(dtype)
        facts = measure_facts(model, _measure(dtype), examples, np.dtype(dtype))
        sources = tuple(self.inputs)
        return differentiate(model, facts, score="score", sources=sources, rules=self.rules)

    def gradients(self, dtype: type) -> dict[str, Array]:
        """By the rules: in float64 on the reference evaluator, in float32 on the runtime."""
        data = self.built(dtype).SerializeToString()
        found = _measure(dtype).run(data, cast(self.inputs, dtype))
        return {name: found[gradient_name(name)] for name in self.inputs}

    def differences(self, name: str, places: Sequence[int]) -> Array:
        """Central differences of the score by some entries of an input."""
        evaluator = evaluate(self.model(np.float64))

        def score(place: int, change: float) -> float:
            moved = self.inputs[name].copy()
            moved.ravel()[place] += change
            return float(evaluator.run(None, {**self.inputs, name: moved})[0])

        slopes = [(score(one, STEP) - score(one, -STEP)) / (2 * STEP) for one in places]
        return np.array(slopes)


def assert_standard(model: ModelProto) -> None:
    """What a rule writes is standard and as old as opset 17, which CUDA builds have kernels for."""
    for node in model.graph.node:
        if node.name.startswith("gradient/"):
            assert node.domain == ""
            assert onnx.defs.has(node.op_type, 17), node.op_type


def assert_right(scored: Scored, *, at_most: int = 24, single: float = 1e-4) -> None:
    """The gradients agree with differences, and in float32 with those in float64.

    Central differences with step 1e-5 are good to about 1e-9 of the score's scale; 1e-6
    leaves room for third derivatives. `single` is the tolerance in float32.
    """
    exact = scored.gradients(np.float64)
    rounded = scored.gradients(np.float32)
    assert_standard(scored.built(np.float32))
    rng = np.random.default_rng(3)
    for name, value in scored.inputs.items():
        assert exact[name].shape == value.shape
        assert exact[name].dtype == np.float64
        places = rng.permutation(value.size)[:at_most]
        slopes = scored.differences(name, places)
        scale = max(1.0, np.abs(slopes).max())
        np.testing.assert_allclose(exact[name].ravel()[places], slopes, atol=1e-6 * scale)
        np.testing.assert_allclose(rounded[name], exact[name], atol=single * scale)


def assert_rule(
    operator: str,
    *inputs: Array,
    constants: Mapping[int, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
    grows: bool = False,
    single: float = 1e-4,
    **attributes: Any,
) -> None:
    """One operator; `constants` are the inputs, by position, that are not differentiated."""
    constants = constants or {}
    slots: list[str] = []
    variables: dict[str, Array] = {}
    fixed: dict[str, Array] = {}
    remaining = list(inputs)
    while remaining or len(slots) <= max(constants, default=-1):
        position = len(slots)
        if position in constants:
            fixed[f"c{position}"] = constants[position]
            slots.append(f"c{position}")
        elif remaining:
            variables[f"x{position}"] = remaining.pop(0)
            slots.append(f"x{position}")
        else:
            slots.append("")
    node = helper.make_node(operator, slots, list(outputs), name="tested", **attributes)
    scored = Scored([node], variables, fixed, opset=opset, grows=grows)
    assert_right(scored, single=single)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def distinct(*shape: int, seed: int = 0) -> Array:
    """Numbers of which no two are closer than 0.05, in random order around 0."""
    count = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(count)
    return ((order - count / 2 + 0.3) * 0.07).reshape(shape)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)
