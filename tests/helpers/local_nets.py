"""Small convolutional classifiers, in which a patch changes few values of the first layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.helpers import models
from tests.helpers.specs import session_of

SIZE = (37, 46)
node = helper.make_node


class Net:
    """A classifier that is written node by node, with random weights; it reads ``image``."""

    def __init__(
        self, size: tuple[int, int] = SIZE, *, layout: str = "nchw", opset: int = 18
    ) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, NDArray[Any]] = {}
        self.rng = np.random.default_rng(4)
        self.opset = opset
        self.shape = ["N", 3, *size] if layout == "nchw" else ["N", *size, 3]

    def store(self, value: Any, dtype: Any = np.float32) -> str:
        """Store a constant."""
        name = f"t{len(self.tensors)}"
        self.tensors[name] = np.asarray(value, dtype)
        return name

    def op(self, kind: str, *inputs: str, n: int = 1, **attributes: Any) -> Any:
        """Write a node and return the name of its output, or the names of several."""
        names = [f"v{len(self.nodes)}_{place}" for place in range(n)]
        self.nodes.append(node(kind, inputs, names, **attributes))
        return names[0] if n == 1 else names

    def conv(
        self, x: str, channels: tuple[int, int], side: int | tuple[int, int] = 3, **attributes: Any
    ) -> str:
        """Write a convolution with a bias."""
        sides = (side, side) if isinstance(side, int) else side
        shape = (channels[1], channels[0] // attributes.get("group", 1), *sides)
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        weights = self.store(self.rng.normal(size=shape) * scale)
        bias = self.store(self.rng.normal(size=channels[1]) * 0.2)
        return str(self.op("Conv", x, weights, bias, **attributes))

    def finish(self, x: str) -> ModelProto:
        """Add a dense layer, which weighs every position by itself, and return the model."""
        images = np.zeros([side if isinstance(side, int) else 1 for side in self.shape], np.float32)
        (values,) = session_of(self._build(x, [None] * 4)).run({"image": images}, [x])
        n = values.size
        weights = self.store(self.rng.normal(size=(n, 3)) / np.sqrt(n))
        self.nodes.append(node("MatMul", [self.op("Flatten", x), weights], ["scores"]))
        return self._build("scores", ["N", 3])

    def _build(self, output: str, shape: list[Any]) -> ModelProto:
        return models.model(
            self.nodes,
            {"image": (TensorProto.FLOAT, self.shape)},
            {output: (TensorProto.FLOAT, shape)},
            self.tensors,
            opset=self.opset,
        )


def vgg(net: Net) -> str:
    x = "image"
    for channels in ((3, 8), (8, 8)):
        x = net.op("Relu", net.conv(x, channels, pads=[1] * 4))
        x = net.op("Relu", net.conv(x, (8, 8), pads=[1] * 4))
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return x


def residual(net: Net) -> str:
    x = net.op("Relu", net.conv("image", (3, 8), 7, strides=[2, 2], pads=[3] * 4))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stride in (1, 2):
        y = net.op("Relu", net.conv(x, (8, 8), strides=[stride] * 2, pads=[1] * 4))
        y = net.conv(y, (8, 8), pads=[1] * 4)
        short = x if stride == 1 else net.conv(x, (8, 8), 1, strides=[2, 2])
        x = net.op("Relu", net.op("Add", y, short))
    return x


def mobile(net: Net) -> str:
    low, high = net.store(0.0), net.store(1.5)
    x = net.op("Clip", net.conv("image", (3, 8), strides=[2, 2], pads=[1] * 4), low, high)
    for stride in (1, 2):
        y = net.op("Clip", net.conv(x, (8, 16), 1), low, high)
        y = net.conv(y, (16, 16), strides=[stride] * 2, pads=[1] * 4, group=16)
        y = net.conv(net.op("Clip", y, low, high), (16, 8), 1)
        x = net.op("Add", x, y) if stride == 1 else y
    return x


def strange_windows(net: Net) -> str:
    """Strides of 3, pads that differ on all sides, dilations, oblong kernels and strides."""
    x = net.conv("image", (3, 6), (5, 2), strides=[3, 1], pads=[0, 1, 2, 0])
    x = net.conv(net.op("Tanh", x), (6, 6), 3, dilations=[2, 3], pads=[4, 0, 1, 3])
    return net.conv(net.op("Elu", x), (6, 6), (1, 4), strides=[1, 3], pads=[0, 0, 0, 3])


def same_upper(net: Net) -> str:
    x = net.conv("image", (3, 6), 3, strides=[2, 2], auto_pad="SAME_UPPER")
    x = net.conv(net.op("Sigmoid", x), (6, 6), 5, strides=[3, 2], auto_pad="SAME_UPPER")
    return net.conv(x, (6, 6), 2, auto_pad="SAME_UPPER")


def same_lower(net: Net) -> str:
    x = net.op("MaxPool", "image", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER")
    x = net.conv(x, (3, 6), 4, strides=[3, 3], auto_pad="SAME_LOWER")
    return net.conv(x, (6, 6), 3, auto_pad="VALID")


def gaps(net: Net) -> str:
    """Strides that are longer than kernels: some pixels are read by nobody."""
    x = net.conv("image", (3, 6), 1, strides=[3, 2])
    return net.conv(net.op("Softplus", x), (6, 6), 2, strides=[3, 3], auto_pad="SAME_UPPER")


def max_pools(net: Net) -> str:
    x = net.op(
        "MaxPool", "image", kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 0, 0], ceil_mode=1
    )
    x = net.conv(x, (3, 6), 3)
    return net.op("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 0, 0, 1])


def mean_pools(net: Net) -> str:
    x = net.op(
        "AveragePool", "image", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1
    )
    x = net.conv(x, (3, 6), 3, pads=[1] * 4)
    return net.op("AveragePool", x, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1])


def counting_pools(net: Net) -> str:
    x = net.op(
        "AveragePool", "image", kernel_shape=[3, 3], strides=[2, 2], pads=[2, 1, 0, 1],
        count_include_pad=1,
    )  # fmt: skip
    x = net.op("LpPool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 0], p=2)
    return net.op(
        "AveragePool", net.conv(x, (3, 6), 2), kernel_shape=[4, 2], pads=[2, 1, 2, 1],
        count_include_pad=1,
    )  # fmt: skip


def pad_nodes(net: Net) -> str:
    pads = net.store([0, 0, 2, 1, 0, 0, 1, 3], np.int64)
    x = net.op("Pad", "image", pads, net.store(0.7))
    x = net.conv(x, (3, 6), 4, strides=[2, 3])
    x = net.op("Pad", x, net.store([0, 0, 0, 1, 0, 0, 1, 0], np.int64))
    return net.conv(x, (6, 6), 3, pads=[1] * 4)


def branches(net: Net) -> str:
    """Branches of other windows, joined by channel; normalised, and split again."""
    x = net.op("Relu", net.conv("image", (3, 8), strides=[2, 2], pads=[1] * 4))
    x = net.op("LRN", x, size=3)
    wide = net.conv(x, (8, 4), 5, pads=[2] * 4)
    pooled = net.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
    x = net.op("Concat", net.conv(x, (8, 4), 1), wide, pooled, axis=1)
    moments = [net.store(np.abs(net.rng.normal(size=16)) + 0.5) for _ in range(4)]
    x = net.op("BatchNormalization", x, *moments)
    x = net.op("PRelu", x, net.store(np.full((16, 1, 1), 0.2)))
    first, second = net.op("Split", x, net.store([8, 8], np.int64), n=2, axis=1)
    x = net.op("Mul", first, net.op("Sigmoid", second))
    return net.conv(x, (8, 6), 3, strides=[2, 2])


def channels_last(net: Net) -> str:
    x = net.op("Transpose", "image", perm=[0, 3, 1, 2])
    x = net.op("Transpose", net.conv(x, (3, 6), strides=[2, 2], pads=[1] * 4), perm=[0, 2, 3, 1])
    x = net.op("Mul", x, net.store(net.rng.normal(size=6)))
    x = net.conv(net.op("Transpose", x, perm=[0, 3, 1, 2]), (6, 6), 3, auto_pad="SAME_UPPER")
    return net.op("Transpose", net.op("Relu", x), perm=[0, 2, 3, 1])


NETS: Mapping[str, Callable[[Net], str]] = {
    write.__name__: write
    for write in (
        *(vgg, residual, mobile, strange_windows, same_upper, same_lower, gaps, max_pools),
        *(mean_pools, counting_pools, pad_nodes, branches, channels_last),
    )
}


def make_net(name: str, size: tuple[int, int] = SIZE) -> ModelProto:
    """Make one of `NETS`."""
    net = Net(size, layout="nhwc" if name == "channels_last" else "nchw")
    return net.finish(NETS[name](net))
