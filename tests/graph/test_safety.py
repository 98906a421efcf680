"""A few bytes cannot make a model allocate or run without bound."""

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
# Makes two scores of the image and of the tensor `big`.
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


def make_big_model(
    nodes: Sequence[NodeProto],
    tensors: dict[str, NDArray[Any]] | None = None,
    domains: Sequence[str] = (),
) -> ModelProto:
    """Make a classifier that also computes `big` by the nodes, which may be of other domains."""
    all_tensors = {**TENSORS, **(tensors or {})}
    proto = models.model([*nodes, *HEAD], IMAGE, SCORES, all_tensors, check=False)
    proto.opset_import.extend(helper.make_opsetid(domain, 1) for domain in domains)
    return proto


def check_refused(proto: ModelProto, tmp_path: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        read_model(models.save(proto, tmp_path / "bomb.onnx"))
    assert str(caught.value).startswith("bomb.onnx: ")


def check_accepted(proto: ModelProto, tmp_path: Path) -> None:
    read_model(models.save(proto, tmp_path / "fine.onnx"))


def make_subgraph(nodes: Sequence[NodeProto], inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return helper.make_graph(nodes, "inner", list(inputs), list(outputs))


def value(
    name: str, element_type: int = TensorProto.FLOAT, dims: Sequence[Any] | None = None
) -> Any:
    return helper.make_tensor_value_info(name, element_type, dims)


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
def test_tensors_of_a_billion_elements_are_errors(op: str, tmp_path: Path) -> None:
    nodes, tensors = BOMBS[op]
    check_refused(
        make_big_model(nodes, tensors), tmp_path, rf"operator {op} makes a tensor of \d+ elements"
    )


def test_bomb_of_ninety_bytes_is_an_error(tmp_path: Path) -> None:
    proto = models.model(
        [node("ConstantOfShape", ["s"], ["y"])],
        {"s": (TensorProto.INT64, [1])},
        {"y": (TensorProto.FLOAT, [2**30])},
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2**30]), "s"))
    check_refused(proto, tmp_path, "1073741824 elements")


def test_doubling_chains_are_errors(tmp_path: Path) -> None:
    nodes = [node("Identity", ["one"], ["b0"])]
    nodes += [node("Concat", [f"b{i}", f"b{i}"], [f"b{i + 1}"], axis=0) for i in range(30)]
    check_refused(make_big_model([*nodes, node("Identity", ["b30"], ["big"])]), tmp_path, "Concat")


def test_many_tensors_that_live_at_one_time_are_an_error(tmp_path: Path) -> None:
    count = 40  # of 2^27 bytes, all constant and so all kept
    nodes = [node("ConstantOfShape", ["shape"], [f"b{i}"]) for i in range(count)]
    nodes.append(node("Sum", [f"b{i}" for i in range(count)], ["big"]))
    check_refused(make_big_model(nodes, {"shape": np.array([2**25])}), tmp_path, "GiB at one time")


def test_many_tensors_one_after_the_other_are_accepted(tmp_path: Path) -> None:
    nodes = [node("Expand", ["image", "shape"], ["b0"])]
    nodes += [node("Relu", [f"b{i}"], [f"b{i + 1}"]) for i in range(60)]
    nodes.append(node("Identity", ["b60"], ["big"]))
    check_accepted(make_big_model(nodes, {"shape": np.array([2**17, 3, 8, 8])}), tmp_path)


def test_sizes_that_depend_on_pixels_are_errors(tmp_path: Path) -> None:
    nodes = [
        node("ReduceSum", ["image"], ["total"], keepdims=0),
        node("Cast", ["total"], ["count"], to=TensorProto.INT64),
        node("Unsqueeze", ["count", "first"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["big"]),
    ]
    check_refused(
        make_big_model(nodes, {"first": np.array([0])}), tmp_path, "cannot be told before it runs"
    )


def test_sizes_computed_from_the_input_shape_are_followed(tmp_path: Path) -> None:
    def make_squared(power: int) -> ModelProto:
        nodes = [
            node("Shape", ["image"], ["shape"]),
            node("ReduceProd", ["shape"], ["count"], keepdims=0),
            node("Pow", ["count", "power"], ["many"]),
            node("Unsqueeze", ["many", "first"], ["size"]),
            node("ConstantOfShape", ["size"], ["big"]),
        ]
        return make_big_model(nodes, {"first": np.array([0]), "power": np.array(power)})

    check_accepted(make_squared(2), tmp_path)  # 192^2
    check_refused(
        make_squared(4), tmp_path, "ConstantOfShape makes a tensor of 1358954496 elements"
    )


def make_branch(size: int) -> GraphProto:
    shape = numpy_helper.from_array(np.array([size]))
    nodes = [
        node("Constant", [], ["shape"], value=shape),
        node("ConstantOfShape", ["shape"], ["out"]),
    ]
    return make_subgraph(nodes, [], [value("out", dims=[None])])


def test_branches_of_an_if_are_bounded(tmp_path: Path) -> None:
    def make_choice(size: int) -> ModelProto:
        nodes = [
            node("If", ["yes"], ["big"], then_branch=make_branch(4), else_branch=make_branch(size))
        ]
        return make_big_model(nodes, {"yes": np.array(True)})

    check_accepted(make_choice(8), tmp_path)
    check_refused(make_choice(2**30), tmp_path, "ConstantOfShape makes a tensor of 1073741824")


def make_loop_model(trips: int | str, *, grows: bool = False) -> ModelProto:
    """Make a make_loop_model that doubles a value, or its length, `trips` times.

    With a text for `trips`, the pixels decide the number.
    """
    step = (
        node("Concat", ["state", "state"], ["next"], axis=0)
        if grows
        else node("Add", ["state", "state"], ["next"])
    )
    body = make_subgraph(
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
    return make_big_model(
        [*before, node("Loop", ["count", "go_first", "one"], ["big"], body=body)], tensors
    )


def test_loops_must_run_a_known_and_modest_number_of_times(tmp_path: Path) -> None:
    check_accepted(make_loop_model(100), tmp_path)
    check_refused(make_loop_model(3_000_000), tmp_path, "runs 3000000")
    check_refused(make_loop_model("total"), tmp_path, "unknown number")


def test_loops_whose_state_grows_are_errors(tmp_path: Path) -> None:
    check_refused(make_loop_model(40, grows=True), tmp_path, "changes the size of its state")


def make_scan_model(slices: int) -> ModelProto:
    body = make_subgraph(
        [node("Add", ["state", "slice"], ["next"])],
        [value("state", dims=[1]), value("slice", dims=[1])],
        [value("next", dims=[1])],
    )
    nodes = [
        node("ConstantOfShape", ["shape"], ["slices"]),
        node("Scan", ["one", "slices"], ["big"], body=body, num_scan_inputs=1),
    ]
    return make_big_model(nodes, {"shape": np.array([slices, 1])})


def test_scans_must_run_a_modest_number_of_times(tmp_path: Path) -> None:
    check_accepted(make_scan_model(50), tmp_path)
    check_refused(make_scan_model(1_000_000), tmp_path, "Scan runs 1000000")


def test_onnx_light_graphs_are_accepted() -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for path in sorted(light.glob("*.onnx")):
        dims = read_model(path).shapes.dims(onnx.load(path).graph.output[0].name)
        assert dims is not None
        assert dims[:2] == (1, 1000), path.name


def make_open_model(side: int, repeats: int) -> ModelProto:
    """Make a model that declares any size, but whose weights fit only one side in pixels."""
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
        {"w": np.ones((3 * side * side, 2), np.float32), "repeats": np.array([repeats, 1])},
    )


def test_open_sides_are_tried_until_one_fits_the_weights(tmp_path: Path) -> None:
    check_accepted(make_open_model(32, 2), tmp_path)
    check_refused(
        make_open_model(32, 2**30), tmp_path, "ConstantOfShape makes a tensor of 2147483648"
    )


def test_sizes_that_fit_no_side_cannot_be_told(tmp_path: Path) -> None:
    check_refused(make_open_model(33, 2**30), tmp_path, "cannot be told before it runs")


def test_operators_on_texts_are_not_evaluated(tmp_path: Path) -> None:
    """A regular expression can run for ever on a text of a few bytes."""
    many = numpy_helper.from_array(np.array(11111111111))
    proto = models.model(
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
    check_accepted(proto, tmp_path)
    assert time.process_time() - began < 5
