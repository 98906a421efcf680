"""FullGrad against finite differences by what is added at every position, and exact sums."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxplain.core.errors import ModelError
from onnxplain.image import resize
from onnxplain.methods import FullGrad
from onnxplain.runtime import OnnxClassifier
from tests.helpers import models
from tests.helpers.inside import explain, make_quantised, open_convnet, open_model
from tests.helpers.specs import photos, spec_of

SIZE, CLASSES = (4, 6), 3
LAYERS = {"n1": (4, 4, 6), "joined": (4, 4, 6), "c3": (5, 2, 3)}  # with a bias and a grid
node = helper.make_node


def make_net(*, openings: bool = False, merged: bool = False, clip: bool = False) -> ModelProto:
    """Make a residual net of rectifiers with every kind of bias, of float64 with `openings`.

    Parameters
    ----------
    openings : bool
        Whether a further input adds to each of `LAYERS`, so that its gradients can be measured.
    merged : bool
        Whether the batch normalisation is merged into the convolution.
    clip : bool
        Whether the last activation is clipped at a value that all positions reach.
    """
    rng = np.random.default_rng(4)
    dtype = np.float64 if openings else np.float32
    gamma, beta, mean = rng.normal(size=(3, 4))
    variance = rng.uniform(0.5, 2, 4)
    w1, b1 = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    factor = gamma / np.sqrt(variance + 1e-5)
    tensors = {
        "w1": w1 * factor[:, None, None, None] if merged else w1,
        "b1": (b1 - mean) * factor + beta if merged else b1,
        **{"gamma": gamma, "beta": beta, "mean": mean, "variance": variance},
        "w2": rng.normal(size=(4, 4, 1, 1)) / 2,
        "shift": rng.normal(size=(4, 1, 1)),
        "w3": rng.normal(size=(5, 4, 3, 3)) / 3,
        "b3": np.full(5, 100.0) if clip else rng.normal(size=5),
        "w4": rng.normal(size=(5, CLASSES)),
        "b4": rng.normal(size=CLASSES),
        "six": np.array(6.0),
        "none": np.array(0.0),
    }

    def add(name: str) -> tuple[str, list]:
        if not openings:
            return name, []
        return f"{name}+", [node("Add", [name, f"d_{name}"], [f"{name}+"])]

    n1, first = add("n1")
    joined, second = add("joined")
    c3, third = add("c3")
    norm = [node("Conv", ["image", "w1", "b1"], ["c1"], pads=[1] * 4)]
    norm += [node("BatchNormalization", ["c1", "gamma", "beta", "mean", "variance"], ["n1"])]
    if merged:
        norm = [node("Conv", ["image", "w1", "b1"], ["n1"], pads=[1] * 4)]
    act = node("Clip", [c3, "none", "six"], ["r3"]) if clip else node("Relu", [c3], ["r3"])
    nodes = [
        *norm,
        *first,
        node("Relu", [n1], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"]),
        node("Add", ["c2", "shift"], ["joined"]),  # an exporter's bias
        *second,
        node("Add", [joined, "r1"], ["sum"]),
        node("AveragePool", ["sum"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p", "w3", "b3"], ["c3"], pads=[1] * 4),
        *third,
        act,
        node("ReduceMean", ["r3"], ["g"], axes=[2, 3], keepdims=0),
        node("Gemm", ["g", "w4", "b4"], ["scores"]),
    ]
    kind = TensorProto.DOUBLE if openings else TensorProto.FLOAT
    opened = {f"d_{name}": (kind, ["N", *shape]) for name, shape in LAYERS.items() if openings}
    return models.model(
        nodes,
        {"image": (kind, ["N", 3, *SIZE]), **opened},
        {"scores": (kind, ["N", CLASSES])},
        {name: value.astype(dtype) for name, value in tensors.items()},
    )


@cache
def open_net(merged: bool = False, clip: bool = False, **convention: object) -> OnnxClassifier:
    spec = spec_of(size=SIZE, classes=CLASSES, **convention)
    # The scores of the clipped net do not show whether it takes batches.
    return open_model(make_net(merged=merged, clip=clip), spec, batch_size=1 if clip else 4)


@cache
def measure_shares(target: int) -> dict[str, np.ndarray]:
    """Return image and biases times gradients, which are measured one number at a time."""
    (image,) = photos(1, SIZE)
    model = make_net(openings=True)
    held = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    evaluator = ReferenceEvaluator(model)
    feeds = {f"d_{name}": np.zeros((1, *shape)) for name, shape in LAYERS.items()}
    feeds["image"] = image.transpose(2, 0, 1)[None].astype(np.float64)

    def measure_slopes(name: str) -> np.ndarray:
        shape = feeds[name].shape[1:]
        steps = 1e-6 * np.eye(math.prod(shape)).reshape(-1, *shape)
        steps = np.concatenate([steps, -steps])
        rows = {key: np.repeat(value, len(steps), axis=0) for key, value in feeds.items()}
        rows[name] += steps
        up, down = np.split(evaluator.run(None, rows)[0][:, target], 2)
        return (up - down).reshape(shape) / 2e-6

    factor = held["gamma"] / np.sqrt(held["variance"] + 1e-5)
    biases = {
        "n1": (held["b1"] - held["mean"]) * factor + held["beta"],
        "joined": held["shift"],
        "c3": held["b3"],
    }
    shares = {
        name: np.reshape(biases[name], (-1, 1, 1)) * measure_slopes(f"d_{name}") for name in LAYERS
    }
    return {"image": feeds["image"][0] * measure_slopes("image"), **shares}


def add_up(shares: dict[str, np.ndarray], rescale: str) -> np.ndarray:
    """Sum the maps as in eq. 4 of the paper, or with whole layers brought to [0, 1]."""
    total = np.zeros(SIZE)
    for share in shares.values():
        maps = [np.abs(channel) for channel in share]
        if rescale == "channel":
            maps = [(m - m.min()) / np.ptp(m) if np.ptp(m) > 1e-6 else 0 * m for m in maps]
        if rescale == "layer":
            low, high = np.min(maps), np.max(maps)
            maps = [(m - low) / (high - low) for m in maps]
        for m in maps:
            total += resize(m.astype(np.float32), SIZE)
    return total


@pytest.mark.parametrize("rescale", ["none", "layer", "channel"])
def test_map_is_that_of_measured_slopes(rescale: str) -> None:
    (own,) = explain(open_net(), FullGrad(rescale=rescale), photos(1, SIZE), [2])
    expected = add_up(measure_shares(2), rescale)
    np.testing.assert_allclose(own.heatmap, expected, rtol=1e-4, atol=1e-4)


def test_shares_sum_to_the_score_of_rectifiers() -> None:
    images = photos(3, SIZE)
    for classifier in (open_net(), open_net(merged=True)):
        scores = classifier.scores(images)
        for target in range(CLASSES):
            results = explain(classifier, FullGrad(), images, [target] * 3)
            sums = [own.details["sum"] for own in results]
            np.testing.assert_allclose(sums, scores[:, target], rtol=1e-5, atol=1e-5)
            assert max(own.details["gap"] for own in results) < 1e-5
            named = [layer["tensor"] for layer in results[0].details["layers"]]
            assert named == ["image", *LAYERS, "scores"]


def test_a_merged_normalisation_changes_nothing() -> None:
    image = photos(1, SIZE)
    (apart,) = explain(open_net(), FullGrad(), image, [1])
    (merged,) = explain(open_net(merged=True), FullGrad(), image, [1])
    np.testing.assert_allclose(apart.heatmap, merged.heatmap, rtol=1e-4, atol=1e-5)


def test_normalisation_in_the_graph_counts_as_of_the_image() -> None:
    """The specification or the graph may subtract a mean and divide by a deviation."""
    tensors = {"m": np.full((1, 3, 1, 1), 0.4, np.float32), "s": np.array(0.25, np.float32)}
    front = [node("Sub", ["image", "m"], ["less"]), node("Div", ["less", "s"], ["begun"])]
    inner = models.begin_with(front, make_net())
    inner.graph.initializer.extend(numpy_helper.from_array(t, name) for name, t in tensors.items())
    (outside,) = explain(
        open_net(mean=(0.4,) * 3, std=(0.25,) * 3), FullGrad(), photos(1, SIZE), [1]
    )
    (inside,) = explain(
        open_model(inner, spec_of(size=SIZE, classes=CLASSES)), FullGrad(), photos(1, SIZE), [1]
    )
    assert inside.details["layers"][0]["tensor"] == "begun"
    np.testing.assert_allclose(inside.heatmap, outside.heatmap, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(inside.details["sum"], outside.details["sum"], rtol=1e-5)


def test_the_bias_of_other_activations_is_the_gap() -> None:
    """All units of the last layer are clipped, so that only the dense layer's bias is left."""
    classifier, image = open_net(clip=True), photos(1, SIZE)
    (result,) = explain(classifier, FullGrad(rescale="none"), image, [1])
    stored = make_net(clip=True).graph.initializer
    held = {entry.name: numpy_helper.to_array(entry) for entry in stored}
    bias, score = float(held["b4"][1]), float(classifier.scores(image)[0, 1])
    assert result.details["sum"] == pytest.approx(bias)
    assert result.details["gap"] == pytest.approx(abs(bias - score) / max(abs(bias), abs(score)))
    assert not result.heatmap.any()


def test_a_layer_can_be_the_image() -> None:
    """FullGrad's first part is the input: values and gradients as the model takes them."""
    classifier, image = open_convnet(SIZE), photos(1, SIZE)
    (result,) = explain(classifier, FullGrad(rescale="none"), image, [1])
    assert result.details["layers"][0]["shape"] == [3, *SIZE]
    assert result.details["gap"] < 1e-5


def test_integers_are_refused_with_advice() -> None:
    classifier = open_model(make_quantised(SIZE), spec_of(size=SIZE))
    with pytest.raises(ModelError, match=r"fullgrad: .*methods that need no gradients: .*eigen"):
        explain(classifier, FullGrad(), photos(1, SIZE), [0])
