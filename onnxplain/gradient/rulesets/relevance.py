"""Relevance propagation: layers of weights hand down the relevance that they were given.

The state of a tensor A is ``g``, with the relevance ``R = A g``. So nodes that only pass values
on, add them or pool them keep the gradient's own rules, and a sum hands down in proportion. At
some tensors the state is R itself (see `onnxplain.gradient.rulesets.forms`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

from onnxplain.gradient.cuts import Region
from onnxplain.gradient.node import Node, read_node
from onnxplain.gradient.paths import find_dependents
from onnxplain.gradient.refusal import GradientError
from onnxplain.gradient.rules.activation import mask_positive
from onnxplain.gradient.rules.norms import FIXED_RULES
from onnxplain.gradient.rulesets.activations import RATIOS
from onnxplain.gradient.rulesets.forms import (
    ARRANGING,
    NORMALISING,
    RECTIFYING,
    Forms,
    find_forms,
    find_front,
)
from onnxplain.gradient.rulesets.gates import find_gates
from onnxplain.gradient.rulesets.layers_of_weights import CONVOLUTIONS, Weights, WeightsFinder
from onnxplain.gradient.rulesets.rectified import SMOOTH
from onnxplain.gradient.rulesets.residual import NORMS, SUMS, balance_sum, find_normalised
from onnxplain.gradient.rulesets.signs import is_never_negative
from onnxplain.gradient.rulesets.spreading import (
    RETURN_RELEVANCE,
    SPREADS,
    TINIEST,
    Handover,
    Settings,
    stabilise,
)
from onnxplain.gradient.rulesets.walk import Ground, Walk
from onnxplain.gradient.stops import find_stops
from onnxplain.gradient.tape import Grads, Rule, Tape

# The relevance of the score: its value, 1, or its value if that is positive, else 0.
Start: TypeAlias = Literal["score", "one", "positive"]
PRODUCTS = {"Einsum", "MatMul", "Mul"}
BENDING = {*RECTIFYING, *SMOOTH}


def make_relevance(
    ground: Ground,
    *,
    conv: str,
    dense: str,
    first: str = "",
    last: str = "",
    start: Start = "score",
    rectifiers_only: bool = False,
    through_attention: bool = False,
    residual: bool = False,
    conv_gamma: float | None = None,
    **numbers: Any,
) -> Walk:
    """Make the walk that hands down relevance.

    Parameters
    ----------
    ground : Ground
        The graph, and the gradient's own rules.
    conv, dense : str
        The rules of convolutions and of matrix products with weights
        (see `onnxplain.gradient.rulesets.spreading`).
    first, last : str
        Other rules of the layers that read the image, and of those that make the score without
        an activation behind them; empty for none.
    start : {'score', 'one', 'positive'}
        The relevance of the score: its value, 1, or its value if it is positive, else 0.
    rectifiers_only : bool
        Whether other activations are an error.
    through_attention : bool
        Whether attention weights get relevance and hand it down through their softmax, or are
        held fixed.
    residual : bool
        Whether normalisations and sums have the rules of `onnxplain.gradient.rulesets.residual`;
        else deviations are held fixed, and sums share out in proportion.
    conv_gamma : float, optional
        Of the rule gamma in convolutions; that of all layers if not given.
    **numbers
        Of `onnxplain.gradient.rulesets.spreading.Settings`.

    Raises
    ------
    GradientError
        If no layer of weights reads the image and `first` is given, or for another activation
        than a rectifier.
    """
    finder = WeightsFinder(ground.region)
    layers = finder.find()
    front = find_front(ground.region)
    finals = _find_last(ground.region, layers) if last else set()
    chosen: dict[str, str] = {}
    for y, node in layers.items():
        rule = conv if node.operator in CONVOLUTIONS else dense
        if y in finals:
            rule = last
        chosen[y] = first if first and front & set(node.inputs) else rule
    if first and first not in chosen.values():
        raise GradientError(
            f"no layer of weights reads the image itself, and the rule {first!r} is for the first "
            f"one; choose a composite without it, such as epsilon-plus"
        )
    if last == "contrastive" and not finals:
        raise GradientError(
            f"an activation stands between the last layer of weights and the scores, and the rule "
            f"{last!r} turns the weights of a last layer around; choose mwp or lrp"
        )
    if rectifiers_only:
        _check_activations(ground.region)
    returning = {
        name
        for y, rule in chosen.items()
        if rule in RETURN_RELEVANCE
        for name in layers[y].inputs
        if name in ground.region.places
    }
    forms = find_forms(ground.region, returning)
    if residual:
        normalised = find_normalised(ground.region)
        forms = replace(forms, direct=forms.direct | normalised)
    settings = Settings(**numbers)
    in_convolutions = replace(settings, gamma=settings.gamma if conv_gamma is None else conv_gamma)
    stops = find_stops(ground.region)
    if through_attention:
        stops = {name: kind for name, kind in stops.items() if kind != "attention"}
    sharing = find_dependents(ground.graph, [ground.region.source], stops)
    layer_settings = settings, in_convolutions
    walk = _Relevance(ground, finder, chosen, forms, sharing, *layer_settings, start, residual)
    notes = {"layer_rules": dict(Counter(chosen.values())), "stops": dict(Counter(stops.values()))}
    return Walk(dict.fromkeys(ground.rules, walk.step), notes, frozenset(stops))


def _find_last(region: Region, layers: Mapping[str, Node]) -> set[str]:
    """Find the layers of weights that make the score without an activation behind them."""
    last, seen, waiting = set(), set(), [region.target]
    while waiting:
        node = region.producers.get(waiting.pop())
        if node is None or node.output[0] in seen or node.op_type in BENDING:
            continue
        seen.add(node.output[0])
        if node.output[0] in layers:
            last.add(node.output[0])
        else:
            waiting += [name for name in node.input if name in region.places]
    return last


def _check_activations(region: Region) -> None:
    signals = find_gates(region).signals
    for node in map(read_node, region.nodes):
        if node.operator in SMOOTH or node.y in signals:
            raise GradientError(
                f"node {node.name!r} ({node.operator}): the method is defined for networks of "
                f"rectifiers alone; choose lrp, which also knows other activations"
            )


@dataclass(frozen=True, eq=False)
class _Relevance:
    """The steps of the walk."""

    ground: Ground
    finder: WeightsFinder
    chosen: Mapping[str, str]  # the rule of each layer of weights, by the tensor that it makes
    forms: Forms
    sharing: AbstractSet[str]  # what depends on the image by slopes, and is not held fixed
    settings: Settings
    in_convolutions: Settings
    start: Start
    residual: bool

    @property
    def region(self) -> Region:
        return self.ground.region

    @cached_property
    def added(self) -> Mapping[str, str]:
        """The products of weights to which a bias is added, by what that makes."""
        nodes = (self.region.producers[y] for y in self.chosen)
        pairs = ((read_node(node).y, self.finder.find_added(read_node(node))) for node in nodes)
        return {adding.y: product for product, adding in pairs if adding is not None}

    def step(self, tape: Tape, node: Node, grads: Grads) -> Grads:
        """Go back through a node."""
        if node.y == self.region.target:
            grads = [self._begin(tape, grads[0])]
        if node.y in self.chosen:
            return self._spread(tape, self.finder.read(tape, node), grads[0])
        if node.y in self.added:
            return [grads[0] if name == self.added[node.y] else None for name in node.inputs]
        wanted = [name for name in node.inputs if tape.wants(name)]
        is_direct = {*wanted, *node.outputs} <= self.forms.direct
        if is_direct and node.operator in ARRANGING:
            return self.ground.rules[node.operator](tape, node, grads)
        if is_direct and node.operator in NORMALISING | RECTIFYING:
            return [self._pass_on(tape, node, name, grads[0]) for name in node.inputs]
        if self.residual and node.operator in NORMS:
            return [self._pass_on(tape, node, node.x, grads[0])]
        per_unit = [self._divide(tape, y, g) for y, g in zip(node.outputs, grads, strict=True)]
        parts = [name for name in node.inputs if name in self.sharing]
        below = self._go_back(tape, node, per_unit, parts)
        if self.residual and node.operator in SUMS:
            below = balance_sum(tape, node, below, parts)
        return [self._multiply(tape, x, g) for x, g in zip(node.inputs, below, strict=False)]

    def _begin(self, tape: Tape, one: str | None) -> str | None:
        """Write the state of the score, whose relevance is the score where its state is 1."""
        if one is None or self.start == "score":
            return one
        score = self.region.target
        if self.start == "positive":
            return mask_positive(tape, score)
        return tape.div(one, stabilise(tape, score, TINIEST))

    def _pass_on(self, tape: Tape, node: Node, name: str, grad: str | None) -> str | None:
        if grad is None or not name or not tape.wants(name):
            return None
        return tape.unbroadcast(grad, tape.shape(node.y), name)

    def _divide(self, tape: Tape, name: str, grad: str | None) -> str | None:
        if grad is None or name not in self.forms.direct:
            return grad
        # Sums of what is 0 or more are no smaller than any part, which multiplies the result.
        tiny = TINIEST if is_never_negative(tape, name) else self.settings.tiny
        return tape.div(grad, stabilise(tape, name, tiny))

    def _multiply(self, tape: Tape, name: str, grad: str | None) -> str | None:
        if grad is None or name not in self.forms.direct:
            return grad
        return tape.mul(grad, name)

    def _go_back(self, tape: Tape, node: Node, grads: Grads, parts: list[str]) -> Grads:
        """Go back through a node that has no weights, with states per unit of value.

        Its parts are those of its inputs that share in relevance, whether asked for or not.
        """
        rule: Rule = FIXED_RULES.get(node.operator) or self.ground.rules[node.operator]
        if node.operator in RATIOS and len(parts) == 1 and grads[0] is not None:
            grad = tape.mul(grads[0], RATIOS[node.operator](tape, node))
            return [grad if name in parts else None for name in node.inputs]
        if node.operator in PRODUCTS and len(parts) == 2:  # each factor gets a half
            return [g and tape.scale(g, 0.5) for g in rule(tape, node, grads)]
        return rule(tape, node, grads)

    def _spread(self, tape: Tape, layer: Weights, grad: str | None) -> Grads:
        """Go back through a layer of weights."""
        if grad is None or not tape.wants(layer.x):
            return [None]
        rule = self.chosen[layer.node.y]
        relevance = grad if layer.y in self.forms.direct else tape.mul(grad, layer.y)
        is_convolution = layer.node.operator in CONVOLUTIONS
        handover = Handover(
            layer,
            relevance,
            self.in_convolutions if is_convolution else self.settings,
            is_never_negative(tape, layer.x),
            layer.y in self.forms.direct or not self._is_rectified(layer.y),
            self._find_bounds(tape, layer.x) if rule == "zbox" else None,
        )
        below: str | None = SPREADS[rule](handover)
        if rule not in RETURN_RELEVANCE:
            below = self._multiply(tape, layer.x, below)
        return [below if name == layer.x else None for name in layer.node.inputs]

    def _is_rectified(self, y: str) -> bool:
        """Return whether nothing below 0 of a tensor is read, so that it gets no relevance."""
        readers = {reader.op_type for reader in self.region.consumers.get(y, ())}
        return readers == {"Relu"}

    def _find_bounds(self, tape: Tape, name: str) -> tuple[str, str] | None:
        """Write what a black and a white image become at a tensor of the front."""
        if name not in self.forms.front or self.ground.bounds is None:
            return None
        ends = [self._carry(tape, name, tape.real(image)) for image in self.ground.bounds]
        return tape.op("Min", *ends), tape.op("Max", *ends)

    def _carry(self, tape: Tape, name: str, image: str) -> str:
        """Write what an image becomes at a tensor of the front."""
        if name == self.region.source:
            return image
        node = read_node(self.region.producers[name])
        inputs = [
            self._carry(tape, given, image) if given in self.forms.front else given
            for given in node.inputs
        ]
        outputs = tape.ops(node.operator, inputs, len(node.outputs), **node.attributes)
        return outputs[node.outputs.index(name)]
