"""Sizes that depend on pixels are bounded, and so is work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnxplain.graph.bounds import Bounds, count_work
from onnxplain.graph.shapes import ShapeMismatch, Shapes
from tests.graph.test_safety import (
    check_accepted,
    check_refused,
    make_big_model,
    make_subgraph,
    value,
)
from tests.helpers import models

node = helper.make_node
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64

# Data decide the length of `line`: from nothing to as long as the pixels are many.
CHOOSING = {
    "NonZero": [node("NonZero", ["image"], ["at"]), node("Cast", ["at"], ["line"], to=FLOAT)],
    "Unique": [node("Unique", ["image"], ["line"])],
    "Compress": [
        node("Reshape", ["image", "flat"], ["pixels"]),
        node("Cast", ["pixels"], ["chosen"], to=TensorProto.BOOL),
        node("Compress", ["pixels", "chosen"], ["line"], axis=0),
    ],
}
FLAT = {"flat": np.array([-1]), "tall": np.array([-1, 1]), "wide": np.array([1, -1])}


def make_outer_product(chosen: Sequence[NodeProto], copies: int, op: str) -> ModelProto:
    """Make a model that multiplies many copies of a line of unknown length with one another."""
    nodes = [
        *chosen,
        node("Reshape", ["line", "flat"], ["short"]),
        node("Concat", ["short"] * copies, ["long"], axis=0),
        node("Reshape", ["long", "tall"], ["down"]),
        node("Reshape", ["long", "wide"], ["across"]),
        node(op, ["down", "across"], ["big"]),
    ]
    return make_big_model(nodes, FLAT)


@pytest.mark.parametrize("op", ["MatMul", "Mul"])
@pytest.mark.parametrize("chooser", CHOOSING)
def test_products_of_lengths_that_pixels_decide_are_bounded(
    chooser: str, op: str, tmp_path: Path
) -> None:
    check_accepted(make_outer_product(CHOOSING[chooser], 1, op), tmp_path)
    check_refused(
        make_outer_product(CHOOSING[chooser], 1000, op),
        tmp_path,
        f"operator {op} makes a tensor of up to",
    )


@pytest.mark.parametrize(
    "nodes",
    [
        CHOOSING["NonZero"],
        CHOOSING["Unique"],
        CHOOSING["Compress"],
        [*CHOOSING["NonZero"], node("Add", ["line", "line"], ["sum"])],
        [*CHOOSING["NonZero"], node("Transpose", ["line"], ["turned"])],
        [*CHOOSING["NonZero"], node("Concat", ["line", "line"], ["long"], axis=1)],
        [*CHOOSING["NonZero"], node("Gather", ["image", "at"], ["picked"], axis=3)],
        [*CHOOSING["Unique"], node("Reshape", ["line", "tall"], ["standing"])],
        [*CHOOSING["Compress"], node("MatMul", ["line", "line"], ["square"])],
    ],
    ids=lambda nodes: "+".join(one.op_type for one in nodes),
)
def test_bounds_hold_for_what_onnx_runtime_makes(nodes: list[NodeProto]) -> None:
    names = [name for one in nodes for name in one.output]
    proto = models.model(
        nodes,
        {"image": (FLOAT, [1, 3, 8, 8])},
        {names[-1]: (FLOAT, None)},
        FLAT,
        check=False,
    )
    proto.graph.output.extend(ValueInfoProto(name=name) for name in names[:-1])
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    shapes, bounds = Shapes.of_inputs(proto), Bounds()
    for one in nodes:
        shapes.step(one)
        bounds.step(one, shapes)
    rng = np.random.default_rng(0)
    for share in (0.0, 0.5, 1.0):
        image = rng.random((1, 3, 8, 8)).astype(np.float32)
        image[rng.random(image.shape) >= share] = 0
        for name, made in zip(names, session.run(names, {"image": image}), strict=True):
            most = bounds.count(name, shapes)
            assert most is not None
            assert made.size <= most, name
            dims = bounds.dims(name, shapes)
            if dims is not None:
                assert len(dims) == made.ndim


def test_evaluating_no_pooling_of_constants(tmp_path: Path) -> None:
    """The evaluator would take 12 GB for the windows of this kernel; ONNX Runtime computes it."""
    big = 2**30
    pool = node(
        "AveragePool", ["tiny"], ["big"], kernel_shape=[big], pads=[big - 1, 0], strides=[big]
    )
    proto = make_big_model([pool], {"tiny": np.ones((1, 1, 1), np.float32)})
    began = time.process_time()
    check_accepted(proto, tmp_path)
    assert time.process_time() - began < 2


def make_matmul_loop(trips: int) -> ModelProto:
    body = make_subgraph(
        [node("Identity", ["go"], ["go_on"]), node("MatMul", ["state", "state"], ["next"])],
        [
            value("i", INT64, []),
            value("go", TensorProto.BOOL, []),
            value("state", dims=[1024, 1024]),
        ],
        [value("go_on", TensorProto.BOOL, []), value("next", dims=[1024, 1024])],
    )
    nodes = [
        node("ReduceMean", ["image"], ["mean_one"], keepdims=0),
        node("Expand", ["mean_one", "shape"], ["first"]),
        node("Loop", ["count", "go_first", "first"], ["big"], body=body),
    ]
    tensors = {
        "shape": np.array([1024, 1024]),
        "count": np.array(trips),
        "go_first": np.array(True),
    }
    return make_big_model(nodes, tensors)


def test_work_in_loops_is_bounded(tmp_path: Path) -> None:
    check_accepted(make_matmul_loop(100), tmp_path)
    check_refused(make_matmul_loop(9_999), tmp_path, r"MatMul brings the work in 9999 trips")


def test_work_on_constants_is_bounded(tmp_path: Path) -> None:
    """ONNX Runtime computes constants while a session is made, at each of several sessions."""

    def make_power(side: int) -> ModelProto:
        nodes = [node("ConstantOfShape", ["shape"], ["first"])]
        nodes += [node("MatMul", ["first", "first"], ["big"])]
        return make_big_model(nodes, {"shape": np.array([side, side])})

    check_accepted(make_power(512), tmp_path)
    check_refused(make_power(4096), tmp_path, "MatMul brings the work on constants to 7e.10 mult")


def test_texts_cannot_double_without_end(tmp_path: Path) -> None:
    """A tensor of one text counts as one element, however long the text is."""

    def make_doubling(times: int) -> ModelProto:
        text = helper.make_tensor("t", TensorProto.STRING, [1], [b"ab"])
        joins = [node("StringConcat", [f"t{i}"] * 2, [f"t{i + 1}"]) for i in range(times)]
        return models.model(
            [
                node("Constant", [], ["t0"], value=text),
                *joins,
                node("GlobalAveragePool", ["image"], ["pooled"]),
                node("Flatten", ["pooled"], ["scores"]),
            ],
            {"image": (FLOAT, ["N", 3, 8, 8])},
            {"scores": (FLOAT, ["N", 3])},
            {},
            opset=20,
        )

    check_accepted(make_doubling(4), tmp_path)
    check_refused(make_doubling(40), tmp_path, "StringConcat joins texts")


def test_work_of_a_kernel_is_bounded(tmp_path: Path) -> None:
    pool = node(
        "MaxPool",
        ["image"],
        ["big"],
        kernel_shape=[2**15] * 2,
        pads=[2**15 - 1] * 4,
        strides=[4] * 2,
    )
    check_refused(make_big_model([pool]), tmp_path, "MaxPool brings the work")


@pytest.mark.parametrize(
    ("one", "dims", "work"),
    [
        (node("MatMul", ["a", "b"], ["y"]), [(2, 3, 4), (4, 5)], 2 * 3 * 4 * 5),
        (node("Gemm", ["a", "b"], ["y"], transA=1), [(4, 3), (4, 5)], 3 * 4 * 5),
        (node("Conv", ["a", "b"], ["y"]), [(1, 6, 8, 8), (5, 6, 3, 3)], 36 * 5 * 6 * 9),
        (node("Conv", ["a", "b"], ["y"], group=6), [(1, 6, 8, 8), (6, 1, 3, 3)], 36 * 6 * 9),
        (
            node("ConvTranspose", ["a", "b"], ["y"], strides=[1, 1]),
            [(1, 6, 8, 8), (6, 5, 3, 3)],
            100 * 5 * 6 * 9,
        ),
        (node("MaxPool", ["a"], ["y"], kernel_shape=[2, 2]), [(1, 3, 4, 4)], 9 * 3 * 4),
        (
            node("Einsum", ["a", "b"], ["y"], equation="bid,bjd->bij"),
            [(2, 3, 7), (2, 5, 7)],
            2 * 3 * 5 * 7,
        ),
        (node("Relu", ["a"], ["y"]), [(2, 3)], 6),
    ],
    ids=lambda value: value.op_type if isinstance(value, NodeProto) else "",
)
def test_work_is_the_number_of_products(
    one: NodeProto, dims: list[tuple[int, ...]], work: int
) -> None:
    shapes, bounds = Shapes({"": 17}), Bounds()
    for name, sides in zip(one.input, dims, strict=True):
        shapes.set(name, FLOAT, sides)
    shapes.step(one)
    moved = sum(shapes.count(name) or 0 for name in (*one.input, *one.output))
    assert count_work(one, shapes, bounds) - moved == work


def test_a_declared_input_of_a_billion_pixels_is_an_error(tmp_path: Path) -> None:
    proto = models.model(
        [
            node("GlobalAveragePool", ["image"], ["pooled"]),
            node("Flatten", ["pooled"], ["scores"]),
        ],
        {"image": (FLOAT, ["N", 3, 100_000, 100_000])},
        {"scores": (FLOAT, ["N", 3])},
        {},
    )
    check_refused(proto, tmp_path, "input 'image' has 30000000000 elements")


def test_models_whose_sides_are_open_and_odd_are_accepted(tmp_path: Path) -> None:
    """A weight of 150 x 150 pixels fits none of the sides that are tried."""
    w: NDArray[Any] = np.ones((3 * 150 * 150, 2), np.float32)
    proto = models.model(
        [
            node("Flatten", ["image"], ["flat"]),
            node("MatMul", ["flat", "w"], ["z"]),
            node("Add", ["z", "b"], ["sum"]),
            node("Softmax", ["sum"], ["scores"], axis=1),
        ],
        {"image": (FLOAT, ["N", 3, "H", "W"])},
        {"scores": (FLOAT, ["N", 2])},
        {"w": w, "b": np.ones(2, np.float32)},
    )
    check_accepted(proto, tmp_path)


def test_many_subgraphs_are_an_error(tmp_path: Path) -> None:
    branch = make_subgraph([node("Identity", ["one"], ["out"])], [], [value("out", dims=[1])])
    nodes = [
        node("If", ["yes"], [f"b{i}"], then_branch=branch, else_branch=branch) for i in range(501)
    ]
    nodes.append(node("Identity", ["b0"], ["big"]))
    check_refused(make_big_model(nodes, {"yes": np.array(True)}), tmp_path, "hold more than 1000")


def test_shapes_of_the_quantiser_s_operators_are_those_of_the_standard_ones() -> None:
    shapes = Shapes({"": 17, "com.microsoft": 1})
    for name, dims in {"a": (2, 3, 8, 8), "b": (1, 3, 1, 1), "w": (5, 3, 3, 3), "s": ()}.items():
        shapes.set(name, FLOAT, dims)
    add = node(
        "QLinearAdd", ["a", "s", "s", "b", "s", "s", "s", "s"], ["y"], domain="com.microsoft"
    )
    shapes.step(add)
    assert shapes.dims("y") == (2, 3, 8, 8)
    conv = node(
        "FusedConv", ["a", "w"], ["z"], domain="com.microsoft", strides=[2, 2], activation="Relu"
    )
    shapes.step(conv)
    assert shapes.dims("z") == (2, 5, 3, 3)


def test_misfits_are_told_with_the_bounds() -> None:
    shapes, bounds = Shapes({"": 17}), Bounds()
    shapes.set("a", FLOAT, (1, 5, 8))
    shapes.set("b", FLOAT, (1, 7, 8))
    add = node("Add", ["a", "b"], ["y"])
    with pytest.raises(ShapeMismatch):
        shapes.step(add)
    bounds.step(add, shapes)
    assert bounds.dims("y", shapes) == (1, 7, 8)
