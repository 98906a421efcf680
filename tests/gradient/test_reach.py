"""How far a change of some pixels reaches, against the changes themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto

from onnxplain.gradient.reach import Locality, Reach, find_local_cuts
from onnxplain.gradient.reading import add_tensors
from tests.helpers.layers import read_grids
from tests.helpers.local_nets import NETS, SIZE, Net, make_net
from tests.helpers.specs import session_of


def find(model: ModelProto, *, channels_last: bool = False) -> Locality:
    return find_local_cuts(read_grids(model, SIZE, channels_last=channels_last))


@pytest.mark.parametrize("name", NETS)
def test_what_a_pixel_changes_lies_within_its_reach(name: str) -> None:
    last = name == "channels_last"
    model = make_net(name)
    cuts = find(model, channels_last=last).cuts
    assert len(cuts) > 2
    changed, tensors = add_tensors(model, "scores", [cut.tensor for cut in cuts[1:]])
    session = session_of(changed)
    rng = np.random.default_rng(0)
    image = rng.random((1, *cuts[0].shape), np.float32)
    before = session.run({"image": image}, tensors)
    for row, column in [(0, 0), (17, 20), (36, 45), (18, 45), (36, 1)]:
        other = image.copy()
        other[(0, row, column) if last else (0, slice(None), row, column)] += 3
        after = session.run({"image": other}, tensors)
        reaches = cuts[0].reaches
        for cut, was, now in zip(cuts[1:], before, after, strict=True):
            reaches = tuple(one.then(two) for one, two in zip(reaches, cut.reaches, strict=True))
            differs = (was != now)[0]
            others = tuple({0, 1, 2} - {axis - 1 for axis in cut.axes})
            places = np.argwhere(differs.any(axis=others))
            for reach, first, side in zip(reaches, (row, column), places.T, strict=True):
                assert (side * reach.step - reach.before <= first).all()
                assert (side * reach.step + reach.after >= first).all()


def test_reaches_of_a_chain_in_closed_form() -> None:
    net = Net()
    x = net.conv("image", (3, 4), (3, 5), strides=[2, 1], pads=[1, 0, 1, 0])
    x = net.op("Relu", x)
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    image, conv, relu, pool, *_ = find(net.finish(x)).cuts
    assert image.grid == SIZE
    assert conv.reaches == (Reach(2, 1, 1), Reach(1, 0, 4))
    assert relu.reaches == (Reach(), Reach())
    assert pool.reaches == (Reach(2, 0, 1), Reach(2, 0, 1))
    assert conv.reaches[0].then(pool.reaches[0]) == Reach(4, 1, 3)


def gate(net: Net, x: str) -> str:
    return str(net.op("Mul", x, net.op("Sigmoid", net.op("GlobalAveragePool", x))))


def scale_by_size(net: Net, x: str) -> str:
    return str(net.op("Div", x, net.op("Cast", net.op("Size", x), to=1)))


def pad_by_size(net: Net, x: str) -> str:
    zeros, start, stop = (net.store(each, np.int64) for each in ([0] * 7, [2], [3]))
    rows = net.op("Slice", net.op("Shape", x), start, stop)
    return str(net.op("Pad", x, net.op("Concat", zeros, net.op("Div", rows, start), axis=0)))


def add_positions(net: Net, x: str) -> str:
    return str(net.op("Add", x, net.store(np.arange(37.0)[:, None])))


def reflect(net: Net, x: str) -> str:
    pads = net.store([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    return str(net.op("Pad", x, pads, mode="reflect"))


def cut_off(net: Net, x: str) -> str:
    return str(net.op("Pad", x, net.store([0, 0, -1, 0, 0, 0, 0, 0], np.int64)))


def enlarge(net: Net, x: str) -> str:
    return str(net.op("Resize", x, "", net.store([1, 1, 2, 2])))


def join_rows(net: Net, x: str) -> str:
    return str(net.op("Concat", x, net.op("Relu", x), axis=2))


def filter_by_image(net: Net, x: str) -> str:
    kernel = net.op(
        "Reshape", net.op("ReduceMean", x, axes=[0, 2, 3]), net.store([4, 1, 1, 1], int)
    )
    return str(net.op("Conv", x, kernel, group=4))


def normalise(net: Net, x: str) -> str:
    return str(net.op("InstanceNormalization", x, net.store(np.ones(4)), net.store(np.zeros(4))))


def quantise(net: Net, x: str) -> str:
    scale, zero = net.store(0.05), net.store(100, np.uint8)
    return str(net.op("DequantizeLinear", net.op("QuantizeLinear", x, scale, zero), scale, zero))


def turn(net: Net, x: str) -> str:
    return str(net.op("Reshape", x, net.store([0, 4, 46, 37], np.int64)))


def soften(net: Net, x: str) -> str:
    return str(net.op("Softmax", x, axis=3))


@pytest.mark.parametrize(
    ("write", "operator"),
    [
        (gate, "GlobalAveragePool"),
        (scale_by_size, "Div"),
        (pad_by_size, "Pad"),
        (add_positions, "Add"),
        (reflect, "Pad"),
        (cut_off, "Pad"),
        (enlarge, "Resize"),
        (join_rows, "Concat"),
        (filter_by_image, "ReduceMean"),
        (normalise, "InstanceNormalization"),
        (quantise, "QuantizeLinear"),
        (turn, "Reshape"),
        (soften, "Softmax"),
    ],
)
def test_what_is_not_local_ends_the_cuts(write: Callable[[Net, str], str], operator: str) -> None:
    net = Net(opset=17)
    x = net.conv("image", (3, 4), pads=[1] * 4)
    model = net.finish(write(net, x))
    locality = find(model)
    assert [cut.tensor for cut in locality.cuts] == ["image", x]
    assert f"({operator})" in locality.end
    assert locality.tail > 0
