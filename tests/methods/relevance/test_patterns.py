"""Patterns, PatternNet and PatternAttribution against their definitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import onnxplain.runtime.pattern_estimation as estimation_module
from onnxplain import PatternAttribution, PatternNet
from onnxplain.core.errors import ModelError
from onnxplain.core.pattern_files import Patterns
from onnxplain.methods.relevance.pattern_sums import PatternSums
from onnxplain.runtime.device import Device
from onnxplain.runtime.pattern_estimation import PatternEstimation
from tests.helpers.chains import (
    CLASSES,
    SIZE,
    SPEC,
    STD,
    draw_weights,
    make_net,
    make_steps,
    to_values,
)
from tests.helpers.inside import explain, open_model, read_proto
from tests.helpers.specs import photos
from tests.reference import patterns as reference
from tests.reference.relevance import Step, run, unroll

LAYERS = {"a1": "w1", "a2": "w2", "a3": "w3", "scores": "w4"}


def estimate(weights: Mapping[str, Any], images: NDArray[np.float32]) -> Patterns:
    estimation = PatternEstimation(read_proto(make_net(dict(weights))), SPEC, Device("cpu"))
    for start in range(0, len(images), 4):
        batch = images[start : start + 4]
        estimation.add(batch, [f"photo{start + place}" for place in range(len(batch))])
    return estimation.finish({})


def collect_samples(
    weights: Mapping[str, Any], images: NDArray[np.float32]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Return what each layer reads at every position, its filters and biases, as rows."""
    steps = make_steps(dict(weights))
    values = [run(steps, to_values(image)) for image in images]
    layers = []
    for place, name, shape, pad in ((0, "1", (3, *SIZE), 1), (3, "2", (4, 4, 5), 0)):
        kernel = weights[f"w{name}"].astype(np.float64)
        size = kernel.shape[2]
        rows = []
        for value in values:
            x = np.pad(value[place].reshape(shape), ((0, 0), (pad, pad), (pad, pad)))
            rows += [
                x[:, i : i + size, j : j + size].ravel()
                for i, j in np.ndindex(x.shape[1] - size + 1, x.shape[2] - size + 1)
            ]
        layers.append((np.array(rows), kernel.reshape(len(kernel), -1), weights[f"b{name}"]))
    for place, name in ((5, "3"), (7, "4")):
        rows = [value[place] for value in values]
        layers.append((np.array(rows), weights[f"w{name}"].astype(np.float64), weights[f"b{name}"]))
    return layers


def test_pattern_of_the_papers_example_is_the_signals_direction() -> None:
    """x = (1, 0) s + (1, 1) d: the filter (1, -1) cancels d, and the pattern is (1, 0)."""
    rng = np.random.default_rng(5)
    signal, distractor = rng.normal(size=(2, 200_000))
    x = np.outer(signal, [1, 0]) + np.outer(distractor, [1, 1])
    sums = PatternSums(np.array([[[1.0], [-1.0]]]))
    sums.add(x[:, None], None)
    for pattern in sums.estimate().values():
        np.testing.assert_allclose(pattern[0, :, 0], [1, 0], atol=0.01)


def test_patterns_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation_module, "POSITIONS", 10_000)  # all of them
    weights, images = draw_weights(), photos(10, SIZE)
    found = estimate(weights, images)
    assert list(found.by_layer) == list(LAYERS)
    for (name, weight), (x, filters, biases) in zip(
        LAYERS.items(), collect_samples(weights, images), strict=True
    ):
        is_last = name == "scores"
        for neuron, (w, b) in enumerate(zip(filters, biases, strict=True)):
            expected = reference.estimate(x, w, None if is_last else float(b))
            for estimator, pattern in expected.items():
                own = found.by_layer[name][estimator][neuron].ravel()
                np.testing.assert_allclose(
                    own, pattern, rtol=1e-3, atol=2e-4 * np.abs(pattern).max(initial=1e-9)
                )
                if pattern.any():
                    assert own @ weights[weight][neuron].ravel() == pytest.approx(1, abs=1e-4)


def test_sampled_positions_do_not_depend_on_batches_or_company() -> None:
    weights, images = draw_weights(), photos(6, SIZE)
    file = read_proto(make_net(weights))
    whole, parts = (PatternEstimation(file, SPEC, Device("cpu")) for _ in range(2))
    names = [f"photo{place}" for place in range(6)]
    whole.add(images, names)
    for place in (5, 2, 0, 1, 4, 3):
        parts.add(images[place : place + 1], [names[place]])
    for one, other in zip(whole.sums, parts.sums, strict=True):
        for name, value in one.get_arrays().items():
            np.testing.assert_allclose(value, other.get_arrays()[name], rtol=1e-6, atol=1e-5)


@pytest.fixture(scope="module")
def pattern_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("patterns") / "patterns.npz"
    path.write_bytes(estimate(draw_weights(), photos(12, SIZE, seed=8)).encode())
    return path


def unroll_pattern(name: str, pattern: NDArray[Any]) -> NDArray[np.float64]:
    """Return the pattern of a layer as a matrix like that of its weights."""
    if name in ("a1", "a2"):
        shape, pad = {"a1": ((3, *SIZE), 1), "a2": ((4, 4, 5), 0)}[name]
        wide = pattern.astype(np.float64)
        return unroll(wide, np.zeros(len(wide)), shape, pad, 1)[0].matrix
    return pattern.astype(np.float64)


@pytest.mark.parametrize("estimator", ["relu", "linear", "filter"])
@pytest.mark.parametrize("method", [PatternNet, PatternAttribution])
def test_map_is_that_of_the_definition(method: Any, estimator: str, pattern_file: Path) -> None:
    from onnxplain.core.pattern_files import read_patterns

    weights, images = draw_weights(), photos(3, SIZE)
    classifier = open_model(make_net(weights), SPEC)
    stored = read_patterns(pattern_file).by_layer
    matrices = []
    for name, weight in LAYERS.items():
        if estimator == "filter":
            w = weights[weight].astype(np.float64)
            axes = tuple(range(1, w.ndim))
            pattern = w / (w**2).sum(axis=axes, keepdims=True)
        else:
            pattern = stored[name][estimator]
        matrices.append(unroll_pattern(name, pattern))
    steps: list[Step] = make_steps(weights)
    explainer = method(str(pattern_file), estimator)
    for target in range(CLASSES):
        for image, one in zip(
            images, explain(classifier, explainer, list(images), [target] * 3), strict=True
        ):
            signal = reference.walk(
                steps,
                to_values(image),
                target,
                matrices,
                attribution=method is PatternAttribution,
            ).reshape(3, *SIZE)
            if method is PatternNet:  # in the unit of pixels
                signal = signal * np.reshape(STD, (3, 1, 1))
                expected = np.sqrt((signal**2).sum(axis=0))
            else:
                expected = signal.sum(axis=0)
            np.testing.assert_allclose(one.heatmap, expected, atol=1e-5 * np.abs(expected).max())
            assert one.details["estimator"] == estimator


def test_patterns_that_were_written_again_are_used(pattern_file: Path, tmp_path: Path) -> None:
    """Equal queries share a graph, which holds the patterns."""
    image, path = list(photos(1, SIZE)), tmp_path / "patterns.npz"
    again = estimate(draw_weights(), photos(5, SIZE, seed=3)).encode()
    classifier = open_model(make_net(draw_weights()), SPEC)
    maps = []
    for content in (pattern_file.read_bytes(), again):
        path.write_bytes(content)
        (one,) = explain(classifier, PatternNet(str(path)), image, [1])
        fresh = open_model(make_net(draw_weights()), SPEC)
        (expected,) = explain(fresh, PatternNet(str(path)), image, [1])
        np.testing.assert_array_equal(one.heatmap, expected.heatmap)
        maps.append(one.heatmap)
    assert np.abs(maps[0] - maps[1]).max() > 0.01 * np.abs(maps[0]).max()


def test_missing_and_foreign_patterns_are_refused(pattern_file: Path, tmp_path: Path) -> None:
    image = list(photos(1, SIZE))
    classifier = open_model(make_net(draw_weights()), SPEC)
    with pytest.raises(ModelError, match="onnxplain patterns MODEL PHOTOS"):
        explain(classifier, PatternNet(), image, [1])
    other = open_model(make_net(draw_weights(seed=9)), SPEC)
    with pytest.raises(ModelError, match="patterns of another model"):
        explain(other, PatternAttribution(str(pattern_file)), image, [1])
    with pytest.raises(ModelError, match="cannot be read"):
        explain(classifier, PatternNet(str(tmp_path / "none.npz")), image, [1])
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(pattern_file.read_bytes()[:-400])
    with pytest.raises(ModelError, match="is no file of patterns"):
        explain(classifier, PatternNet(str(damaged)), image, [1])
