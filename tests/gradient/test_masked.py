"""Gradients by a coarse mask that the graph itself enlarges and composes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnxplain.gradient import (
    FILL,
    MASK,
    SCORE,
    CoarseMask,
    GradientError,
    Wish,
    build_gradient,
    gradient_name,
)
from onnxplain.graph.load import read_model
from onnxplain.masks.enlarge import Enlargement
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.gradient_building import build_gradient_model
from onnxplain.runtime.measure import RuntimeMeasure
from tests.gradient.test_build import branched, network, renamed, run
from tests.helpers.gradients import Array, Plain, Reference, evaluate, ints, normal
from tests.helpers.models import additive, weights
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of

GRID, SIZE_OF_NETWORK = 4, (9, 10)
DM = gradient_name(MASK)


def feeds(rows: int, dtype: type, *, images: int = 1) -> dict[str, Array]:
    rng = np.random.default_rng(2)
    picture, fill = (
        normal(images, 3, *SIZE_OF_NETWORK, seed=seed).astype(dtype) for seed in (5, 6)
    )
    return {"x": picture, FILL: fill, MASK: rng.random((rows, GRID, GRID)).astype(dtype)}


def build(dtype: type, measure: Any, model: onnx.ModelProto | None = None) -> onnx.ModelProto:
    mask = CoarseMask(GRID, "nchw", SIZE_OF_NETWORK)
    wish = Wish("x", "y", kind="log-odds", mask=mask)
    model = network(dtype=dtype) if model is None else model
    return build_gradient(model, wish, measure, [feeds(n, dtype) for n in (2, 3)])


def test_gradient_by_a_mask_is_that_of_differences_in_float64() -> None:
    built = build(np.float64, Reference())
    given: dict[str, Array] = {**feeds(3, np.float64), "target": ints(1, 2, 3)}
    found = Reference().run(built.SerializeToString(), given)[DM]
    assert found.shape == (3, GRID, GRID)
    evaluator = evaluate(built)

    def score(change: Array) -> Array:
        moved: Array = evaluator.run([SCORE], {**given, MASK: given[MASK] + change})[0]
        return moved

    for cell in range(GRID**2):
        step = np.zeros(GRID**2)
        step[cell] = 1e-5
        change = step.reshape(GRID, GRID)
        slopes = (score(change) - score(-change)) / 2e-5
        np.testing.assert_allclose(found.reshape(3, -1)[:, cell], slopes, atol=1e-8)


@pytest.mark.parametrize("images", [1, 3])
def test_it_is_the_chain_rule_of_the_gradient_by_the_composed_image(images: int) -> None:
    """As methods compute it on the host; image and fill have one row or as many as masks."""
    given = feeds(3, np.float32, images=images)
    enlarge = Enlargement.bilinear(GRID, SIZE_OF_NETWORK)
    delta = given[FILL] - given["x"]
    composed = given["x"] + enlarge.pixels(given[MASK])[:, None] * delta
    plain = build_gradient(
        network(),
        Wish("x", "y", kind="log-odds"),
        Reference(),
        [{"x": composed[:n].astype("f")} for n in (2, 3)],
    )
    by_image = run(plain, composed.astype("f"), [1, 2, 3])
    expected = enlarge.cells((by_image[gradient_name("x")] * delta).sum(1))
    data = build(np.float32, Plain()).SerializeToString()
    found = Plain().run(data, {**given, "target": ints(1, 2, 3)})
    np.testing.assert_allclose(found["y"], by_image["y"], atol=1e-5)
    np.testing.assert_allclose(found[DM], expected, atol=1e-6)


def test_a_branch_that_reads_the_image_sees_the_mask_too() -> None:
    """A branch that is always taken, as exporters leave it of options that were set."""
    given = {**feeds(3, np.float32), "target": ints(1, 2, 3)}
    found, expected = (
        Plain().run(build(np.float32, RuntimeMeasure(), one).SerializeToString(), given)
        for one in (branched(network()), network())
    )
    np.testing.assert_allclose(found[DM], expected[DM], atol=1e-6)
    np.testing.assert_allclose(found["y"], expected["y"], atol=1e-6)


@pytest.mark.parametrize("own", ["c", "w2"])
@pytest.mark.parametrize("name", [MASK, FILL])
def test_a_name_that_the_mask_needs_is_refused(name: str, own: str) -> None:
    with pytest.raises(GradientError, match=f"a tensor named '{name}'"):
        build(np.float32, Plain(), renamed(network(), own, name))


@pytest.mark.parametrize("own", ["c", "w2"])
def test_a_tensor_may_have_a_name_that_composing_would_write(own: str) -> None:
    given = {**feeds(3, np.float32), "target": ints(1, 2, 3)}
    found, expected = (
        Plain().run(build(np.float32, RuntimeMeasure(), one).SerializeToString(), given)[DM]
        for one in (renamed(network(), own, f"{MASK}/composed"), network())
    )
    np.testing.assert_array_equal(found, expected)


FLOATS = {name: one for name, one in CONVENTIONS.items() if "uint8" not in name}


@pytest.mark.parametrize("convention", FLOATS.values(), ids=FLOATS.keys())
def test_the_slope_of_a_weighted_sum_of_pixels_by_a_mask(
    convention: dict[str, Any], tmp_path: Path
) -> None:
    """In closed form, for every layout, order of channels and type."""
    w = weights(SIZE)
    if convention.get("colour") == "grey":
        w = w.mean(axis=3, keepdims=True)
    spec, path = spec_of(**convention), tmp_path / "model.onnx"
    onnx.save(additive(w, **convention), path)
    data = build_gradient_model(read_model(path), spec, kind="logit", mask=3)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    space, pictures = ModelSpace.of(spec), photos(2)
    image, fill = space.enter(pictures)[:, None]
    targets, cells = np.array([2, 0]), np.random.default_rng(1).random((2, 3, 3), np.float32)
    given = {spec.input: image, FILL: fill, MASK: cells, "target": targets}
    (found,) = session.run([DM], given)
    if convention.get("colour") == "grey":
        pictures = (pictures @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    by_pixel = (w[targets] * (pictures[1] - pictures[0])).sum(3)
    expected = Enlargement.bilinear(3, SIZE).cells(by_pixel)
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize("batch", [-1, 0])
def test_a_batch_that_is_written_as_a_number_is_open(batch: int, tmp_path: Path) -> None:
    picture, fill = ModelSpace.of(spec_of()).enter(photos(2))[:, None]
    cells = np.random.default_rng(1).random((3, 2, 2), np.float32)
    given = {"image": picture, FILL: fill, MASK: cells, "target": ints(1, 2, 0)}
    found = []
    for written in ("N", batch):
        path = tmp_path / "model.onnx"
        onnx.save(additive(weights(SIZE), batch=written), path)
        data = build_gradient_model(read_model(path), spec_of(), kind="logit", mask=2)
        found.append(Plain().run(data, given)[DM])
    np.testing.assert_array_equal(found[1], found[0])


@pytest.mark.parametrize("cells", [0, 1 + min(SIZE)])
def test_masks_of_impossible_sizes_are_refused(cells: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(additive(weights(SIZE)), path)
    with pytest.raises(ValueError, match=f"cells a side, got {cells}"):
        build_gradient_model(read_model(path), spec_of(), mask=cells)
