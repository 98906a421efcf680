"""Graphs of inpainters, each in the convention of a published export.

All paint the same colour: half the mean of the known pixels plus `TINT`, in RGB in [0, 1], so
that a wrong range, channel order or mask is noticed. The steps before and after it are those
that the published graphs are documented to take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.errors import InpainterError
from onnxplain.runtime import OnnxInpainter, load_inpainter
from tests.helpers import models

TINT = np.array([0.1, 0.2, 0.4], np.float32)
FLOAT, BYTE = TensorProto.FLOAT, TensorProto.UINT8
Dim = int | str


def compute_colour(image: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the colour that graphs here paint into the hole (H, W) of an image (H, W, 3)."""
    colour: NDArray[np.float64] = image[~hole].astype(np.float64).mean(axis=0) / 2 + TINT
    return colour


def load_painter(model: ModelProto, folder: Path, **flags: Any) -> OnnxInpainter:
    """Load a graph as ``painter.onnx`` in a folder, on CPU."""
    path = models.save(model, folder / "painter.onnx")
    return load_inpainter(path, device="cpu", flags=flags)


def make_rectangles(n: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Make masks with one hole each, at different places, of up to half the rows."""
    masks = np.zeros((n, *size), np.float32)
    for k in range(n):
        top, left = (side * (k + 1) // 8 for side in size)
        masks[k, top : top + size[0] // 2 - k, left : left + size[1] // 3] = 1
    return masks


class Graph:
    """Nodes and constants; each call returns the name of its result."""

    def __init__(self, channels: int) -> None:
        self.nodes: list[Any] = []
        self.tensors: dict[str, NDArray[Any]] = {}
        self.axis = channels  # where the channels are: 1 or 3

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors[name] = np.asarray(value, dtype)
        return name

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node; numbers among its inputs become constants."""
        names = [entry if isinstance(entry, str) else self.const(entry) for entry in inputs]
        self.nodes.append(helper.make_node(kind, names, [f"t{len(self.nodes)}"], **attributes))
        return str(self.nodes[-1].output[0])

    def cut(self, x: str, start: int, stop: int, axis: int) -> str:
        bounds = [self.const([number], np.int64) for number in (start, stop, axis)]
        return self.op("Slice", x, *bounds)

    def reverse_channels(self, x: str) -> str:
        """Turn BGR to RGB or back."""
        return self.op("Gather", x, self.const([2, 1, 0], np.int64), axis=self.axis)

    def per_channel(self, values: Sequence[float]) -> str:
        return self.const(np.reshape(values, (3, 1, 1) if self.axis == 1 else (1, 1, 3)))

    def paint(self, rgb: str, hole: str) -> str:
        """Add half the mean of the pixels where the hole is 0, plus the tint: (N, 3, 1, 1)."""
        space = self.const([2, 3] if self.axis == 1 else [1, 2], np.int64)
        known = self.op("Sub", 1.0, hole)
        kept = self.op("Mul", rgb, known)
        total = self.op("ReduceSum", kept, space, keepdims=1)
        area = self.op("Max", self.op("ReduceSum", known, space, keepdims=1), 1.0)
        half = self.op("Mul", self.op("Div", total, area), 0.5)
        return self.op("Add", half, self.per_channel(TINT.tolist()))

    def compose(self, x: str, new: str, hole: str) -> str:
        kept = self.op("Mul", x, self.op("Sub", 1.0, hole))
        return self.op("Add", kept, self.op("Mul", new, hole))

    def scale(self, x: str, factor: float, shift: float) -> str:
        return self.op("Add", self.op("Mul", x, factor), shift)

    def model(
        self,
        inputs: dict[str, tuple[int, Sequence[Any]]],
        output: tuple[str, int, Sequence[Any]],
        *,
        first: dict[str, tuple[int, Sequence[Any]]] | None = None,
        last: dict[str, tuple[int, Sequence[Any]]] | None = None,
    ) -> ModelProto:
        """Make the model; its last node gives its output, others come `first` and `last`."""
        name, kind, dims = output
        self.nodes[-1].output[0] = name
        outputs = {**(first or {}), name: (kind, dims), **(last or {})}
        return models.model(self.nodes, inputs, outputs, self.tensors)


def deepfill_server(
    *, first_mask: bool = False, turned_back: bool = True, batch: Dim = "N"
) -> ModelProto:
    """DeepFill's server graph: (B, 256, 512, 3), BGR bytes in floats, image | mask.

    Version 2 has `first_mask`: ``masks_raw[0:1]``. The programs end in a reversal of the
    channels, which an export may leave out.
    """
    g = Graph(channels=3)
    x, mask = g.cut("input", 0, 256, 2), g.cut("input", 256, 512, 2)
    hole = g.op("Cast", g.op("Greater", g.cut(mask, 0, 1, 3), 127.5), to=FLOAT)
    if first_mask:
        hole = g.cut(hole, 0, 1, 0)
    signed = g.scale(x, 1 / 127.5, -1.0)
    new = g.paint(g.reverse_channels(g.scale(signed, 0.5, 0.5)), hole)
    complete = g.compose(signed, g.reverse_channels(g.scale(new, 2.0, -1.0)), hole)
    bytes_ = g.scale(complete, 127.5, 127.5)
    if turned_back:
        bytes_ = g.reverse_channels(bytes_)
    g.op("Cast", g.op("Clip", bytes_, 0.0, 255.0), to=BYTE)
    return g.model({"input": (FLOAT, [batch, 256, 512, 3])}, ("output", BYTE, [batch, 256, 256, 3]))


def deepfill_network() -> ModelProto:
    """DeepFill v1 itself: NHWC [x * (1 - m), 1, 1 * m] in [-1, 1], BGR; all pixels are new."""
    g = Graph(channels=3)
    x, hole = g.cut("x", 0, 3, 3), g.cut("x", 4, 5, 3)
    # Not hidden by the graph: where the image is not blank in the hole, it shows.
    known = g.op("ReduceSum", g.op("Sub", 1.0, hole), g.const([1, 2], np.int64), keepdims=1)
    total = g.op("ReduceSum", x, g.const([1, 2], np.int64), keepdims=1)
    mean = g.op("Div", total, g.op("Max", known, 1.0))
    rgb = g.scale(g.reverse_channels(mean), 0.5, 0.5)
    new = g.op("Add", g.op("Mul", rgb, 0.5), g.per_channel(TINT.tolist()))
    wide = g.op("Add", g.scale(g.reverse_channels(new), 2.0, -1.0), g.op("Mul", x, 0.0))
    g.op("Clip", wide, -1.0, 1.0)
    return g.model({"x": (FLOAT, ["N", "H", "W", 5])}, ("stage2", FLOAT, ["N", "H", "W", 3]))


def deepfill_torch() -> ModelProto:
    """The port to PyTorch: x * (1 - m) in [-1, 1] and m; coarse, fine, flow; one mask for all."""
    g = Graph(channels=1)
    hole = g.cut("mask", 0, 1, 0)
    space = g.const([2, 3], np.int64)
    area = g.op("ReduceSum", g.op("Sub", 1.0, hole), space, keepdims=1)
    mean = g.op("Div", g.op("ReduceSum", "x", space, keepdims=1), g.op("Max", area, 1.0))
    half = g.op("Mul", g.scale(mean, 0.5, 0.5), 0.5)
    new = g.scale(g.op("Add", half, g.per_channel(TINT.tolist())), 2.0, -1.0)
    coarse, flow = g.op("Mul", "x", 0.0), g.op("Add", "x", 0.0)
    g.op("Add", new, coarse)
    dims = ["N", 3, "H", "W"]
    return g.model(
        {"x": (FLOAT, dims), "mask": (FLOAT, ["N", 1, "H", "W"])},
        ("fine", FLOAT, dims),
        first={coarse: (FLOAT, dims)},
        last={flow: (FLOAT, dims)},
    )


def lama(
    size: tuple[Dim, Dim] = (512, 512), *, batch: Dim = 1, colour: str = "rgb", scale: float = 255.0
) -> ModelProto:
    """LaMa with its composite: [0, 1] in, 0..255 out; Carve's export, and OpenCV's with BGR."""
    g = Graph(channels=1)
    hole = g.op("Cast", g.op("Greater", "mask", 0.0), to=FLOAT)
    rgb = "image" if colour == "rgb" else g.reverse_channels("image")
    new = g.paint(rgb, hole)
    g.op(
        "Mul", g.compose("image", new if colour == "rgb" else g.reverse_channels(new), hole), scale
    )
    return g.model(
        {"image": (FLOAT, [batch, 3, *size]), "mask": (FLOAT, [batch, 1, *size])},
        ("output", FLOAT, [batch, 3, *size]),
    )


def bytes_in_floats(batch: Dim = "N", *, full: float = 1.0) -> ModelProto:
    """0..255 in and out, in floats, with its composite; `full` is the value of a hole."""
    g = Graph(channels=1)
    hole = g.op("Mul", "mask", 1 / full)
    new = g.op("Mul", g.paint(g.op("Mul", "image", 1 / 255), hole), 255.0)
    g.op("Add", g.compose("image", new, hole), 0.0)
    return g.model(
        {"image": (FLOAT, [batch, 3, "H", "W"]), "mask": (FLOAT, [batch, 1, "H", "W"])},
        ("output", FLOAT, [batch, 3, "H", "W"]),
    )


def all_new(loss: float = 0.05) -> ModelProto:
    """[0, 1] in, 0..255 out; known pixels are painted anew, too, and lose a share of themselves."""
    g = Graph(channels=1)
    rough = g.op("Mul", "image", 1 - loss)
    g.op("Mul", g.compose(rough, g.paint("image", "mask"), "mask"), 255.0)
    return g.model(
        {"image": (FLOAT, ["N", 3, "H", "W"]), "mask": (FLOAT, ["N", 1, "H", "W"])},
        ("output", FLOAT, ["N", 3, "H", "W"]),
    )


def migan_pipeline() -> ModelProto:
    """MI-GAN's pipeline: bytes, 255 = known, a feathered edge, one image despite its ``N``."""
    g = Graph(channels=1)
    axis = g.const([0], np.int64)
    image = g.op("Unsqueeze", g.op("Squeeze", "image", axis), axis)
    x = g.op("Cast", image, to=FLOAT)
    known = g.op("Mul", g.op("Cast", "mask", to=FLOAT), 1 / 255)
    hole = g.op("Sub", 1.0, known)
    new = g.op("Mul", g.paint(g.op("Mul", x, 1 / 255), hole), 255.0)
    dilated = g.op("MaxPool", hole, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    soft = g.op("AveragePool", dilated, kernel_shape=[5, 5], pads=[2, 2, 2, 2])
    rounded = g.op("Round", g.compose(x, new, soft))
    g.op("Cast", g.op("Clip", rounded, 0.0, 255.0), to=BYTE)
    return g.model(
        {"image": (BYTE, ["N", 3, "H", "W"]), "mask": (BYTE, ["N", 1, "H", "W"])},
        ("result", BYTE, ["N", 3, "H", "W"]),
    )


def migan_generator(*, keeps: float = 0.0) -> ModelProto:
    """MI-GAN's generator: [mask - 0.5, image * mask], mask 1 = known, [-1, 1] in and out.

    Known pixels keep a share of themselves, or are as new as the others.
    """
    g = Graph(channels=1)
    known, x = g.scale(g.cut("input", 0, 1, 1), 1.0, 0.5), g.cut("input", 1, 4, 1)
    space = g.const([2, 3], np.int64)
    area = g.op("Max", g.op("ReduceSum", known, space, keepdims=1), 1.0)
    mean = g.op("Div", g.op("ReduceSum", x, space, keepdims=1), area)
    half = g.op("Mul", g.scale(mean, 0.5, 0.5), 0.5)
    new = g.scale(g.op("Add", half, g.per_channel(TINT.tolist())), 2.0, -1.0)
    if keeps:
        new = g.compose(g.op("Mul", x, keeps), new, g.op("Sub", 1.0, known))
    g.op("Add", new, g.op("Mul", x, 0.0))
    return g.model({"input": (FLOAT, ["N", 4, "H", "W"])}, ("output", FLOAT, ["N", 3, "H", "W"]))


def plain(
    *,
    hole: tuple[float, float] = (1.0, 0.0),
    multiple: int = 1,
    batch: Dim = "N",
    first_mask: bool = False,
    reads_hole: bool = False,
    noise: float = 0.0,
    empty: float = 1.0,
    channels: int = 1,
    threshold: float | None = None,
) -> ModelProto:
    """The plain convention except for the arguments: good and faulty graphs.

    Parameters
    ----------
    hole : (hole, known)
        Values of the mask.
    multiple : int
        Sides must be multiples of it: pixels go to channels and back.
    first_mask : bool
        The first mask of a batch is taken for all.
    reads_hole : bool
        The pixels in the hole influence what is painted.
    noise : float
        Deviation of random numbers in the hole.
    empty : float
        With 0, an image without known pixels is painted NaN.
    channels : int
        Of the mask input.
    threshold : float, optional
        The mask is a hole where it is above this.
    """
    g = Graph(channels=1)
    inside, outside = hole
    mask = g.cut("mask", 0, 1, 1) if channels > 1 else "mask"
    m = g.scale(mask, 1 / (inside - outside), -outside / (inside - outside))
    if threshold is not None:
        m = g.op("Cast", g.op("Greater", mask, threshold), to=FLOAT)
    if first_mask:
        m = g.cut(m, 0, 1, 0)
    x = "image"
    if multiple > 1:
        x = g.op("SpaceToDepth", x, blocksize=multiple)
        x = g.op("DepthToSpace", x, blocksize=multiple)
    seen = g.op("Mul", m, 0.0) if reads_hole else m
    new = g.paint(x, seen)
    if noise:
        new = g.op("Add", new, g.op("RandomNormalLike", x, scale=noise))
    if not empty:
        area = g.op("ReduceSum", g.op("Sub", 1.0, m), g.const([2, 3], np.int64), keepdims=1)
        new = g.op("Mul", new, g.op("Div", area, area))
    g.op("Add", g.compose(x, new, m), 0.0)
    return g.model(
        {
            "image": (FLOAT, [batch, 3, "H", "W"]),
            "mask": (FLOAT, [batch, channels, "H", "W"]),
        },
        ("output", FLOAT, [batch, 3, "H", "W"]),
    )


def separate(
    *,
    layout: str = "nchw",
    dtype: int = FLOAT,
    mask_dtype: int = FLOAT,
    mask_axis: bool = True,
    colour: str = "rgb",
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    full: float | None = None,
) -> ModelProto:
    """Image and mask of other forms.

    Bytes are 0..255 for the image, and a hole is 255 unless `full` is given; `mask_axis`:
    whether the mask has an axis of channels. The image has `mean` and `std` in the graph's
    channel order; the output is RGB in [0, 1] or bytes.
    """
    white, usual = (255.0 if kind == BYTE else 1.0 for kind in (dtype, mask_dtype))
    g = Graph(channels=1)
    x = g.op("Mul", g.op("Cast", "image", to=FLOAT), 1 / white)
    m = g.op("Mul", g.op("Cast", "mask", to=FLOAT), 1 / (full or usual))
    if layout == "nhwc":
        x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    x = g.op("Add", g.op("Mul", x, g.per_channel(std)), g.per_channel(mean))
    if colour == "bgr":
        x = g.reverse_channels(x)
    if not mask_axis:
        m = g.op("Unsqueeze", m, g.const([1], np.int64))
    elif layout == "nhwc":
        m = g.op("Transpose", m, perm=[0, 3, 1, 2])
    answer = g.compose(x, g.paint(x, m), m)
    if layout == "nhwc":
        answer = g.op("Transpose", answer, perm=[0, 2, 3, 1])
    scaled = g.op("Mul", answer, white)
    if dtype == BYTE:
        scaled = g.op("Clip", scaled, 0.0, 255.0)
    g.op("Cast", g.op("Round", scaled) if dtype == BYTE else scaled, to=dtype)
    pixels, plane = ["N", "H", "W", 3], ["N", "H", "W", 1]
    if layout == "nchw":
        pixels, plane = ["N", 3, "H", "W"], ["N", 1, "H", "W"]
    return g.model(
        {"image": (dtype, pixels), "mask": (mask_dtype, plane if mask_axis else ["N", "H", "W"])},
        ("output", dtype, pixels),
    )


def fixed_rows(rows: int) -> ModelProto:
    """The plain convention, but pictures must have `rows` rows, which its ports do not say."""
    g = Graph(channels=1)
    pixels = g.op("Add", "image", np.zeros((rows, 1)))
    g.op("Add", g.compose(pixels, g.paint(pixels, "mask"), "mask"), 0.0)
    return g.model(
        {"image": (FLOAT, ["N", 3, "H", "W"]), "mask": (FLOAT, ["N", 1, "H", "W"])},
        ("output", FLOAT, ["N", 3, "H", "W"]),
    )


def halving() -> ModelProto:
    """Gives a picture of half the size that it declares."""
    g = Graph(channels=1)
    joined = g.op("Mul", "image", g.op("Sub", 1.0, "mask"))
    g.op("AveragePool", joined, kernel_shape=[2, 2], strides=[2, 2])
    return g.model(
        {"image": (FLOAT, ["N", 3, "H", "W"]), "mask": (FLOAT, ["N", 1, "H", "W"])},
        ("output", FLOAT, ["N", 3, "H", "W"]),
    )


def copying() -> ModelProto:
    """Takes an image without a mask and returns it."""
    g = Graph(channels=1)
    g.op("Identity", "image")
    return g.model({"image": (FLOAT, ["N", 3, "H", "W"])}, ("output", FLOAT, ["N", 3, "H", "W"]))


def check_contradiction(
    model: ModelProto, flags: Mapping[str, Any], says: str, folder: Path
) -> None:
    """Check that loading an inpainter with these flags is an error that says this (a regex)."""
    with pytest.raises(InpainterError, match=rf"(?s)painter.onnx: .*{says}"):
        load_painter(model, folder, **flags)
