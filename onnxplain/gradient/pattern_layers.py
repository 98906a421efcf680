"""The layers of weights of a classifier as patterns are estimated for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, numpy_helper

from onnxplain.gradient.cuts import find_region
from onnxplain.gradient.facts import Measure
from onnxplain.gradient.node import Node
from onnxplain.gradient.prepare import prepare
from onnxplain.gradient.rules.convolution import Window, read_window
from onnxplain.gradient.rulesets.layers_of_weights import WeightsFinder
from onnxplain.gradient.rulesets.rectified import RECTIFIERS

Wide = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PatternLayer:
    """A convolution or a matrix product with stored weights.

    Parameters
    ----------
    node : Node
        What computes it.
    place : int
        Which of its inputs the weights are.
    stored : ndarray
        Its weights, as the node has them.
    bias : ndarray, optional
        One number per neuron; None if no rectifier follows at once, so that no neuron is
        switched off.
    """

    node: Node
    place: int
    stored: NDArray[Any]
    bias: Wide | None

    @property
    def x(self) -> str:
        """The tensor that it reads."""
        return self.node.inputs[1 - self.place]

    @property
    def groups(self) -> int:
        """The number of groups of a convolution."""
        return int(self.node.attributes.get("group", 1))

    def split(self, weights: NDArray[Any]) -> Wide:
        """Turn weights as the node has them into (G, D, M): groups, inputs and neurons of each."""
        wide = weights.astype(np.float64)
        if self.node.operator == "Conv":
            return wide.reshape(self.groups, len(wide) // self.groups, -1).transpose(0, 2, 1)
        return (wide.T if self._is_turned else wide)[None]

    def join(self, weights: Wide) -> NDArray[Any]:
        """Turn weights (G, D, M) into weights as the node has them; the inverse of `split`."""
        if self.node.operator == "Conv":
            whole: NDArray[Any] = weights.transpose(0, 2, 1).reshape(self.stored.shape)
            return whole
        matrix: NDArray[Any] = weights[0]
        return matrix.T if self._is_turned else matrix

    def sample(self, x: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Draw what the layer reads at some positions of one image, (S, G, D).

        Parameters
        ----------
        x : (C, H, W) or (..., D) ndarray
            What it reads of the image.
        count : int
            Most positions.
        """
        if self.node.operator != "Conv":
            rows = x.reshape(-1, x.shape[-1] if self.place == 1 else len(x))
            return _choose(rows, count, rng)[:, None]
        kernel = self.stored.shape[2:]
        w = self._read_window(kernel, x.shape[1:])
        total = int(np.prod(w.outputs))
        chosen = rng.choice(total, min(count, total), replace=False)
        starts = np.unravel_index(chosen, w.outputs)
        padded = np.pad(x, ((0, 0), *_list_pads(w)))
        (rows, columns) = (
            place[:, None] * stride + np.arange(side) * dilation
            for place, stride, side, dilation in zip(
                starts, w.strides, kernel, w.dilations, strict=True
            )
        )
        patches = padded[:, rows[:, :, None], columns[:, None, :]]  # (C, S, rows, columns)
        return patches.transpose(1, 0, 2, 3).reshape(len(chosen), self.groups, -1)

    @property
    def _is_turned(self) -> bool:
        """Whether the neurons are the first axis of the weights."""
        return self.place == 0 or bool(self.node.attributes.get("transB", 0))

    def _read_window(self, kernel: tuple[int, ...], inputs: tuple[int, ...]) -> Window:
        strides = self.node.attributes.get("strides", [1] * len(kernel))
        same = self.node.attributes.get("auto_pad", "NOTSET").startswith("SAME")
        pads = self.node.attributes.get("pads", [0] * (2 * len(kernel)))
        spans = Window(kernel, strides, self._dilations, [], inputs, []).spans
        sizes = zip(inputs, strides, spans, pads[: len(kernel)], pads[len(kernel) :], strict=True)
        outputs = [
            -(-size // stride) if same else (size + before + after - span) // stride + 1
            for size, stride, span, before, after in sizes
        ]
        return read_window(self.node, kernel, inputs, outputs)

    @property
    def _dilations(self) -> list[int]:
        given: list[int] = self.node.attributes.get("dilations", [1] * (self.stored.ndim - 2))
        return given


def _choose(rows: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[Any]:
    if len(rows) <= count:
        return rows
    return rows[rng.choice(len(rows), count, replace=False)]


def _list_pads(w: Window) -> list[tuple[int, int]]:
    return [(before, max(after, 0)) for before, after in zip(w.before, w.after, strict=True)]


def find_pattern_layers(
    model: ModelProto, source: str, target: str, measure: Measure
) -> tuple[ModelProto, tuple[PatternLayer, ...]]:
    """Find the layers, and make a model that returns what each reads.

    Parameters
    ----------
    model : ModelProto
        A classifier, with its weights.
    source, target : str
        Names of its image and its scores.
    measure : Measure
        Folds constants, as rules see the model.

    Returns
    -------
    model : ModelProto
        With the tensors that the layers read as its only outputs, besides `target`.
    layers : tuple of PatternLayer
        In order. Transposed convolutions, and products with more than a matrix, are left out.
    """
    folded = ModelProto.FromString(measure.fold(prepare(model).SerializeToString()))
    region = find_region(folded.graph, source, target)
    finder = WeightsFinder(region)
    stored = {tensor.name: tensor for tensor in folded.graph.initializer}
    layers = []
    for node in finder.find().values():
        place = 1 if node.inputs[0] in region.places else 0
        weight = stored.get(node.inputs[place])
        is_plain = node.operator != "ConvTranspose" and not node.attributes.get("transA", 0)
        if weight is None or not is_plain or (node.operator != "Conv" and len(weight.dims) != 2):
            continue
        if node.operator == "Conv" and len(weight.dims) != 4:
            continue
        added = finder.find_added(node)
        y = added.y if added else node.y
        readers = {reader.op_type for reader in region.consumers.get(y, ())}
        name = node.input(2)
        if added:
            (name,) = (name for name in added.inputs if name != node.y)
        values = numpy_helper.to_array(weight)
        layer = PatternLayer(node, place, values, None)
        if readers and readers <= RECTIFIERS:
            neurons = layer.split(values).shape
            bias = np.zeros(neurons[0] * neurons[2])
            if name in stored:
                bias = bias + numpy_helper.to_array(stored[name]).astype(np.float64).ravel()
            shaped = bias.reshape(neurons[0], 1, neurons[2])
            layer = PatternLayer(node, place, values, shaped)
        layers.append(layer)
    changed = ModelProto()
    changed.CopyFrom(folded)
    del changed.graph.output[:]
    read = dict.fromkeys(layer.x for layer in layers if layer.x != source)
    changed.graph.output.extend(ValueInfoProto(name=name) for name in (*read, target))
    return changed, tuple(layers)
