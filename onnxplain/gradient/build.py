"""Reverse-mode differentiation of an ONNX graph into an ONNX graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from onnxplain.core.data import ScoreKind
from onnxplain.core.errors import BY_SCORES
from onnxplain.core.spec import Head
from onnxplain.gradient.declare import declare_shapes
from onnxplain.gradient.facts import Facts, Feeds, Measure, measure_facts, reads, real_type
from onnxplain.gradient.heads import SCORE, TARGET, add_head
from onnxplain.gradient.masked import MASK, CoarseMask, add_mask
from onnxplain.gradient.paths import reached, reaching
from onnxplain.gradient.prepare import has_halves, prepare, store_as_halves
from onnxplain.gradient.refusal import ADVICE, GradientError, Refusal, check_free
from onnxplain.gradient.rules import load_installed_rules
from onnxplain.gradient.tape import Grads, Node, Rule, Tape, read_node
from onnxplain.graph.names import collect_tensor_names, find_unused_prefix


def gradient_name(tensor: str) -> str:
    """Name of the output that holds the gradient of a tensor."""
    return f"d_score/d_{tensor}"


@dataclass(frozen=True)
class GradientRequest:
    """What a gradient graph should compute beside the scores.

    Parameters
    ----------
    input, output : str
        The model's image and its scores.
    head : {'logits', 'probabilities', 'sigmoid'}
        What the scores are.
    kind : {'probability', 'logit', 'log-odds'}
        Which score of the target is differentiated.
    tensors : tuple of str
        Inner tensors that are wanted with their gradients.
    mask : CoarseMask, optional
        A mask to compose the image with a fill; its gradient is wanted then in place of the
        image's, and the inputs `mask` and `fill` are added (see `add_mask`).
    """

    input: str
    output: str
    head: Head = "logits"
    kind: ScoreKind = "probability"
    tensors: tuple[str, ...] = ()
    mask: CoarseMask | None = None

    @property
    def source(self) -> str:
        """The input whose gradient is wanted."""
        return MASK if self.mask else self.input


def build_gradient(
    model: ModelProto,
    wish: GradientRequest,
    measure: Measure,
    examples: Sequence[Feeds],
    *,
    rules: Mapping[str, Rule] | None = None,
) -> ModelProto:
    """A model that gives the scores of images and the gradient of their target's score.

    Parameters
    ----------
    model : ModelProto
        A classifier, with its weights.
    wish : Wish
        What is wanted of it.
    measure : Measure
        Folds constants and runs models.
    examples : sequence of feeds
        Inputs to measure shapes with: of two batch sizes, neither 1, for a model of
        dynamic batch size; one feed for a model of fixed batch size, which its input then
        declares.
    rules : mapping of Rule, optional
        The project's and the installed ones if not given.

    Returns
    -------
    gradient : ModelProto
        Its inputs are the model's and ``target``, (N,) int64; its outputs the model's
        scores, ``target_score`` (N,), and under `gradient_name` the gradient of the
        source; for each of `wish.tensors` itself and its gradient. A row's gradient is
        that of its own score alone.

    Raises
    ------
    GradientError
        If an operator between the image and the score has no rule, naming the node.
    """
    prepared = prepare(model)
    dtype = real_type(prepared.graph, wish.input)
    if len(examples) == 1:
        _fix_batch(prepared.graph, wish.input, examples[0][wish.source].shape[0])
    if wish.mask:
        add_mask(prepared.graph, wish.input, wish.mask, dtype)
    _check_names(prepared.graph, wish)
    _check_inputs(prepared.graph, examples[0])
    add_head(prepared, wish.output, kind=wish.kind, head=wish.head, dtype=dtype)
    _expose(prepared.graph, wish.tensors)
    # A weight of 16 bits times a scale is one of 32: the runtime merges them when it loads.
    halves = has_halves(model)
    folded = ModelProto.FromString(measure.fold(prepared.SerializeToString(), merge=not halves))
    _prune(folded.graph)
    batches = [{**feeds, TARGET: _zeros(feeds[wish.source].shape[0])} for feeds in examples]
    facts = measure_facts(folded, measure, batches, dtype)
    gradient = differentiate(
        folded, facts, score=SCORE, sources=(wish.source, *wish.tensors), rules=rules
    )
    if halves:
        store_as_halves(gradient)
    return gradient


def differentiate(
    model: ModelProto,
    facts: Facts,
    *,
    score: str,
    sources: Sequence[str],
    rules: Mapping[str, Rule] | None = None,
) -> ModelProto:
    """Add to a model the gradient of the sum of one output with respect to some tensors.

    Parameters
    ----------
    model : ModelProto
        Of opset 17 or later.
    facts : Facts
        Measured on this model.
    score : str
        The output; if it holds one number a row, a row's gradient is that of its own.
    sources : sequence of str
        Inputs and inner tensors.
    rules : mapping of Rule, optional
        The project's and the installed ones if not given.

    Raises
    ------
    GradientError
        If the output does not depend on a source, or an operator between has no rule.
    """
    rules = load_installed_rules() if rules is None else rules
    wanted = reached(model.graph, sources)
    producers = {  # a rule that looked past a source would leave out its gradient
        name: read
        for read in map(read_node, model.graph.node)
        for name in read.outputs
        if name and name not in sources
    }
    prefix = find_unused_prefix("gradient/", collect_tensor_names(model.graph))
    tape = Tape(facts, wanted, producers, prefix=prefix)
    found: defaultdict[str, list[str]] = defaultdict(list)
    found[score].append(_ones_like(tape, score, facts))
    for proto in reaching(model.graph, score, wanted):
        node = read_node(proto)
        grads = [_total(tape, found, name) for name in node.outputs]
        if all(grad is None for grad in grads):
            continue
        for name, grad in zip(node.inputs, _apply(rules, tape, node, grads), strict=False):
            if grad is not None and name in wanted:
                found[name].append(grad)
    totals = {name: _total(tape, found, name) for name in sources}
    result = _assemble(model, tape, totals, facts)
    declare_shapes(result.graph, facts, found)
    return result


def _apply(rules: Mapping[str, Rule], tape: Tape, node: Node, grads: Grads) -> Grads:
    place = f"node {node.name!r} ({node.operator})"
    if node.operator not in rules:
        raise GradientError(f"{place}: there is no gradient rule for it; {ADVICE}")
    try:
        return rules[node.operator](tape, node, grads)
    except Refusal as refusal:
        raise GradientError(f"{place}: cannot be differentiated: {refusal}; {ADVICE}") from refusal


def _total(tape: Tape, found: Mapping[str, list[str]], name: str) -> str | None:
    parts = found.get(name)
    return tape.add(*parts) if parts else None


def _ones_like(tape: Tape, score: str, facts: Facts) -> str:
    one = numpy_helper.from_array(facts.dtype.type(1).reshape(1))
    return tape.op("ConstantOfShape", tape.op("Shape", score), value=one)


def _assemble(
    model: ModelProto, tape: Tape, totals: Mapping[str, str | None], facts: Facts
) -> ModelProto:
    """The model and its tape in one, with an output for each gradient."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.value_info[:]
    # A rule may write what it turns out not to need.
    graph.node.extend(_needed(tape.nodes, totals.values()))
    graph.initializer.extend(tape.initializers)
    code = helper.np_dtype_to_tensor_dtype(facts.dtype)
    for name, total in totals.items():
        if total is None:
            raise GradientError(
                f"the score does not depend on {name!r} in a way that has a gradient; name a "
                f"tensor between the image and the score, or {BY_SCORES}"
            )
        output = gradient_name(name)
        graph.node.append(helper.make_node("Identity", [total], [output]))
        graph.output.append(helper.make_tensor_value_info(output, code, facts.shapes[name]))
    return result


def _needed(nodes: Sequence[onnx.NodeProto], roots: Iterable[str | None]) -> list[onnx.NodeProto]:
    """The nodes that lead to some tensors."""
    wanted, kept = set(roots), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= reads(node)
            kept.append(node)
    return kept[::-1]


def _prune(graph: onnx.GraphProto) -> None:
    """Keep what leads to the outputs: what a model gives beside its scores may have no shape."""
    listed = {value.name for value in graph.output}
    nodes = _needed(graph.node, listed)
    del graph.node[:]
    graph.node.extend(nodes)
    used = listed.union(*map(reads, nodes))
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in used:
            del graph.initializer[place]


def _check_names(graph: onnx.GraphProto, wish: GradientRequest) -> None:
    gradients = map(gradient_name, (wish.source, *wish.tensors))
    check_free(collect_tensor_names(graph), (TARGET, SCORE, *gradients))
    made = {name for node in graph.node for name in node.output}
    for name in wish.tensors:
        if name not in made:
            raise GradientError(f"the model computes no tensor named {name!r}")


def _check_inputs(graph: onnx.GraphProto, feeds: Feeds) -> None:
    missing = [value.name for value in graph.input if value.name not in feeds]
    if missing:
        raise GradientError(
            f"the model wants more inputs than the image: {', '.join(missing)}; export it with "
            "its constants inside"
        )


def _fix_batch(graph: onnx.GraphProto, input: str, rows: int) -> None:
    """Let the input tell the batch; a model may declare any, and run with one size only."""
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name == input and dims:
            dims[0].dim_value = rows


def _expose(graph: onnx.GraphProto, tensors: Sequence[str]) -> None:
    """Make inner tensors outputs, which folding keeps."""
    listed = {value.name for value in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in listed)


def _zeros(rows: int) -> NDArray[np.int64]:
    return np.zeros(rows, np.int64)
