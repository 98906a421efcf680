"""PatternNet and PatternAttribution: back through patterns in place of weights [1]_.

A layer of weights y = W a + b hands down ``P' s``, with the patterns P of its neurons in place of
W, or with the products ``W P``, entry by entry. Everything else keeps the ordinary gradient. The
walk begins with the score.

References
----------
.. [1] Kindermans et al., Learning how to explain neural networks: PatternNet and
   PatternAttribution, ICLR 2018, :arXiv:`1705.05598`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import numpy_helper

from onnxplain.core.pattern_files import Patterns, PatternsError, PatternsFile, read_patterns
from onnxplain.gradient.facts import Array
from onnxplain.gradient.node import Node
from onnxplain.gradient.rulesets.forms import NORMALISING, find_front
from onnxplain.gradient.rulesets.layers_of_weights import Weights, WeightsFinder
from onnxplain.gradient.rulesets.walk import Ground, Walk
from onnxplain.gradient.tape import Grads, Tape

FILTER = "filter"  # patterns that are made of the weights alone
TOLERANCE = 1e-2  # of w' a = 1, in float32, which tells the patterns of other weights
NO_PATTERNS = (
    "needs patterns, which are estimated from photos once: onnxplain patterns MODEL PHOTOS "
    "-o patterns.npz; then give patterns=patterns.npz"
)


def make_patterns(ground: Ground, *, file: PatternsFile, estimator: str, attribution: bool) -> Walk:
    """Make the walk through patterns.

    Parameters
    ----------
    ground : Ground
        The graph, and the gradient's own rules.
    file : PatternsFile
        Where the patterns are; with an empty path for the estimator ``filter``.
    estimator : {'relu', 'linear', 'filter'}
        How they were estimated; ``filter``: ``w / (w' w)``, for which no photo is needed.
    attribution : bool
        Whether patterns are multiplied by the weights.

    Raises
    ------
    PatternsError
        If there are no patterns, or they are those of other weights.
    """
    finder = WeightsFinder(ground.region)
    layers = finder.find()
    known = Patterns({})
    if estimator != FILTER:
        if not file.path:
            raise PatternsError(NO_PATTERNS)
        known = read_patterns(Path(file.path))
        _check_patterns(ground, layers, known, estimator, file.path)
    by_layer = {y: patterns[estimator] for y, patterns in known.by_layer.items()}
    walk = _Patterned(ground, finder, layers, by_layer, attribution)
    notes = {"estimator": estimator, "patterns": dict(known.facts)}
    return Walk(dict.fromkeys(ground.rules, walk.step), notes)


def _check_patterns(
    ground: Ground, layers: Mapping[str, Node], known: Patterns, estimator: str, file: str
) -> None:
    stored = {tensor.name: tensor for tensor in ground.graph.initializer}
    other = (
        f"{file}: holds the patterns of another model; make those of this one with onnxplain "
        f"patterns MODEL PHOTOS"
    )
    for y, node in layers.items():
        if y not in known.by_layer:
            raise PatternsError(f"{other} (there are none for node {node.name!r})")
        pattern = known.by_layer[y][estimator]
        weights = next(numpy_helper.to_array(stored[n]) for n in node.inputs if n in stored)
        if pattern.shape != weights.shape:
            raise PatternsError(f"{other} (node {node.name!r} has weights of another shape)")
        turned = node.operator == "Conv" or node.attributes.get("transB", 0)
        axes = tuple(range(1, weights.ndim)) if turned or node.inputs[0] in stored else (0,)
        along = (weights.astype(np.float64) * pattern).sum(axis=axes)
        lives = pattern.any(axis=axes)
        if np.abs(along[lives] - 1).max(initial=0) > TOLERANCE:
            raise PatternsError(f"{other} (those of node {node.name!r} do not fit its weights)")


@dataclass(frozen=True, eq=False)
class _Patterned:
    """The steps of the walk."""

    ground: Ground
    finder: WeightsFinder
    layers: Mapping[str, Node]
    patterns: Mapping[str, Array]
    attribution: bool

    def step(self, tape: Tape, node: Node, grads: Grads) -> Grads:
        """Go back through a node."""
        region = self.ground.region
        if node.y == region.target and grads[0] is not None:
            grads = [tape.mul(grads[0], region.target)]
        if node.y in self.layers and grads[0] is not None:
            layer = self.finder.read(tape, node)
            below = layer.back(grads[0], self._choose(tape, layer))
            return [below if name == layer.x else None for name in node.inputs]
        if node.operator in NORMALISING and node.y in find_front(region):
            return self._leave_scale(tape, node, grads[0])
        return self.ground.rules[node.operator](tape, node, grads)

    def _choose(self, tape: Tape, layer: Weights) -> str:
        if layer.node.y in self.patterns:
            pattern = tape.real(self.patterns[layer.node.y])
        else:
            pattern = _write_filter(tape, layer)
        return tape.mul(layer.weight, pattern) if self.attribution else pattern

    def _leave_scale(self, tape: Tape, node: Node, grad: str | None) -> Grads:
        """Go back through what normalises the image: a signal has the image's own unit."""
        if grad is None:
            return [None] * len(node.inputs)
        (x,) = (name for name in node.inputs if tape.wants(name))
        if not self.attribution and node.operator in ("Mul", "Div"):
            (factor,) = (name for name in node.inputs if name != x)
            grad = tape.div(grad, factor) if node.operator == "Mul" else tape.mul(grad, factor)
        return [grad if name == x else None for name in node.inputs]


def _write_filter(tape: Tape, layer: Weights) -> str:
    """Write ``w / (w' w)`` for each neuron."""
    rank = len(tape.shape(layer.weight))
    first = layer.node.operator == "Conv" or layer.place == 0
    turned = first or bool(layer.node.attributes.get("transB", 0))
    squares = tape.mul(layer.weight, layer.weight)
    length = tape.sum(squares, list(range(1, rank)) if turned else [0])
    return tape.div(layer.weight, tape.add(length, tape.real(1e-20)))
