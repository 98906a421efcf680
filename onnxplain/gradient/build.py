"""Gradients of classifiers: what is asked for is checked, and built as one graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.data import ScoreKind
from onnxplain.core.inside import RuleTable
from onnxplain.core.spec import Head
from onnxplain.gradient.backward import differentiate, gradient_name
from onnxplain.gradient.cuts import find_region
from onnxplain.gradient.facts import (
    FLOATS,
    Array,
    Feeds,
    Measure,
    measure_facts,
    read_real_type,
)
from onnxplain.gradient.heads import SCORE, TARGET, add_head
from onnxplain.gradient.masked import MASK, CoarseMask, add_mask
from onnxplain.gradient.parameters import find_parameters
from onnxplain.gradient.paths import prune
from onnxplain.gradient.prepare import (
    OLDEST,
    check_conversion,
    has_halves,
    prepare,
    read_opset,
    store_as_halves,
)
from onnxplain.gradient.refusal import GradientError, check_names_are_free
from onnxplain.gradient.rules import load_installed_rules
from onnxplain.gradient.rulesets import apply_table
from onnxplain.gradient.rulesets.walk import Ground, Walk
from onnxplain.gradient.tape import Rule
from onnxplain.graph.names import collect_tensor_names
from onnxplain.graph.surgery import drop_unused_domains

SLOPE = "slope/"  # in front of the name of an ordinary gradient beside that of a rule table
NOTES = "onnxplain.notes"  # key of a gradient graph's metadata


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
    _check_inputs(prepared.graph, examples[0])
    if read_opset(model) < OLDEST:
        image, rows = examples[0][request.input], len(examples[0][request.source])
        images = {request.input: np.repeat(image, rows // len(image), axis=0)}
        check_conversion(model, prepared, measure, images, request.output)
    if len(examples) == 1:
        _fix_batch(prepared.graph, request.input, examples[0][request.source].shape[0])
    if request.mask:
        add_mask(prepared.graph, request.input, request.mask, dtype)
    _check_names(prepared.graph, request)
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
