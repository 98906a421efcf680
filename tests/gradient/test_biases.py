"""Which layers have a bias, and what they add, on small graphs whose biases are known."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from onnxplain.gradient.biases import find_biased_layers, follow_normalisation
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers import models
from tests.helpers.layers import read_grids

node = helper.make_node
RNG = np.random.default_rng(2)
SIZE = (4, 6)


def make(nodes: list, tensors: dict[str, np.ndarray], batch: int | str = "N") -> ModelProto:
    return models.model(
        [*nodes, node("GlobalAveragePool", ["end"], ["g"]), node("Flatten", ["g"], ["scores"])],
        {"image": (TensorProto.FLOAT, [batch, 3, *SIZE])},
        {"scores": (TensorProto.FLOAT, [batch, 2])},
        {name: np.asarray(value, np.float32) for name, value in tensors.items()},
    )


def find(model: ModelProto, batch: int = 1) -> dict[str, np.ndarray | None]:
    graph = read_grids(model, SIZE)
    feeds = {"image": RNG.random((batch, 3, *SIZE), np.float32)}
    layers = find_biased_layers(model, graph, RuntimeMeasure(), feeds)
    return {layer.tensor: layer.bias for layer in layers}


W, B = RNG.normal(size=(2, 3, 1, 1)), np.array([1, -2])


@pytest.mark.parametrize("batch", ["N", 3])
def test_what_follows_a_layer_is_part_of_it(batch: int | str) -> None:
    nodes = [
        node("Conv", ["image", "w", "b"], ["c"]),
        node("Mul", ["c", "scale"], ["m"]),
        node("Sub", ["m", "less"], ["s"]),
        node("Relu", ["s"], ["end"]),
    ]
    tensors = {"w": W, "b": B, "scale": np.full((2, 1, 1), 3), "less": 0.5}
    found = find(make(nodes, tensors, batch), batch=1 if batch == "N" else 3)
    assert list(found) == ["image", "s"]
    assert found["image"] is None
    np.testing.assert_allclose(found["s"], np.reshape(3 * B - 0.5, (2, 1, 1)))


def test_what_others_read_ends_a_layer() -> None:
    nodes = [
        node("Conv", ["image", "w", "b"], ["c"]),
        node("Mul", ["c", "two"], ["m"]),
        node("Add", ["m", "one"], ["a"]),
        node("Add", ["a", "c"], ["end"]),
    ]
    found = find(make(nodes, {"w": W, "b": B, "two": 2, "one": 1}))
    assert list(found) == ["image", "c", "a"]
    np.testing.assert_allclose(found["c"], np.reshape(B, (2, 1, 1)))
    np.testing.assert_allclose(found["a"], np.ones((2, 1, 1)))


def test_layers_without_a_bias_are_left_out() -> None:
    nodes = [
        node("Conv", ["image", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Div", ["one", "r"], ["d"]),  # not linear
        node("Mul", ["d", "d"], ["end"]),
    ]
    assert list(find(make(nodes, {"w": W, "one": 1}))) == ["image"]


def test_a_bias_may_differ_from_position_to_position() -> None:
    nodes = [node("Conv", ["image", "w"], ["c"]), node("Add", ["c", "place"], ["end"])]
    place = RNG.normal(size=(1, 2, *SIZE))
    found = find(make(nodes, {"w": W, "place": place}))
    np.testing.assert_allclose(found["end"], place[0], rtol=1e-6)


def test_normalisation_is_followed_up_to_the_first_layer() -> None:
    nodes = [
        node("Sub", ["image", "m"], ["less"]),
        node("Transpose", ["less"], ["t"], perm=[0, 2, 3, 1]),
        node("Div", ["t", "m"], ["d"]),
        node("Transpose", ["d"], ["back"], perm=[0, 3, 1, 2]),
        node("Conv", ["back", "w", "b"], ["end"]),
    ]
    model = make(nodes, {"w": W, "b": B, "m": 0.5})
    graph = read_grids(model, SIZE)
    assert follow_normalisation(graph.region) == ["image", "less", "t", "d", "back"]
    assert list(find(model)) == ["back", "end"]
