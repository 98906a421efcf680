"""Operators in plain NumPy, for onnx's reference evaluator.

The evaluator's own operators round to float32 (Erf, Gelu, GroupNormalization), are wrong for
groups or channels (Conv, ConvTranspose, LRN), or are slow (pooling).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun
from scipy.special import erf

Array = NDArray[Any]


class Erf(OpRun):
    def _run(self, x: Array) -> tuple[Array]:
        return (erf(x).astype(x.dtype),)


class Gelu(OpRun):
    def _run(self, x: Array, approximate: str | None = None) -> tuple[Array]:
        if approximate == "tanh":
            half = 1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        else:
            half = 1 + erf(x / np.sqrt(2))
        return ((x * half / 2).astype(x.dtype),)


class GroupNormalization(OpRun):
    def _run(
        self,
        x: Array,
        scale: Array,
        bias: Array,
        epsilon: float | None = None,
        num_groups: int = 1,
        stash_type: int | None = None,
    ) -> tuple[Array]:
        parts = x.reshape(len(x), num_groups, -1)
        spread = np.sqrt(parts.var(2, keepdims=True) + (epsilon or 1e-5))
        xh = ((parts - parts.mean(2, keepdims=True)) / spread).reshape(x.shape)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        repeats = x.shape[1] // len(scale)
        scale, bias = (np.repeat(vector, repeats).reshape(shape) for vector in (scale, bias))
        return ((xh * scale + bias).astype(x.dtype),)


class LRN(OpRun):
    def _run(
        self, x: Array, alpha: float = 0.0, beta: float = 0.0, bias: float = 0.0, size: int = 1
    ) -> tuple[Array]:
        total = np.zeros_like(x)
        for channel in range(x.shape[1]):
            low, high = channel - (size - 1) // 2, channel + size // 2 + 1
            total[:, channel] = (x[:, max(low, 0) : high] ** 2).sum(1)
        return ((x / (bias + alpha / size * total) ** beta).astype(x.dtype),)


class Geometry:
    """Windows over the spatial axes of an array (N, C, ...)."""

    def __init__(
        self,
        shape: Sequence[int],
        kernel: Sequence[int],
        strides: Any,
        dilations: Any,
        pads: Any,
        auto_pad: str | None,
        ceil_mode: int | None = 0,
    ) -> None:
        axes = len(kernel)
        self.kernel = kernel
        self.strides = strides or [1] * axes
        self.dilations = dilations or [1] * axes
        pads = pads or [0] * 2 * axes
        self.inputs = shape[2:]
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilations, kernel, strict=True)]
        self.before, self.after, self.outputs = [], [], []
        for axis, (size, span, step) in enumerate(
            zip(self.inputs, spans, self.strides, strict=True)
        ):
            low, high = pads[axis], pads[axis + axes]
            if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
                total = max((-(-size // step) - 1) * step + span - size, 0)
                low, high = total // 2, total - total // 2
                if auto_pad == "SAME_LOWER":
                    low, high = high, low
            steps = size + low + high - span
            out = (-(-steps // step) if ceil_mode else steps // step) + 1
            self.before.append(low)
            self.after.append(max(0, (out - 1) * step + span - size - low, high))
            self.outputs.append(out)

    def pad(self, x: Array, value: float) -> Array:
        spatial = zip(self.before, self.after, strict=True)
        return np.pad(x, [(0, 0), (0, 0), *spatial], constant_values=value)

    def list_reads(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Yield each place of the kernel with the slices of the padded input that it reads."""
        for place in itertools.product(*map(range, self.kernel)):
            yield (
                place,
                tuple(
                    slice(k * d, k * d + (n - 1) * s + 1, s)
                    for k, d, n, s in zip(
                        place, self.dilations, self.outputs, self.strides, strict=True
                    )
                ),
            )


class Conv(OpRun):
    def _run(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        auto_pad: Any = None,
        dilations: Any = None,
        group: int | None = None,
        kernel_shape: Any = None,
        pads: Any = None,
        strides: Any = None,
    ) -> tuple[Array]:
        group = group or 1
        g = Geometry(x.shape, w.shape[2:], strides, dilations, pads, auto_pad)
        padded = g.pad(x, 0)
        y = np.zeros((len(x), group, len(w) // group, *g.outputs), x.dtype)
        kernels = w.reshape(group, len(w) // group, *w.shape[1:])
        for place, window in g.list_reads():
            read = padded[:, :, *window].reshape(len(x), group, -1, *g.outputs)
            y += np.einsum("ngc...,gmc->ngm...", read, kernels[:, :, :, *place])
        y = y.reshape(len(x), len(w), *g.outputs)
        return (y if b is None else y + b.reshape(-1, *(1 for _ in g.outputs)),)


class ConvTranspose(OpRun):
    def _run(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        auto_pad: Any = None,
        dilations: Any = None,
        group: int | None = None,
        kernel_shape: Any = None,
        output_padding: Any = None,
        output_shape: Any = None,
        pads: Any = None,
        strides: Any = None,
    ) -> tuple[Array]:
        group, kernel = group or 1, w.shape[2:]
        axes = len(kernel)
        g = Geometry(x.shape, [1] * axes, strides, dilations, None, None)
        pads, extra = pads or [0] * 2 * axes, output_padding or [0] * axes
        sizes = [
            (n - 1) * s + d * (k - 1) + 1 + e
            for n, s, d, k, e in zip(
                x.shape[2:], g.strides, g.dilations, kernel, extra, strict=True
            )
        ]
        y = np.zeros((len(x), group, w.shape[1], *sizes), x.dtype)
        parts = x.reshape(len(x), group, -1, *x.shape[2:])
        kernels = w.reshape(group, -1, *w.shape[1:])
        for place in itertools.product(*map(range, kernel)):
            written = tuple(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, n, s in zip(place, g.dilations, x.shape[2:], g.strides, strict=True)
            )
            y[:, :, :, *written] += np.einsum("ngc...,gcm->ngm...", parts, kernels[:, :, :, *place])
        y = y.reshape(len(x), -1, *sizes)
        kept = [slice(pads[k], size - pads[k + axes]) for k, size in enumerate(sizes)]
        y = y[:, :, *kept]
        return (y if b is None else y + b.reshape(-1, *(1 for _ in kernel)),)


class MaxPool(OpRun):
    def _run(
        self,
        x: Array,
        auto_pad: Any = None,
        ceil_mode: Any = None,
        dilations: Any = None,
        kernel_shape: Any = None,
        pads: Any = None,
        storage_order: Any = None,
        strides: Any = None,
    ) -> tuple[Array, ...]:
        g = Geometry(x.shape, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
        flat = np.arange(x.size).reshape(x.shape)
        values, places = g.pad(x, -np.inf), g.pad(flat, -1)
        reads = np.stack([values[:, :, *window] for _, window in g.list_reads()])
        sources = np.stack([places[:, :, *window] for _, window in g.list_reads()])
        first = reads.argmax(0)[None]
        y = np.take_along_axis(reads, first, 0)[0].astype(x.dtype)
        index = np.take_along_axis(sources, first, 0)[0]
        return (y, index) if len(self.onnx_node.output) > 1 else (y,)


PLAIN = [Conv, ConvTranspose, Erf, Gelu, GroupNormalization, LRN, MaxPool]
