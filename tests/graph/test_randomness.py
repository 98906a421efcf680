"""Random operators are found wherever they stand, if the output depends on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from onnxplain.graph.load import ModelFile, read_model
from onnxplain.graph.randomness import list_random_nodes
from tests.helpers import models, random_models


def list_nodes(proto: ModelProto) -> list[str]:
    return [found.node for found in list_random_nodes(proto, "scores")]


@pytest.mark.parametrize("op", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_operators_that_draw_are_named(op: str) -> None:
    assert list_nodes(random_models.noisy(op=op)) == [f"{op} 'noise'"]


@pytest.mark.parametrize(
    ("proto", "found"),
    [
        (random_models.dropping(training=True), ["Dropout 'drop'"]),
        (random_models.dropping(training=False), []),
        (random_models.dropping(training=True, ratio=0.0), []),
        (random_models.normalising(), ["BatchNormalization 'bn'"]),
        (random_models.normalising(training=False), []),
        (models.convnet(), []),
    ],
)
def test_training_mode_is_told_from_inference(proto: ModelProto, found: list[str]) -> None:
    assert list_nodes(proto) == found


def test_a_mode_that_is_computed_is_not_certain() -> None:
    (found,) = list_random_nodes(random_models.secretly_dropping(), "scores")
    assert not found.is_certain
    assert found.node == "Dropout 'drop'"


@pytest.mark.parametrize(("is_test", "found"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("op", ["Dropout", "BatchNormalization"])
def test_old_files_say_with_is_test_whether_they_train(op: str, is_test: int, found: int) -> None:
    more = ["s", "b", "m", "v"] if op == "BatchNormalization" else []
    node = helper.make_node(op, ["z", *more], ["scores"], is_test=is_test)
    proto = random_models.end_with([node], opset=6, check=False)
    assert len(list_nodes(proto)) == found


def test_further_outputs_are_the_training_mode_of_opset_9() -> None:
    outputs = ["scores", "m2", "v2", "sm", "sv"]
    node = helper.make_node("BatchNormalization", ["z", "s", "b", "m", "v"], outputs)
    proto = random_models.end_with([node], opset=9, check=False)
    assert len(list_nodes(proto)) == 1


def test_a_constant_node_may_hold_the_mode() -> None:
    nodes = [
        helper.make_node("Constant", [], ["t"], value=helper.make_tensor("t", 9, [], [True])),
        helper.make_node("Dropout", ["z", "", "t"], ["scores"], name="drop"),
    ]
    assert list_nodes(random_models.end_with(nodes)) == ["Dropout 'drop'"]


def test_branches_are_searched() -> None:
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    noise = helper.make_node("RandomNormalLike", ["z"], ["out"], name="inner")
    keep = helper.make_node("Identity", ["z"], ["out"])
    branches = {
        "then_branch": helper.make_graph([keep], "then", [], [value]),
        "else_branch": helper.make_graph([noise], "else", [], [value]),
    }
    node = helper.make_node("If", ["yes"], ["scores"], **branches)
    assert list_nodes(random_models.end_with([node], yes=np.array(True))) == [
        "RandomNormalLike 'inner'"
    ]


def test_local_functions_are_searched(tmp_path: object, save: Callable[..., ModelFile]) -> None:
    body = [helper.make_node("RandomNormalLike", ["x"], ["y"], name="deep")]
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Noise", ["x"], ["y"], body, imports)
    proto = random_models.end_with(
        [helper.make_node("Noise", ["z"], ["scores"], domain="own")], check=False
    )
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("own", 1))
    (found,) = list_nodes(save(proto).proto)
    assert found.startswith("RandomNormalLike")


def test_what_no_score_depends_on_does_not_count() -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["z"], ["unused"]),
        helper.make_node("Shape", ["unused"], ["shape"]),
        helper.make_node("Reshape", ["z", "shape"], ["scores"]),
    ]
    assert list_nodes(random_models.end_with(nodes)) == []


@pytest.fixture
def save(tmp_path: object) -> Callable[[ModelProto], ModelFile]:
    return lambda proto: read_model(models.save(proto, tmp_path / "net.onnx"))  # type: ignore[operator]  # pytest gives a Path
