"""Distances of two images from ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.image import resize
from onnxplain.runtime import OnnxDistance, load_distance
from tests.conftest import shared
from tests.helpers import models

RNG = np.random.default_rng(2)
FIRST, SECOND = RNG.random((2, 7, 12, 10, 3), np.float32)


def make_graph(
    dims: tuple[Any, ...] = ("N", 3, "H", "W"), *, keep: bool = False, second: int = 3
) -> Any:
    """A mean weighted squared difference: not symmetric, so that an exchange shows."""
    nodes = [
        helper.make_node("Mul", ["a", "two"], ["twice"]),
        helper.make_node("Sub", ["twice", "b"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["d"], axes=[1, 2, 3], keepdims=int(keep)),
    ]
    pair = {"a": (TensorProto.FLOAT, dims), "b": (TensorProto.FLOAT, (dims[0], second, *dims[2:]))}
    shape = [dims[0], 1, 1, 1] if keep else [dims[0]]
    return models.model(
        nodes, pair, {"d": (TensorProto.FLOAT, shape)}, {"two": np.array(2, np.float32)}
    )


def load(tmp_path: Path, model: Any, **options: Any) -> OnnxDistance:
    return load_distance(models.save(model, tmp_path / "d.onnx"), device="cpu", **options)


def compute_distances(first: Any, second: Any, low: float = -1, high: float = 1) -> Any:
    a, b = (low + x * (high - low) for x in (first, second))
    return ((2 * a - b) ** 2).mean(axis=(1, 2, 3))


@pytest.mark.parametrize("batch", ["N", 1, 3])
@pytest.mark.parametrize("keep", [False, True])
def test_each_pair_gets_its_distance_whatever_the_batch(tmp_path: Path, batch: Any, keep: bool):
    distance = load(tmp_path, make_graph((batch, 3, "H", "W"), keep=keep))
    np.testing.assert_allclose(distance(FIRST, SECOND), compute_distances(FIRST, SECOND), rtol=1e-5)


def test_range_and_size_are_applied(tmp_path: Path):
    distance = load(tmp_path, make_graph(), range=(0, 255), size=6)
    small = [
        np.stack([resize(image, (6, 6), antialias=True) for image in images])
        for images in (FIRST, SECOND)
    ]
    np.testing.assert_allclose(
        distance(FIRST, SECOND), compute_distances(*small, 0, 255), rtol=1e-4
    )
    assert distance.provenance["size"] == (6, 6)


def test_images_are_resized_to_the_graphs_own_size(tmp_path: Path):
    distance = load(tmp_path, make_graph(("N", 3, 5, 4)))
    assert distance(FIRST, SECOND).shape == (7,)
    with pytest.raises(ModelError, match=r"images of \(5, 4\) only"):
        load(tmp_path, make_graph(("N", 3, 5, 4)), size=8)


def test_graphs_and_values_that_give_no_distances_are_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="two float32 inputs"):
        load(tmp_path, make_graph(second=1))
    with pytest.raises(ModelError, match="two float32 inputs"):
        load(tmp_path, models.convnet())
    images = (TensorProto.FLOAT, ["N", 3, 4, 4])
    sub = [helper.make_node("Sub", ["a", "b"], ["d"])]
    with pytest.raises(ModelError, match="one number per pair"):
        load(tmp_path, models.model(sub, {"a": images, "b": images}, {"d": images}))
    with pytest.raises(ValueError, match="low < high"):
        load(tmp_path, make_graph(), range=(1, 1))
    with pytest.raises(ValueError, match="at least 1"):
        load(tmp_path, make_graph(), size=0)
    distance = load(tmp_path, make_graph())
    with pytest.raises(ValueError, match="two arrays"):
        distance(FIRST, SECOND[:2])
    with pytest.raises(ModelError, match="finite number"):
        distance(FIRST, np.full_like(SECOND, np.nan))


@pytest.mark.slow
def test_st_lpips_grows_with_the_change():
    distance = load_distance(shared("models/stlpips-alex.onnx"), device="cpu")
    image = np.tile(resize(FIRST[0], (224, 224)), (1, 1, 1, 1))
    grey = np.full_like(image, 0.5)
    same, little, much = distance(
        np.concatenate([image] * 3), np.concatenate([image, 0.9 * image + 0.1 * grey, grey])
    )
    assert same == 0 < little < much
