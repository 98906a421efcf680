"""NormGrad against explicit outer products, and against the gradient of real weights."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from onnx import helper

import onnxplain
from onnxplain.core.data import Kernel
from onnxplain.methods import LinearApprox, NormGrad
from onnxplain.methods.layers.norm_grad import reduce_norm_grad
from tests.helpers import models
from tests.helpers.inside import explain, open_convnet, open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)
PHASES = ("scaling", "bias", "conv1x1", "conv3x3", "conv3x3-depthwise")
RNG = np.random.default_rng(0)
A, G = (RNG.normal(size=(2, 5, 4, 4)).astype(np.float32) for _ in range(2))


def make_vector(phase: str, a: np.ndarray, g: np.ndarray, row: int, column: int) -> np.ndarray:
    """Make what a position adds to the gradient of the weights, as the paper defines it.

    `a` and `g` are (C, h, w) in float64.
    """
    channels, rows, columns = a.shape
    window = np.zeros((channels, 3, 3))  # around the position, with zeros beyond the border
    for down, across in product(range(3), range(3)):
        r, c = row + down - 1, column + across - 1
        if 0 <= r < rows and 0 <= c < columns:
            window[:, down, across] = a[:, r, c]
    own, slope = a[:, row, column], g[:, row, column]
    return {
        "scaling": lambda: own * slope,
        "bias": lambda: slope,
        "conv1x1": lambda: np.outer(own, slope),
        "conv3x3": lambda: np.outer(window.ravel(), slope),
        "conv3x3-depthwise": lambda: window * slope[:, None, None],
    }[phase]().ravel()


AGGREGATES = {
    "norm": lambda v: np.sqrt((v**2).sum()),
    "filter-norm": lambda v: np.sqrt((v[v > 0] ** 2).sum()),
    "sum": lambda v: v.sum(),
    "max": lambda v: v.max(),
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("sign", ["both", "positive", "negative"])
def test_closed_forms_are_those_of_explicit_vectors(phase: str, aggregate: str, sign: str) -> None:
    values = {"both": A, "positive": abs(A), "negative": -abs(A)}[sign]
    maps = reduce_norm_grad(values, G, phase=phase, aggregate=aggregate)
    assert maps.dtype == np.float32
    for n, row, column in np.ndindex(2, 4, 4):
        vector = make_vector(phase, values[n].astype(float), G[n].astype(float), row, column)
        np.testing.assert_allclose(maps[n, row, column], AGGREGATES[aggregate](vector), rtol=1e-6)


KERNELS = {
    "plain": Kernel((3, 3), before=(1, 1)),
    "strided": Kernel((3, 2), strides=(2, 3), before=(1, 0)),
    "dilated": Kernel((2, 3), dilations=(3, 2), before=(0, 2)),
    "grouped": Kernel((3, 3), strides=(2, 2), before=(0, 1), groups=2),
    "depthwise": Kernel((2, 2), groups=6),
}


def collect_products(
    a: np.ndarray, g: np.ndarray, kernel: Kernel, row: int, column: int
) -> np.ndarray:
    """Collect what an output position adds to the gradient of each weight of a convolution."""
    read_per, written_per = len(a) // kernel.groups, len(g) // kernel.groups
    products = []
    for out, inner in product(range(len(g)), range(read_per)):
        source = out // written_per * read_per + inner
        for down, across in np.ndindex(kernel.sides):
            r = row * kernel.strides[0] + down * kernel.dilations[0] - kernel.before[0]
            c = column * kernel.strides[1] + across * kernel.dilations[1] - kernel.before[1]
            inside = 0 <= r < a.shape[1] and 0 <= c < a.shape[2]
            products.append((a[source, r, c] if inside else 0.0) * g[out, row, column])
    return np.array(products)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_own_convolutions_are_those_of_explicit_products(kernel: str, aggregate: str) -> None:
    """The last windows may end before the input does, or behind it."""
    rng, grid = np.random.default_rng(3), (4, 3)
    a, g = rng.normal(size=(6, 9, 8)), rng.normal(size=(12, *grid))
    (ours,) = reduce_norm_grad(
        a[None].astype(np.float32),
        g[None].astype(np.float32),
        phase="proper",
        aggregate=aggregate,
        kernel=KERNELS[kernel],
    )
    for u in np.ndindex(grid):
        vector = collect_products(a, g, KERNELS[kernel], *u)
        np.testing.assert_allclose(ours[u], AGGREGATES[aggregate](vector), rtol=1e-5, atol=1e-5)


def test_own_convolution_is_named_by_its_place() -> None:
    classifier = open_convnet(SIZE, 5)
    method = NormGrad(phase="proper", layer="weights:last")
    (result,) = explain(classifier, method, photos(1, SIZE), [0])
    assert [layer["tensor"] for layer in result.details["layers"]] == ["p1", "c2"]
    assert result.coarse.shape == (8, 10)
    (same,) = explain(
        classifier, NormGrad(phase="proper", layer="weights:c2"), photos(1, SIZE), [0]
    )
    np.testing.assert_array_equal(same.heatmap, result.heatmap)


def test_own_convolution_has_to_be_named() -> None:
    with pytest.raises(ValueError, match=r"phase=proper looks .* layer=weights:last.* got 'last'"):
        explain(open_convnet(SIZE, 5), NormGrad(phase="proper"), photos(1, SIZE), [0])
    with pytest.raises(ValueError, match="'weights:last' are 2: p1, c2; choose one of them"):
        explain(open_convnet(SIZE, 5), NormGrad(layer="weights:last"), photos(1, SIZE), [0])
    with pytest.raises(onnxplain.OnnxplainError, match=r"no convolution of inner values .*'r1'"):
        explain(
            open_convnet(SIZE, 5),
            NormGrad(phase="proper", layer="weights:stage:1"),
            photos(1, SIZE),
            [0],
        )


def convolve(a: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Convolve values (C, h, w) with weights (C, C, 3, 3) and zeros beyond the border."""
    padded = np.pad(a, ((0, 0), (1, 1), (1, 1)))
    rows, columns = a.shape[1:]
    total = np.zeros_like(a)
    for down, across in product(range(3), range(3)):
        part = padded[:, down : down + rows, across : across + columns]
        total += np.tensordot(weights[:, :, down, across], part, 1)
    return total


@pytest.mark.parametrize("phase", PHASES)
def test_sums_are_the_gradient_of_the_weights_of_a_layer_that_is_put_there(phase: str) -> None:
    """The sum of the map is how fast the score changes with all weights of that layer at once."""
    a, readout = A[0].astype(float), RNG.normal(size=(5, 4, 4))

    def score(shift: float) -> float:
        """The score behind the layer, if each of its weights is larger by a shift."""
        eye = np.zeros((5, 5, 3, 3))
        eye[:, :, 1, 1] = np.eye(5)
        everywhere, own, centre = np.ones_like(eye), np.eye(5)[:, :, None, None], eye[0, 0]
        moved = {
            "scaling": lambda: a * (1 + shift),
            "bias": lambda: a + shift,
            "conv1x1": lambda: convolve(a, eye + shift * centre),
            "conv3x3": lambda: convolve(a, eye + shift * everywhere),
            "conv3x3-depthwise": lambda: convolve(a, eye + shift * own * everywhere),
        }[phase]()
        return float((readout * np.tanh(moved)).sum())

    slope = (score(1e-5) - score(-1e-5)) / 2e-5
    grads = readout * (1 - np.tanh(a) ** 2)
    maps = reduce_norm_grad(A[:1], grads[None].astype(np.float32), phase=phase, aggregate="sum")
    np.testing.assert_allclose(maps.sum(dtype=float), slope, rtol=1e-5)


@pytest.mark.parametrize("layer", ["last", "stage:1"])
def test_sum_of_scaling_is_the_linear_approximation(layer: str) -> None:
    classifier = open_convnet(SIZE, 5)
    images, targets = photos(2, SIZE), (1, 4)
    method = NormGrad(layer=layer, phase="scaling", aggregate="sum")
    ours = explain(classifier, method, images, targets)
    theirs = explain(classifier, LinearApprox(layer=layer), images, targets)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own.coarse, other.coarse, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(own.heatmap, other.heatmap, rtol=1e-5, atol=1e-7)


def test_meaning_follows_what_is_made_of_the_vectors() -> None:
    found = {
        how: explain(open_convnet(SIZE, 5), NormGrad(aggregate=how), photos(1, SIZE), [0])[0]
        for how in AGGREGATES
    }
    assert len({result.meaning.text for result in found.values()}) == len(AGGREGATES)
    assert found["norm"].heatmap.min() >= 0


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_summands_say_nothing_where_the_gradient_is_constant(aggregate: str) -> None:
    """Behind ``r2`` all positions are averaged, so their gradients are one."""
    method = NormGrad(phase="bias", aggregate=aggregate)
    with pytest.raises(
        onnxplain.OnnxplainError, match=r"same at all positions of layer 'r2'.*phase=scaling.*stage"
    ):
        explain(open_convnet(SIZE, 5), method, photos(1, SIZE), [0])
    earlier = NormGrad(phase="bias", aggregate=aggregate, layer="stage:1")
    (result,) = explain(open_convnet(SIZE, 5), earlier, photos(1, SIZE), [0])
    assert np.ptp(result.coarse) > 0


def test_layer_that_nothing_reads_is_said_to_be_empty_and_not_constant(caplog) -> None:
    model = models.convnet(SIZE)
    added = [
        helper.make_node("Sigmoid", ["c2"], ["side"]),
        helper.make_node("Mul", ["side", "nought"], ["nothing"]),
        helper.make_node("Add", ["r2", "nothing"], ["sum"]),
    ]
    for place, node in enumerate(added, start=5):
        model.graph.node.insert(place, node)
    model.graph.node[8].input[0] = "sum"
    model.graph.initializer.append(helper.make_tensor("nought", 1, [], [0.0]))
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    method = NormGrad(phase="bias", layer="side")
    (result,) = explain(classifier, method, photos(1, SIZE), [0])
    assert result.details["empty"]
    assert "no later layer reads this one's grid" in caplog.text
