"""Rule sets: the project's, replaced and installed rules."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
from onnx import numpy_helper

from onnxplain.gradient import (
    RULES,
    RULES_GROUP,
    Grads,
    Node,
    Tape,
    first_output_rule,
    load_installed_rules,
)
from onnxplain.gradient.rules import FLAT
from tests.helpers.gradient_networks import (
    DX,
    build_relu_gradient,
    make_relu_network,
    run_gradient,
)
from tests.helpers.gradients import draw_normal


@first_output_rule
def guide(tape: Tape, node: Node, g: str) -> Grads:
    """Guided backpropagation: Relu also backwards (Springenberg et al., ICLR 2015)."""
    (plain,) = RULES["Relu"](tape, node, [g])
    assert plain is not None
    return [tape.op("Relu", plain)]


def test_replaced_rule_is_applied_at_every_node() -> None:
    x = draw_normal(4, 5, seed=3).astype("f")
    gradient = build_relu_gradient(rules={**RULES, "Relu": guide})
    a, b, c = (numpy_helper.to_array(t) for t in make_relu_network().graph.initializer)
    h1 = x @ a
    h2 = np.maximum(h1, 0) @ b
    g = np.maximum(c.T[:4] * (h2 > 0), 0)
    g = np.maximum(g @ b.T * (h1 > 0), 0)
    outputs = run_gradient(gradient, x, [0, 1, 2, 3])
    np.testing.assert_allclose(outputs[DX], g @ a.T, rtol=1e-5, atol=1e-6)


def test_installed_rules_are_added_to_the_projects_own() -> None:
    where = f"{guide.__module__}:guide"
    rules = load_installed_rules({"domain::Relu": EntryPoint("domain::Relu", where, RULES_GROUP)})
    assert rules["domain::Relu"] is guide
    assert rules["Conv"] is RULES["Conv"]


def test_installed_rule_of_a_standard_operator_replaces_the_projects_own() -> None:
    entry = EntryPoint("Relu", f"{guide.__module__}:guide", RULES_GROUP)
    assert load_installed_rules({"Relu": entry})["Relu"] is guide
    assert RULES["Relu"] is not guide


def test_operators_without_gradient_have_no_rule() -> None:
    assert not FLAT & RULES.keys()
