"""A few bytes may not be made to allocate or run without bound."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.graph.load import read_model
from tests.helpers import models

node = helper.make_node
IMAGE = {"image": (TensorProto.FLOAT, ["N", 3, 8, 8])}
SCORES = {"scores": (TensorProto.FLOAT, ["N", 2])}
# What makes two scores of an image and of whatever is put in front.
HEAD = [
    node("ReduceMean", ["image"], ["mean"], keepdims=0, axes=[1, 2, 3]),
    node("ReduceMax", ["big"], ["top"], keepdims=0),
    node("Add", ["mean", "top"], ["sum"]),
    node("Unsqueeze", ["sum", "last"], ["column"]),
    node("Mul", ["column", "pair"], ["scores"]),
]
TENSORS: dict[str, NDArray[Any]] = {
    "last": np.array([1]),
    "pair": np.array([[1, 2]], np.float32),
    "one": np.array([1.0], np.float32),
}


def with_big(
    nodes: Sequence[NodeProto],
    tensors: dict[str, NDArray[Any]] | None = None,
    domains: Sequence[str] = (),
) -> ModelProto:
    """A classifier that also computes `big` by the nodes, which may be of other domains."""
    every = {**TENSORS, **(tensors or {})}
    made = models.model([*nodes, *HEAD], IMAGE, SCORES, every, check=False)
    made.opset_import.extend(helper.make_opsetid(domain, 1) for domain in domains)
    return made


def refused(made: ModelProto, tmp_path: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        read_model(models.save(made, tmp_path / "bomb.onnx"))
    assert str(caught.value).startswith("bomb.onnx: ")


def accepted(made: ModelProto, tmp_path: Path) -> None:
    read_model(models.save(made, tmp_path / "fine.onnx"))


def subgraph(nodes: Sequence[NodeProto], inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return helper.make_graph(nodes, "inner", list(inputs), list(outputs))


def value(name: str, element: int = TensorProto.FLOAT, dims: Sequence[Any] | None = None) -> Any:
    return helper.make_tensor_value_info(name, element, dims)


SHAPE = np.array([2**10, 2**10, 2**10])
BOMBS = {
    "ConstantOfShape": ([node("ConstantOfShape", ["shape"], ["big"])], {"shape": SHAPE}),
    "Expand": ([node("Expand", ["one", "shape"], ["big"])], {"shape": SHAPE}),
    "Tile": ([node("Tile", ["one", "shape"], ["big"])], {"shape": SHAPE[:1] * 2**20}),
    "Range": (
        [node("Range", ["zero", "end", "step"], ["big"])],
        {name: np.array(n) for name, n in (("zero", 0), ("end", 2**30), ("step", 1))},
    ),
    "Resize": (
        [node("Resize", ["image", "", "scales"], ["big"])],
        {"scales": np.array([1, 1, 3000, 3000], np.float32)},
    ),
    "Pad": ([node("Pad", ["one", "pads"], ["big"])], {"pads": np.array([0, 2**30])}),
    "OneHot": (
        [node("OneHot", ["at", "depth", "levels"], ["big"])],
        {
            "at": np.array([1]),
            "depth": np.array(2**30),
            "levels": np.array([0, 1], np.float32),
        },
    ),
    "RandomNormal": ([node("RandomNormal", [], ["big"], shape=SHAPE.tolist())], {}),
    "Add": (  # an outer product by broadcasting
        [
            node("ConstantOfShape", ["line"], ["across"]),
            node("ConstantOfShape", ["pole"], ["down"]),
            node("Add", ["across", "down"], ["big"]),
        ],
        {"line": np.array([1, 2**15]), "pole": np.array([2**15, 1])},
    ),
}


@pytest.mark.parametrize("op", BOMBS)
def test_tensors_of_a_billion_elements_are_refused(op: str, tmp_path: Path) -> None:
    nodes, tensors = BOMBS[op]
    refused(with_big(nodes, tensors), tmp_path, rf"operator {op} makes a tensor of \d+ elements")


def test_ninety_byte_bomb_is_refused(tmp_path: Path) -> None:
    made = models.model(
        [node("ConstantOfShape", ["s"], ["y"])],
        {"s": (TensorProto.INT64, [1])},
        {"y": (TensorProto.FLOAT, [2**30])},
    )
    made.graph.initializer.append(numpy_helper.from_array(np.array([2**30]), "s"))
    refused(made, tmp_path, "1073741824 elements")


def test_doubling_chains_are_refused(tmp_path: Path) -> None:
    nodes = [node("Identity", ["one"], ["b0"])]
    nodes += [node("Concat", [f"b{i}", f"b{i}"], [f"b{i + 1}"], axis=0) for i in range(30)]
    refused(with_big([*nodes, node("Identity", ["b30"], ["big"])]), tmp_path, "Concat")


def test_many_tensors_that_live_together_are_refused(tmp_path: Path) -> None:
    count = 40  # of 2^27 bytes, all constant and so all kept
    nodes = [node("ConstantOfShape", ["shape"], [f"b{i}"]) for i in range(count)]
    nodes.append(node("Sum", [f"b{i}" for i in range(count)], ["big"]))
    refused(with_big(nodes, {"shape": np.array([2**25])}), tmp_path, "GiB at one time")


def test_many_tensors_one_after_the_other_are_accepted(tmp_path: Path) -> None:
    nodes = [node("Expand", ["image", "shape"], ["b0"])]
    nodes += [node("Relu", [f"b{i}"], [f"b{i + 1}"]) for i in range(60)]
    nodes.append(node("Identity", ["b60"], ["big"]))
    accepted(with_big(nodes, {"shape": np.array([2**17, 3, 8, 8])}), tmp_path)


def test_sizes_that_the_pixels_decide_are_refused(tmp_path: Path) -> None:
    nodes = [
        node("ReduceSum", ["image"], ["total"], keepdims=0),
        node("Cast", ["total"], ["count"], to=TensorProto.INT64),
        node("Unsqueeze", ["count", "first"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["big"]),
    ]
    refused(with_big(nodes, {"first": np.array([0])}), tmp_path, "cannot be told before it runs")


def test_sizes_computed_from_the_inputs_shape_are_followed(tmp_path: Path) -> None:
    def squared(power: int) -> ModelProto:
        nodes = [
            node("Shape", ["image"], ["shape"]),
            node("ReduceProd", ["shape"], ["count"], keepdims=0),
            node("Pow", ["count", "power"], ["many"]),
            node("Unsqueeze", ["many", "first"], ["size"]),
            node("ConstantOfShape", ["size"], ["big"]),
        ]
        return with_big(nodes, {"first": np.array([0]), "power": np.array(power)})

    accepted(squared(2), tmp_path)  # 192^2
    refused(squared(4), tmp_path, "ConstantOfShape makes a tensor of 1358954496 elements")


def branch(size: int) -> GraphProto:
    shape = numpy_helper.from_array(np.array([size]))
    nodes = [
        node("Constant", [], ["shape"], value=shape),
        node("ConstantOfShape", ["shape"], ["out"]),
    ]
    return subgraph(nodes, [], [value("out", dims=[None])])


def test_branches_of_an_if_are_bounded(tmp_path: Path) -> None:
    def choice(size: int) -> ModelProto:
        made = [node("If", ["yes"], ["big"], then_branch=branch(4), else_branch=branch(size))]
        return with_big(made, {"yes": np.array(True)})

    accepted(choice(8), tmp_path)
    refused(choice(2**30), tmp_path, "ConstantOfShape makes a tensor of 1073741824")


def loop(trips: int | str, *, grows: bool = False) -> ModelProto:
    """Adds one, or doubles the length, `trips` times; a name makes the count an output."""
    step = (
        node("Concat", ["state", "state"], ["next"], axis=0)
        if grows
        else node("Add", ["state", "state"], ["next"])
    )
    body = subgraph(
        [node("Identity", ["go"], ["go_on"]), step],
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("go_on", TensorProto.BOOL, []), value("next")],
    )
    before, tensors = [], {"go_first": np.array(True)}
    if isinstance(trips, str):
        before = [
            node("ReduceSum", ["image"], ["total"], keepdims=0),
            node("Cast", ["total"], ["count"], to=TensorProto.INT64),
        ]
    else:
        tensors["count"] = np.array(trips)
    return with_big(
        [*before, node("Loop", ["count", "go_first", "one"], ["big"], body=body)], tensors
    )


def test_loops_run_a_known_and_modest_number_of_times(tmp_path: Path) -> None:
    accepted(loop(100), tmp_path)
    refused(loop(3_000_000), tmp_path, "runs 3000000")
    refused(loop("total"), tmp_path, "unknown number")


def test_loops_whose_state_grows_are_refused(tmp_path: Path) -> None:
    refused(loop(40, grows=True), tmp_path, "changes the size of its state")


def scan_over(slices: int) -> ModelProto:
    body = subgraph(
        [node("Add", ["state", "slice"], ["next"])],
        [value("state", dims=[1]), value("slice", dims=[1])],
        [value("next", dims=[1])],
    )
    nodes = [
        node("ConstantOfShape", ["shape"], ["slices"]),
        node("Scan", ["one", "slices"], ["big"], body=body, num_scan_inputs=1),
    ]
    return with_big(nodes, {"shape": np.array([slices, 1])})


def test_scans_run_a_modest_number_of_times(tmp_path: Path) -> None:
    accepted(scan_over(50), tmp_path)
    refused(scan_over(1_000_000), tmp_path, "Scan runs 1000000")


def with_functions(bodies: dict[str, Sequence[NodeProto]], call: str) -> ModelProto:
    made = with_big([mine(call, "one", "big")], domains=["mine"])
    for name, nodes in bodies.items():
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
        made.functions.append(
            helper.make_function("mine", name, ["a"], ["b"], list(nodes), imports)
        )
    return made


def mine(name: str, start: str, end: str) -> NodeProto:
    return helper.make_node(name, [start], [end], domain="mine")


def with_big_function(power: int) -> ModelProto:
    shape = numpy_helper.from_array(np.array([2**power]))
    return with_functions(
        {
            "F": [
                node("Constant", [], ["shape"], value=shape),
                node("Expand", ["a", "shape"], ["b"]),
            ]
        },
        "F",
    )


def test_local_functions_are_looked_into(tmp_path: Path) -> None:
    accepted(with_big_function(4), tmp_path)
    refused(with_big_function(30), tmp_path, "Expand.* makes a tensor of 1073741824")


def test_functions_that_multiply_or_call_themselves_are_refused(tmp_path: Path) -> None:
    chain: dict[str, Sequence[NodeProto]] = {"F0": [node("Relu", ["a"], ["b"])]}
    for level in range(1, 7):
        steps = [mine(f"F{level - 1}", f"t{i}", f"t{i + 1}") for i in range(8)]
        ends = [node("Identity", ["a"], ["t0"]), node("Identity", ["t8"], ["b"])]
        chain[f"F{level}"] = [ends[0], *steps, ends[1]]
    refused(with_functions(chain, "F6"), tmp_path, "operators; at most")
    itself = {"F": [mine("F", "a", "b")]}
    refused(with_functions(itself, "F"), tmp_path, "calls itself|not a valid ONNX model")


def test_foreign_operators_are_named(tmp_path: Path) -> None:
    made = with_big([mine("Evil", "one", "big")], domains=["mine"])
    refused(made, tmp_path, "mine::Evil")


def test_operators_of_onnx_runtime_are_accepted(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gelu", ["one"], ["big"], domain="com.microsoft")]
    accepted(with_big(nodes, domains=["com.microsoft"]), tmp_path)


def test_the_light_graphs_of_onnx_are_accepted() -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for path in sorted(light.glob("*.onnx")):
        dims = read_model(path).shapes.dims(onnx.load(path).graph.output[0].name)
        assert dims is not None
        assert dims[:2] == (1, 1000), path.name


def open_sides(px: int, repeats: int) -> ModelProto:
    """Takes any size by its declaration, but has weights for `px` pixels a side alone."""
    nodes = [
        node("Flatten", ["image"], ["flat"]),
        node("MatMul", ["flat", "w"], ["features"]),
        node("Shape", ["features"], ["shape"]),
        node("Mul", ["shape", "repeats"], ["more"]),
        node("ConstantOfShape", ["more"], ["big"]),
        node("ReduceMax", ["big"], ["top"], keepdims=0),
        node("Add", ["features", "top"], ["scores"]),
    ]
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, "H", "W"])},
        {"scores": (TensorProto.FLOAT, ["N", 2])},
        {"w": np.ones((3 * px * px, 2), np.float32), "repeats": np.array([repeats, 1])},
    )


def test_open_sides_are_tried_until_they_fit_the_weights(tmp_path: Path) -> None:
    accepted(open_sides(32, 2), tmp_path)
    refused(open_sides(32, 2**30), tmp_path, "ConstantOfShape makes a tensor of 2147483648")


def test_sizes_that_fit_at_no_side_cannot_be_told(tmp_path: Path) -> None:
    refused(open_sides(33, 2**30), tmp_path, "cannot be told before it runs")


def test_texts_are_not_worked_out(tmp_path: Path) -> None:
    """A regular expression may take for ever on a text of a few bytes."""
    many = numpy_helper.from_array(np.array(11111111111))
    made = models.model(
        [
            node("Constant", [], ["number"], value=many),
            node("Cast", ["number"], ["text0"], to=TensorProto.STRING),
            *(node("StringConcat", [f"text{i}"] * 2, [f"text{i + 1}"]) for i in range(3)),
            node("RegexFullMatch", ["text3"], ["matches"], pattern="(1+)+2"),
            node("GlobalAveragePool", ["image"], ["pooled"]),
            node("Flatten", ["pooled"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, 8, 8])},
        {"scores": (TensorProto.FLOAT, ["N", 3])},
        {},
        opset=20,
    )
    began = time.process_time()
    accepted(made, tmp_path)
    assert time.process_time() - began < 5
