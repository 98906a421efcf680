"""What the tape writes computes what its methods say, and equal nodes are written once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import helper

from onnxplain.gradient import (
    Facts,
    GradientRequest,
    Grads,
    Node,
    Refusal,
    Shape,
    Tape,
    first_output_rule,
)
from onnxplain.gradient.node import read_node
from tests.helpers.gradient_networks import build_network_gradient, make_network
from tests.helpers.gradients import Array, ReferenceMeasure, draw_normal, make_model

A = draw_normal(2, 3, 4)


def make_tape(**shapes: Shape) -> Tape:
    constants = {"axes": np.array([1, -1])}
    return Tape(Facts(shapes, constants, set(), np.dtype(np.float64)), {"a"}, taken={"a"})


def compute(tape: Tape, name: str, **inputs: Array) -> Array:
    """Compute a tensor that was written on a tape."""
    model = make_model([*tape.graph.node], inputs, {}, [name])
    model.graph.initializer.extend(tape.graph.initializer)
    return ReferenceMeasure().run(model.SerializeToString(), inputs)[name]


WRITTEN: dict[str, tuple[Callable[[Tape], str], Array]] = {
    "scale": (lambda tape: tape.scale("a", 2.5), 2.5 * A),
    "add": (lambda tape: tape.add("a", "a", "a"), 3 * A),
    "mask": (lambda tape: tape.mask(tape.op("Less", "a", tape.real(0))), (A < 0) * 1.0),
    "sum": (lambda tape: tape.sum("a", [0, 2]), A.sum((0, 2), keepdims=True)),
    "slice": (lambda tape: tape.slice("a", [1], [3], [2]), A[:, :, 1:3]),
    "flip": (lambda tape: tape.flip("a", [0, 2]), A[::-1, :, ::-1]),
    "pad": (
        lambda tape: tape.pad("a", [0, 1, 0], [0, 0, 2]),
        np.pad(A, [(0, 0), (1, 0), (0, 2)]),
    ),
    "unsqueeze": (lambda tape: tape.unsqueeze("a", [1]), A[:, None]),
    "transpose": (lambda tape: tape.transpose("a", [2, 0, 1]), A.transpose(2, 0, 1)),
    "reshape": (lambda tape: tape.reshape("a", [None, 12]), A.reshape(2, 12)),
    "fill_like": (lambda tape: tape.fill_like("a", 7), np.full((2, 3, 4), 7.0)),
}


@pytest.mark.parametrize(("write", "expected"), WRITTEN.values(), ids=WRITTEN.keys())
def test_written_tensor_is_that_of_numpy(write: Callable[[Tape], str], expected: Array) -> None:
    tape = make_tape(a=(None, 3, 4))
    written = compute(tape, write(tape), a=A)
    assert written.dtype == np.float64
    np.testing.assert_allclose(written, expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_contraction_is_that_of_einsum(axis: int) -> None:
    tape, matrix = make_tape(a=A.shape), draw_normal(A.shape[axis], 5, seed=1)
    equation = ["abc,ax->xbc", "abc,bx->axc", "abc,cx->abx"][axis]
    written = compute(tape, tape.contract("a", tape.real(matrix), axis, 3), a=A)
    np.testing.assert_allclose(written, np.einsum(equation, A, matrix), rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 4), (None, 3, 4)], ids=["fixed", "growing"])
def test_spread_repeats_along_axes_and_scales(shape: Shape) -> None:
    tape, narrow = make_tape(a=shape), draw_normal(1, 3, 1)
    written = compute(tape, tape.spread("narrow", "a", [0, 2], 0.5), a=A, narrow=narrow)
    np.testing.assert_allclose(np.broadcast_to(written, A.shape), 0.5 * narrow + 0 * A)


@pytest.mark.parametrize("small", [(3, 1), (4,), (2, 1, 4), (2, 3, 4), ()])
def test_unbroadcast_sums_what_was_repeated(small: tuple[int, ...]) -> None:
    """The sum against any tensor of the small shape is the sum against its repetition."""
    tape, other = make_tape(small=small), draw_normal(*small, seed=1)
    written = compute(tape, tape.unbroadcast("a", A.shape, "small"), a=A)
    assert written.shape == small
    np.testing.assert_allclose((written * other).sum(), (A * other).sum(), rtol=1e-12)


def test_what_changes_nothing_is_not_written() -> None:
    tape = make_tape(a=(2, 3, 4))
    assert tape.scale("a", 1) == tape.add("a") == tape.sum("a", []) == "a"
    assert tape.flip("a", []) == tape.pad("a", [0] * 3, [0] * 3) == "a"
    assert tape.transpose("a", [0, 1, 2]) == tape.unsqueeze("a", []) == "a"
    assert not tape.graph.node


def test_equal_nodes_and_constants_are_written_once() -> None:
    tape = make_tape()
    assert tape.scale("a", 2) == tape.scale("a", 2)
    assert tape.scale("a", 3) != tape.scale("a", 2)
    assert (len(tape.graph.node), len(tape.graph.initializer)) == (2, 2)


def test_no_two_nodes_of_a_gradient_are_equal() -> None:
    gradient = build_network_gradient(make_network(), GradientRequest("x", "y"))
    written = [
        (node.op_type, tuple(node.input), tuple(a.SerializeToString() for a in node.attribute))
        for node in gradient.graph.node
        if node.name.startswith("gradient/")
    ]
    assert len(written) == len(set(written))


def test_facts_are_read_of_forward_tensors() -> None:
    tape = make_tape(a=(None, 3, 4))
    assert tape.sizes("a", [1, -1]) == [3, 4]
    assert tape.integers("axes", "axes") == [1, -1]
    assert (tape.wants("a"), tape.wants("axes")) == (True, False)
    assert tape.producer("a") is None


def test_facts_that_are_not_known_are_refused() -> None:
    tape = make_tape(a=(None, 3, 4))
    with pytest.raises(Refusal, match="axis of 'a' that grows with the batch"):
        tape.sizes("a", [0, 1])
    with pytest.raises(Refusal, match="its bounds depend on the image"):
        tape.integers("a", "bounds")


@pytest.mark.parametrize("grads", [(None, "g"), ("g", "h")])
def test_rule_of_the_first_output_refuses_gradients_of_others(grads: Grads) -> None:
    @first_output_rule
    def rule(tape: Tape, node: Node, g: str) -> Grads:
        return [g]

    node = read_node(helper.make_node("Split", ["a"], ["b", "c"]))
    assert rule(make_tape(), node, ["g", None]) == ["g"]
    with pytest.raises(Refusal, match="one of its outputs other than the first"):
        rule(make_tape(), node, grads)
