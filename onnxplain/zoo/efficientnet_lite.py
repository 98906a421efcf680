"""EfficientNet-Lite as an ONNX graph, built from its trained weights.

It is EfficientNet [1]_ without squeeze-and-excitation and with ReLU6 for swish [2]_: a stem,
seven stages of inverted bottlenecks (expand 1 x 1, depthwise k x k, project 1 x 1), a head.
Width and depth grow with the variant, except for the stem, the head and the number of
blocks in the first and last stage. Batch normalisation is folded into the convolutions.

Padding is TensorFlow's SAME: if the number of rows or columns to add is odd, the larger half goes
after the image. It is written into the graph as numbers, because it depends on the image's size.

References
----------
.. [1] Tan & Le, EfficientNet: rethinking model scaling for convolutional neural networks,
   ICML 2019, :arXiv:`1905.11946`
.. [2] Liu, Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog, 2020
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from onnxplain.core.errors import ZooError
from onnxplain.graph.writer import GraphWriter
from onnxplain.zoo.legacy_pth import StateDict

INPUT, OUTPUT, FEATURES = "image", "logits", "features"
BATCH_NORM_EPSILON = 1e-3
OPSET, IR_VERSION = 17, 8


@dataclass(frozen=True)
class Variant:
    """Width and depth multipliers, and the side of the square image in pixels."""

    width: float
    depth: float
    size: int


class Stage(NamedTuple):
    """Equal blocks in a row, as in table 1 of [1]_; `channels` without the width multiplier."""

    blocks: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280


class Block(NamedTuple):
    """An inverted bottleneck."""

    kernel: int
    stride: int
    expand: int
    channels_in: int
    channels_out: int


def list_blocks(variant: Variant) -> Iterator[Block]:
    """Yield the bottlenecks of a variant, in order."""
    before = STEM_CHANNELS
    for stage in STAGES:
        fixed = stage in (STAGES[0], STAGES[-1])
        after = scale_channels(stage.channels, variant.width)
        for i in range(stage.blocks if fixed else math.ceil(variant.depth * stage.blocks)):
            stride = stage.stride if i == 0 else 1
            yield Block(stage.kernel, stride, stage.expand, before, after)
            before = after


def scale_channels(channels: int, width: float) -> int:
    """Return channels times width as the nearest multiple of 8, but at most 10 % less.

    >>> scale_channels(24, 1.1), scale_channels(112, 1.1)
    (24, 120)
    """
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def compute_same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the rows to add before and after, so that ``ceil(size / stride)`` come out.

    >>> compute_same_padding(224, 3, 2), compute_same_padding(65, 3, 2)
    ((0, 1), (1, 1))
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def build_graph(state: StateDict, variant: Variant) -> onnx.ModelProto:
    """Build the classifier (N, 3, size, size) -> (N, classes) logits.

    Parameters
    ----------
    state : dict of ndarray
        Trained weights, named as PyTorch's implementation names them.
    variant : Variant
        The network that they belong to.

    Raises
    ------
    ZooError
        If the weights are not those of this variant.
    """
    graph = _Graph(dict(state))
    x, size = graph.add_conv(INPUT, "_conv_stem", "_bn0", (STEM_CHANNELS, 3, 3, 3), variant.size, 2)
    x = graph.add_relu6(x)
    channels = STEM_CHANNELS
    for i, block in enumerate(list_blocks(variant)):
        x, size = _add_bottleneck(graph, f"_blocks.{i}.", block, x, size)
        channels = block.channels_out
    x, size = graph.add_conv(x, "_conv_head", "_bn1", (HEAD_CHANNELS, channels, 1, 1), size)
    x = graph.add_relu6(x, FEATURES)
    x = graph.add("GlobalAveragePool", [x], "pooled")
    x = graph.add("Flatten", [x], "embedding")
    classes = graph.add_dense(x, "_fc", OUTPUT)
    graph.check_all_used()
    return graph.finish(variant.size, classes)


def _add_bottleneck(graph: _Graph, name: str, block: Block, x: str, size: int) -> tuple[str, int]:
    """Expand, filter each channel, project; with a skip where the shape stays.

    Returns the name of the result, and its side in pixels.
    """
    before = x
    wide = block.channels_in * block.expand
    if block.expand != 1:
        shape = (wide, block.channels_in, 1, 1)
        x, size = graph.add_conv(x, f"{name}_expand_conv", f"{name}_bn0", shape, size)
        x = graph.add_relu6(x)
    shape = (wide, 1, block.kernel, block.kernel)
    x, size = graph.add_conv(
        x, f"{name}_depthwise_conv", f"{name}_bn1", shape, size, block.stride, groups=wide
    )
    x = graph.add_relu6(x)
    shape = (block.channels_out, wide, 1, 1)
    x, size = graph.add_conv(x, f"{name}_project_conv", f"{name}_bn2", shape, size)
    if block.stride == 1 and block.channels_in == block.channels_out:
        x = graph.add("Add", [x, before], f"{name}sum")
    return x, size


class _Graph:
    """A graph under construction, with the weights that it has not used yet."""

    def __init__(self, state: StateDict) -> None:
        self.state = state
        self.writer = GraphWriter(share=False)
        self.zero = self.writer.store(np.array(0, np.float32), "zero")
        self.six = self.writer.store(np.array(6, np.float32), "six")

    def take(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
        """Return the named weights in double precision for folding, and mark them as used."""
        if name not in self.state:
            raise ZooError(f"these are not the weights of this network: {name} is missing")
        value = self.state.pop(name)
        if shape is not None and value.shape != shape:
            raise ZooError(
                f"these are not the weights of this network: {name} has shape {value.shape}, "
                f"not {shape}"
            )
        return value.astype(np.float64)

    def add_constant(self, name: str, value: NDArray[np.float64]) -> str:
        """Add an initialiser; return its name."""
        return self.writer.store(value.astype(np.float32), name)

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node that is named as its output; return that name."""
        return self.writer.op(op, *inputs, name=output, **attributes)

    def add_conv(
        self,
        x: str,
        name: str,
        norm: str,
        shape: tuple[int, int, int, int],
        size: int,
        stride: int = 1,
        groups: int = 1,
    ) -> tuple[str, int]:
        """Add a convolution with its batch normalisation; return the output and its side."""
        weight, bias = self._fold(name, norm, shape)
        before, after = compute_same_padding(size, shape[-1], stride)
        x = self.add(
            "Conv",
            [
                x,
                self.add_constant(f"{name}.weight", weight),
                self.add_constant(f"{name}.bias", bias),
            ],
            name,
            kernel_shape=shape[2:],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
        )
        return x, math.ceil(size / stride)

    def _fold(
        self, name: str, norm: str, shape: tuple[int, int, int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weight and bias of a convolution and its batch normalisation in one."""
        weight = self.take(f"{name}.weight", shape)
        gain, shift, mean, variance = (
            self.take(f"{norm}.{part}", shape[:1])
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        self.take(f"{norm}.num_batches_tracked", ())
        gain = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
        return weight * gain[:, None, None, None], shift - mean * gain

    def add_relu6(self, x: str, output: str | None = None) -> str:
        """Add a clip to 0 ... 6; return its output."""
        return self.add("Clip", [x, self.zero, self.six], output or f"{x}.relu6")

    def add_dense(self, x: str, name: str, output: str) -> int:
        """Add a fully connected layer; return the number of its outputs."""
        weight = self.take(f"{name}.weight")
        bias = self.take(f"{name}.bias", weight.shape[:1])
        inputs = [
            x,
            self.add_constant(f"{name}.weight", weight),
            self.add_constant(f"{name}.bias", bias),
        ]
        self.add("Gemm", inputs, output, transB=1)
        return len(bias)

    def check_all_used(self) -> None:
        """Raise an error if weights are left over, such as those of a deeper network."""
        if self.state:
            raise ZooError(
                f"these are not the weights of this network: {next(iter(self.state))} "
                f"has no place in it"
            )

    def finish(self, size: int, classes: int) -> onnx.ModelProto:
        """Return the finished model, checked."""
        self.writer.add_input(INPUT, np.float32, ["N", 3, size, size])
        self.writer.add_output(OUTPUT, np.float32, ["N", classes])
        model = self.writer.build_model("efficientnet-lite", opset=OPSET, ir_version=IR_VERSION)
        model.producer_name = "onnxplain"
        onnx.checker.check_model(model, full_check=True)
        return model
