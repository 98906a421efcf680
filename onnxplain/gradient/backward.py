"""Reverse-mode differentiation of an ONNX graph into an ONNX graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from onnx import ModelProto

from onnxplain.gradient.declare import declare_shapes
from onnxplain.gradient.facts import Facts
from onnxplain.gradient.node import Node, read_node
from onnxplain.gradient.paths import find_dependents, list_nodes_back_from, list_nodes_for
from onnxplain.gradient.refusal import ADVICE, GradientError, Refusal
from onnxplain.gradient.rules import load_installed_rules
from onnxplain.gradient.tape import Grads, Rule, Tape
from onnxplain.graph.names import collect_tensor_names
from onnxplain.graph.writer import GraphWriter


def gradient_name(tensor: str) -> str:
    """Return the name of the output that holds the gradient of a tensor."""
    return f"d_score/d_{tensor}"


def differentiate(
    model: ModelProto,
    facts: Facts,
    *,
    score: str,
    sources: Sequence[str],
    rules: Mapping[str, Rule] | None = None,
    stops: AbstractSet[str] = frozenset(),
    naming: Callable[[str], str] = gradient_name,
) -> ModelProto:
    """Return a model with the gradients of one output's sum with respect to some tensors.

    Parameters
    ----------
    model : ModelProto
        Of opset 17 or later.
    facts : Facts
        Measured on this model.
    score : str
        Name of the output. If it holds one number per row, a row's gradient is that of its own
        number.
    sources : sequence of str
        Names of inputs and inner tensors.
    rules : mapping of Rule, optional
        Rules by operator; the project's and the installed rules if not given.
    stops : set of str
        Tensors through which nothing flows.
    naming : callable
        Names the gradient of a tensor.

    Returns
    -------
    gradient : ModelProto
        The model with a further output per source, under its name.

    Raises
    ------
    GradientError
        If the output does not depend on a source, or an operator between them has no rule.
    """
    rules = load_installed_rules() if rules is None else rules
    wanted = find_dependents(model.graph, sources, stops)
    hidden = {*sources, *stops}
    producers = {  # a rule that looked past a source would leave out the source's gradient
        name: node
        for node in map(read_node, model.graph.node)
        for name in node.outputs
        if name and name not in hidden
    }
    tape = Tape(facts, wanted, producers, taken=collect_tensor_names(model.graph))
    terms: defaultdict[str, list[str]] = defaultdict(list)
    terms[score].append(tape.fill_like(score, 1))
    for proto in list_nodes_back_from(score, model.graph, wanted):
        node = read_node(proto)
        grads = [_add_terms(tape, terms, name) for name in node.outputs]
        if all(grad is None for grad in grads):
            continue
        for name, grad in zip(node.inputs, _apply_rule(rules, tape, node, grads), strict=False):
            if grad is not None and name in wanted:
                terms[name].append(grad)
    totals = {name: _add_terms(tape, terms, name) for name in sources}
    gradient = _assemble(model, tape, totals, facts, naming)
    declare_shapes(gradient.graph, facts, terms)
    return gradient


def _apply_rule(rules: Mapping[str, Rule], tape: Tape, node: Node, grads: Grads) -> Grads:
    place = f"node {node.name!r} ({node.operator})"
    if node.operator not in rules:
        raise GradientError(f"{place}: there is no gradient rule for it; {ADVICE}")
    try:
        return rules[node.operator](tape, node, grads)
    except Refusal as refusal:
        raise GradientError(f"{place}: cannot be differentiated: {refusal}; {ADVICE}") from refusal


def _add_terms(tape: Tape, terms: Mapping[str, list[str]], name: str) -> str | None:
    return tape.add(*terms[name]) if name in terms else None


def _assemble(
    model: ModelProto,
    tape: Tape,
    totals: Mapping[str, str | None],
    facts: Facts,
    naming: Callable[[str], str],
) -> ModelProto:
    """Join a model and its tape, with an output for each gradient."""
    gradient = ModelProto()
    gradient.CopyFrom(model)
    graph = gradient.graph
    del graph.value_info[:]
    # A rule may write nodes that it turns out not to need.
    graph.node.extend(list_nodes_for(totals.values(), tape.graph.node))
    graph.initializer.extend(tape.graph.initializer)
    writer = GraphWriter(graph)
    for name, total in totals.items():
        if total is None:
            raise GradientError(
                f"the score does not depend on {name!r} in a way that has a gradient; name a "
                f"tensor between the image and the score"
            )
        writer.add_output(naming(name), facts.dtype, facts.shapes[name], source=total)
    return gradient
