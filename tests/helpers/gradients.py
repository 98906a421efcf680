"""Rules against central differences, both in float64 with onnx's reference evaluator.

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
from onnxplain.graph.writer import declare_tensor
from tests.helpers.plain_ops import PLAIN

Array = NDArray[Any]
STEP = 1e-5


def make_evaluator(model: ModelProto) -> ReferenceEvaluator:
    """Make onnx's evaluator of a model, which computes in the model's own type."""
    return ReferenceEvaluator(model, new_ops=PLAIN)


class ReferenceMeasure:
    """A `Measure` on onnx's reference evaluator: slow, and in any type."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        return model

    def run(self, model: bytes, feeds: Mapping[str, Array]) -> dict[str, Array]:
        evaluator = make_evaluator(ModelProto.FromString(model))
        return dict(zip(evaluator.output_names, evaluator.run(None, dict(feeds)), strict=True))


class PlainMeasure:
    """A `Measure` on ONNX Runtime without optimisation."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        return model

    def run(self, model: bytes, feeds: Mapping[str, Array]) -> dict[str, Array]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def make_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array],
    outputs: Sequence[str],
    opset: int = 18,
) -> ModelProto:
    """Make a model of some nodes whose inputs have the types given and any shape."""
    graph = helper.make_graph(
        nodes,
        "test",
        [declare_tensor(name, value.dtype, [None] * value.ndim) for name, value in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def cast_reals(values: Mapping[str, Array], dtype: type) -> dict[str, Array]:
    """Return the real arrays in another type, the others as they are."""
    return {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in values.items()}


def choose_measure(dtype: type) -> Measure:
    return ReferenceMeasure() if dtype is np.float64 else PlainMeasure()


class Scored:
    """Some nodes that end in `y`, and the score ``sum(w * y)`` with fixed random `w`.

    Parameters
    ----------
    nodes : sequence of NodeProto
        The last of them gives `y`.
    inputs : mapping
        Tensors to differentiate by, float64.
    constants : mapping
        The other tensors.
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
        self._gradients: dict[type, ModelProto] = {}
        single = cast_reals(inputs, np.float32)
        model = make_model(nodes, single, cast_reals(constants, np.float32), ["y"], opset)
        y = PlainMeasure().run(model.SerializeToString(), single)["y"]
        shape = (1, *y.shape[1:]) if grows else y.shape
        self._w = np.random.default_rng(7).normal(size=shape)

    def build_model(self, dtype: type) -> ModelProto:
        constants = cast_reals({**self._constants, "score/w": self._w}, dtype)
        score = [
            helper.make_node("Mul", ["y", "score/w"], ["score/product"]),
            helper.make_node("ReduceSum", ["score/product"], ["score"], keepdims=0),
        ]
        inputs = cast_reals(self.inputs, dtype)
        return make_model([*self._nodes, *score], inputs, constants, ["score"], self._opset)

    def build_gradient(self, dtype: type) -> ModelProto:
        """Build the model with its gradients, the first time it is asked for."""
        if dtype not in self._gradients:
            self._gradients[dtype] = self._differentiate(dtype)
        return self._gradients[dtype]

    def _differentiate(self, dtype: type) -> ModelProto:
        examples = [cast_reals(self.inputs, dtype)]
        if self.grows:
            examples.append({k: np.concatenate([v, v[:1]]) for k, v in examples[0].items()})
        model = self.build_model(dtype)
        facts = measure_facts(model, choose_measure(dtype), examples, np.dtype(dtype))
        sources = tuple(self.inputs)
        return differentiate(model, facts, score="score", sources=sources, rules=self.rules)

    def compute_gradients(self, dtype: type) -> dict[str, Array]:
        """Compute them by the rules: in float64 by the evaluator, in float32 by the runtime."""
        data = self.build_gradient(dtype).SerializeToString()
        tensors = choose_measure(dtype).run(data, cast_reals(self.inputs, dtype))
        return {name: tensors[gradient_name(name)] for name in self.inputs}

    def compute_differences(self, name: str, places: Sequence[int]) -> Array:
        """Compute central differences of the score by some entries of an input."""
        evaluator = make_evaluator(self.build_model(np.float64))

        def score(place: int, change: float) -> float:
            moved = self.inputs[name].copy()
            moved.ravel()[place] += change
            return float(evaluator.run(None, {**self.inputs, name: moved})[0])

        slopes = [(score(place, STEP) - score(place, -STEP)) / (2 * STEP) for place in places]
        return np.array(slopes)


def assert_standard(model: ModelProto) -> None:
    """Check that rules write standard operators of opset 17, for which CUDA builds have kernels."""
    for node in model.graph.node:
        if node.name.startswith("gradient/"):
            assert node.domain == ""
            assert onnx.defs.has(node.op_type, 17), node.op_type


def assert_right(scored: Scored, *, at_most: int = 24, single: float = 1e-4) -> None:
    """Check gradients against differences, and those in float32 against those in float64.

    Central differences with step 1e-5 are good to about 1e-9 of the score's scale; 1e-6
    leaves room for third derivatives. `single` is the tolerance in float32.
    """
    exact = scored.compute_gradients(np.float64)
    rounded = scored.compute_gradients(np.float32)
    assert_standard(scored.build_gradient(np.float32))
    rng = np.random.default_rng(3)
    for name, value in scored.inputs.items():
        assert exact[name].shape == value.shape
        assert exact[name].dtype == np.float64
        places = rng.permutation(value.size)[:at_most]
        slopes = scored.compute_differences(name, places)
        scale = max(1.0, np.abs(slopes).max())
        np.testing.assert_allclose(exact[name].ravel()[places], slopes, atol=1e-6 * scale)
        # The places that were drawn may all be small, where others are huge.
        np.testing.assert_allclose(rounded[name], exact[name], rtol=1e-5, atol=single * scale)


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
    """Check the rule of one operator; `constants` are its other inputs, by position."""
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


def draw_normal(*shape: int, seed: int = 0) -> Array:
    """Draw normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def draw_distinct(*shape: int, seed: int = 0) -> Array:
    """Draw numbers of which no two are closer than 0.05, in random order around 0."""
    count = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(count)
    return ((order - count / 2 + 0.3) * 0.07).reshape(shape)


def draw_with_negative_row() -> Array:
    """Draw an array whose second row Relu makes 0, also near it: the slope there is 0."""
    x = draw_distinct(3, 4)
    x[1] = -1 - np.abs(x[1])
    return x


def ints(*values: int) -> Array:
    """Return an array of int64."""
    return np.array(values, np.int64)
