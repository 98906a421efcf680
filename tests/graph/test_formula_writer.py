"""Formulas in a graph compute what they compute with arrays."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from onnxplain.core.flow import Closed
from onnxplain.core.formulas import ARRAYS, CHANNELS, PLACES, Formula
from onnxplain.graph.formula_writer import GraphOps
from onnxplain.graph.writer import GraphWriter
from onnxplain.methods.gradients.channels import JOINS
from onnxplain.registry import METHODS


@Formula
def use_everything(ops, a, g):
    """Use arithmetic of all kinds, with numbers on both sides, and every operation."""
    spread = 1 + ops.sqrt(ops.abs(a - g)) / (2 - ops.if_negative(g, -3.0, 0.5))
    weights = (1.5 - ops.mean(g, PLACES)) * 2 + 1 / (ops.sum(ops.abs(a), PLACES) + 1)
    mixed = ops.matmul(ops.matmul(a, ops.turn(g)), a)
    rest = ops.sum(ops.relu(a) - 2, CHANNELS) + ops.mean(mixed, CHANNELS)
    return ops.largest(0.5 * spread * weights, CHANNELS) - rest


FORMULAS = {
    **{f"colours {how}": formula for how, formula in JOINS.items()},
    **{
        name: made.closed_form.formula
        for name, cls in METHODS.items()
        if isinstance(made := cls(), Closed)
    },
    "everything": use_everything,
}


def write(formula: Formula, opset: int, dtype: type = np.float32) -> onnx.ModelProto:
    writer = GraphWriter()
    ops = GraphOps(writer, opset, dtype)
    a, g = (ops.tensor(writer.add_input(name, dtype, ["N", 4, 5, 6])) for name in "ag")
    maps = formula.express(ops, a, g)
    writer.add_output("maps", dtype, ["N", 1, 5, 6], source=maps.name)
    model = writer.build_model("formula", opset=opset, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def draw(dtype: type) -> dict[str, np.ndarray]:
    """Draw values and gradients of both signs, with a channel of zeros and one of negatives."""
    rng = np.random.default_rng(0)
    a, g = (rng.normal(size=(3, 4, 5, 6)) for _ in range(2))
    a[:, 1], g[:, 2] = -np.abs(a[:, 1]), 0
    a[0, 3] = 0
    return {"a": a.astype(dtype), "g": g.astype(dtype)}


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_of_graphs_are_those_of_arrays(name: str, opset: int) -> None:
    """In float64 to rounding, by onnx's evaluator; in float32 by ONNX Runtime."""
    formula, wide = FORMULAS[name], draw(np.float64)
    expected = formula.express(ARRAYS, wide["a"], wide["g"])
    (exact,) = ReferenceEvaluator(write(formula, opset, np.float64)).run(None, wide)
    np.testing.assert_allclose(exact, expected, rtol=1e-9, atol=1e-9)
    session = ort.InferenceSession(
        write(formula, opset).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (single,) = session.run(None, draw(np.float32))
    np.testing.assert_allclose(single, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
