"""Models that cannot be differentiated are refused with the reason and a way out."""

from __future__ import annotations

import pytest
from onnx import ModelProto

from onnxplain.gradient import RULES, GradientError, GradientRequest
from onnxplain.gradient.refusal import check_names_are_free
from tests.helpers.gradient_networks import (
    DX,
    build_network_gradient,
    build_relu_gradient,
    make_network,
    move_into_branch,
    rename_tensor,
)


def test_operator_without_a_rule_is_refused_with_its_node_and_advice() -> None:
    rules = {name: rule for name, rule in RULES.items() if name != "Relu"}
    text = r"node 'second' \(Relu\).*no gradient rule.*add a rule"
    with pytest.raises(GradientError, match=text):
        build_relu_gradient(rules=rules)


def make_network_with_name(name: str, place: str) -> ModelProto:
    """Make a network with a name among its weights, its nodes' outputs or those of a branch."""
    model = make_network()
    if place == "branch":
        return move_into_branch(model, name)
    return rename_tensor(model, "w2" if place == "weights" else "c", name)


@pytest.mark.parametrize("name", ["target", "target_score", DX])
@pytest.mark.parametrize("place", ["weights", "node", "branch"])
def test_tensor_with_a_name_of_the_gradient_graph_is_refused(name: str, place: str) -> None:
    model = make_network_with_name(name, place)
    with pytest.raises(GradientError, match=f"a tensor named '{name}', which the gradient graph"):
        build_network_gradient(model, GradientRequest("x", "y"))


def test_free_names_pass_and_the_first_taken_one_is_named() -> None:
    check_names_are_free({"a", "b"}, ["c", "d"])
    with pytest.raises(GradientError, match="'b'"):
        check_names_are_free({"a", "b"}, ["c", "b", "a"])
