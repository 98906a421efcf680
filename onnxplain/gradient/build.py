"""Reverse-mode differentiation of an ONNX graph into an ONNX graph."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.data import ScoreKind
from onnxplain.core.inside import RuleTable
from onnxplain.core.spec import Head
from onnxplain.gradient.cuts import find_region
from onnxplain.gradient.declare import declare_shapes
from onnxplain.gradient.facts import (
    FLOATS,
    Array,
    Facts,
    Feeds,
    Measure,
    measure_facts,
    read_real_type,
)
from onnxplain.gradient.heads import SCORE, TARGET, add_head
from onnxplain.gradient.masked import MASK, CoarseMask, add_mask
from onnxplain.gradient.node import Node, read_node
from onnxplain.gradient.parameters import find_parameters
from onnxplain.gradient.paths import find_dependents, list_nodes_back_from, list_nodes_for, prune
from onnxplain.gradient.prepare import has_halves, prepare, store_as_halves
from onnxplain.gradient.refusal import ADVICE, GradientError, Refusal, check_names_are_free
from onnxplain.gradient.rules import load_installed_rules
from onnxplain.gradient.rulesets import apply_table
from onnxplain.gradient.rulesets.walk import Ground, Walk
from onnxplain.gradient.tape import Grads, Rule, Tape
from onnxplain.graph.names import collect_tensor_names
from onnxplain.graph.surgery import drop_unused_domains
from onnxplain.graph.writer import GraphWriter

SLOPE = "slope/"  # in front of the name of an ordinary gradient beside that of a rule table
NOTES = "onnxplain.notes"  # key of a gradient graph's metadata


def gradient_name(tensor: str) -> str:
    """Return the name of the output that holds the gradient of a tensor."""
    return f"d_score/d_{tensor}"


def slope_name(tensor: str) -> str:
    """Return the name of the output that holds a gradient beside that of a rule table."""
    return f"{SLOPE}{gradient_name(tensor)}"


@dataclass(frozen=True)
class GradientRequest:
    """What a gradient graph should compute besides the scores.

    Parameters
    ----------
    input, output : str
        Names of the model's image and of its scores.
    head : str
        What `output` holds, as ``head`` of `onnxplain.core.spec.ModelSpec`.
    scale : (scale, zero_point)
        As ``output_scale`` of `onnxplain.core.spec.ModelSpec`.
    kind : {'probability', 'logit', 'log-odds', 'raw', 'contrast'}
        The score of the target that is differentiated.
    tensors : tuple of str
        Inner tensors to output together with their gradients; of the input, its gradient.
    mask : CoarseMask, optional
        A mask that composes the image with a fill. Its gradient then takes the place of the
        image's, and the inputs `mask` and `fill` are added (see `add_mask`).
    image : bool
        Whether the gradient by the image, or by the mask, is wanted. Without it, the walk ends
        at the tensors.
    reads : tuple of str
        Inner tensors to output without gradients.
    rules : RuleTable, optional
        Rules that replace the gradient's own (see `onnxplain.gradient.rulesets`).
    slopes : bool
        Whether the ordinary gradients by the tensors are wanted, too, under `slope_name`.
    bounds : tuple of ndarray, optional
        A black and a white image, (1, ...), as they enter the model: for rules that need them.
    parameters : bool
        Whether the gradients by all weights are wanted, in place of any other.
    whole : bool
        Whether each normalisation stays a node of its own, with the weights that it was trained
        with.
    """

    input: str
    output: str
    head: Head = "logits"
    scale: tuple[float, float] = (1.0, 0.0)
    kind: ScoreKind = "probability"
    tensors: tuple[str, ...] = ()
    mask: CoarseMask | None = None
    image: bool = True
    reads: tuple[str, ...] = ()
    rules: RuleTable | None = None
    slopes: bool = False
    bounds: tuple[Array, Array] | None = None
    parameters: bool = False
    whole: bool = False

    @property
    def source(self) -> str:
        """The input that the image's gradient is by."""
        return MASK if self.mask else self.input

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors whose gradients are wanted, each once."""
        names = (self.source, *self.tensors) if self.image else self.tensors
        return tuple(dict.fromkeys(names))


def build_gradient(
    model: ModelProto,
    request: GradientRequest,
    measure: Measure,
    examples: Sequence[Feeds],
    *,
    rules: Mapping[str, Rule] | None = None,
) -> ModelProto:
    """Build a model that gives the scores of images and the gradient of their target's score.

    Parameters
    ----------
    model : ModelProto
        A classifier, with its weights.
    request : GradientRequest
        What to compute.
    measure : Measure
        Folds constants and runs models.
    examples : sequence of feeds
        Inputs to measure shapes with: two feeds of different batch sizes, neither of them 1,
        for a model of dynamic batch size; one feed for a model of fixed batch size, which the
        input then declares.
    rules : mapping of Rule, optional
        Rules by operator; the project's and the installed rules if not given. A rule table
        of the request changes them.

    Returns
    -------
    gradient : ModelProto
        Inputs: the model's and ``target``, (N,) int64. Outputs: the model's scores,
        ``target_score`` (N,), the gradient of the source under `gradient_name`, and each of
        `request.tensors` with its gradient. A row's gradient is that of its own score alone.
        What a rule table noted stands in the metadata `NOTES`, as JSON.

    Raises
    ------
    GradientError
        If an operator between the image and the score has no rule; the message names the node.
    """
    prepared = prepare(model)
    dtype = read_real_type(prepared.graph, request.input)
    _check_score_type(prepared.graph, request.output, dtype)
    if len(examples) == 1:
        _fix_batch(prepared.graph, request.input, examples[0][request.source].shape[0])
    if request.mask:
        add_mask(prepared.graph, request.input, request.mask, dtype)
    _check_names(prepared.graph, request)
    _check_inputs(prepared.graph, examples[0])
    add_head(
        prepared,
        request.output,
        kind=request.kind,
        head=request.head,
        scale=request.scale,
        dtype=dtype,
    )
    _add_outputs(prepared.graph, (*request.tensors, *request.reads))
    # Folding a scale into a weight of 16 bits would widen it; the runtime does so on loading.
    halves = has_halves(model)
    # Rules are of whole layers.
    merge = not request.whole and (not halves or request.rules is not None)
    folded = ModelProto.FromString(measure.fold(prepared.SerializeToString(), merge=merge))
    prune(folded.graph)  # outputs besides the scores may have no shape
    targets = [np.zeros(feeds[request.source].shape[0], np.int64) for feeds in examples]
    batches = [{**feeds, TARGET: row} for feeds, row in zip(examples, targets, strict=True)]
    facts = measure_facts(folded, measure, batches, dtype)
    rules = load_installed_rules() if rules is None else rules
    walk, sources = Walk(rules), request.sources
    region = find_region(folded.graph, request.source, SCORE)
    if request.parameters:
        sources = find_parameters(folded.graph, region)
    if request.rules is not None:
        walk = apply_table(request.rules, Ground(rules, region, folded.graph, request.bounds))
    gradient = differentiate(
        folded, facts, score=SCORE, sources=sources, rules=walk.rules, stops=walk.stops
    )
    if request.slopes:
        gradient = differentiate(
            gradient, facts, score=SCORE, sources=request.tensors, rules=rules, naming=slope_name
        )
    if walk.notes:
        helper.set_model_props(gradient, {NOTES: json.dumps(walk.notes)})
    if halves and not request.whole:
        store_as_halves(gradient)
    drop_unused_domains(gradient)
    return gradient


def read_notes(model: bytes) -> dict[str, Any]:
    """Return what a rule table noted in a gradient graph, for the record of a result."""
    entries = ModelProto.FromString(model).metadata_props
    notes: dict[str, Any] = json.loads(
        next((entry.value for entry in entries if entry.key == NOTES), "{}")
    )
    return notes


def _check_score_type(graph: onnx.GraphProto, output: str, dtype: np.dtype[Any]) -> None:
    """Raise an error if the scores are integers, or real numbers of another type than the input."""
    for value in graph.output:
        code = value.type.tensor_type.elem_type
        if value.name != output or code == TensorProto.UNDEFINED or FLOATS.get(code) == dtype:
            continue
        name = TensorProto.DataType.Name(code).lower()
        if code not in FLOATS:
            raise GradientError(
                f"output {output!r} holds {name}, which has no gradient; export the model with the "
                f"real numbers that were quantised"
            )
        raise GradientError(
            f"output {output!r} holds {name} and the input {dtype}: a graph that changes its "
            f"precision has no gradient; export the model without the Cast between them"
        )


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


def _check_names(graph: onnx.GraphProto, request: GradientRequest) -> None:
    gradients = [*map(gradient_name, request.sources)]
    if request.slopes:
        gradients += map(slope_name, request.tensors)
    check_names_are_free(collect_tensor_names(graph), (TARGET, SCORE, *gradients))
    computed = {request.input, *(name for node in graph.node for name in node.output)}
    for name in (*request.tensors, *request.reads):
        if name not in computed:
            raise GradientError(f"the model computes no tensor named {name!r}")


def _check_inputs(graph: onnx.GraphProto, feeds: Feeds) -> None:
    missing = [value.name for value in graph.input if value.name not in feeds]
    if missing:
        raise GradientError(
            f"the model needs more inputs than the image: {', '.join(missing)}; export it with "
            "its constants inside"
        )


def _fix_batch(graph: onnx.GraphProto, input: str, rows: int) -> None:
    """Declare the batch size; a model may declare none and still run with one size only."""
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name == input and dims:
            dims[0].dim_value = rows


def _add_outputs(graph: onnx.GraphProto, tensors: Sequence[str]) -> None:
    """Make inner tensors outputs, so that folding keeps them; whoever feeds an input has it."""
    declared = {value.name for value in (*graph.input, *graph.output)}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in declared)
