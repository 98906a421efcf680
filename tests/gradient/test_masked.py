"""Gradients by a coarse mask that the graph itself enlarges and composes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, helper, numpy_helper

from onnxplain.gradient import (
    FILL,
    MASK,
    SCORE,
    CoarseMask,
    GradientError,
    GradientRequest,
    Measure,
    build_gradient,
    gradient_name,
)
from onnxplain.graph.load import read_model
from onnxplain.graph.writer import declare_tensor
from onnxplain.masks.enlarge import Enlargement
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.gradient_building import build_gradient_model
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradient_networks import (
    DX,
    make_network,
    move_into_branch,
    rename_tensor,
    run_gradient,
)
from tests.helpers.gradients import (
    Array,
    PlainMeasure,
    ReferenceMeasure,
    draw_normal,
    ints,
    make_evaluator,
)
from tests.helpers.models import additive, weights
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of

GRID, SIZE_OF_NETWORK = 4, (9, 10)
DM = gradient_name(MASK)


def make_feeds(rows: int, dtype: type, *, images: int = 1) -> dict[str, Array]:
    """Make an image, a fill and masks."""
    rng = np.random.default_rng(2)
    image, fill = (
        draw_normal(images, 3, *SIZE_OF_NETWORK, seed=seed).astype(dtype) for seed in (5, 6)
    )
    return {"x": image, FILL: fill, MASK: rng.random((rows, GRID, GRID)).astype(dtype)}


def build_mask_gradient(
    dtype: type, measure: Measure, model: ModelProto | None = None
) -> ModelProto:
    mask = CoarseMask(GRID, "nchw", SIZE_OF_NETWORK)
    request = GradientRequest("x", "y", kind="log-odds", mask=mask)
    model = make_network(dtype=dtype) if model is None else model
    return build_gradient(model, request, measure, [make_feeds(n, dtype) for n in (2, 3)])


def run_mask_gradient(model: ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    data = build_mask_gradient(np.float32, RuntimeMeasure(), model).SerializeToString()
    return PlainMeasure().run(data, feeds)


def compute_slopes(score: Callable[[Array], Array], cells: int) -> Array:
    """Compute central differences (N, cells) of a score by each cell's change."""
    steps = 1e-5 * np.eye(cells)
    return np.stack([(score(step) - score(-step)) / 2e-5 for step in steps], axis=1)


def test_gradient_by_a_mask_is_that_of_differences_in_float64() -> None:
    gradient = build_mask_gradient(np.float64, ReferenceMeasure())
    feeds = {**make_feeds(3, np.float64), "target": ints(1, 2, 3)}
    by_mask = ReferenceMeasure().run(gradient.SerializeToString(), feeds)[DM]
    assert by_mask.shape == (3, GRID, GRID)
    evaluator = make_evaluator(gradient)

    def score(change: Array) -> Array:
        cells = feeds[MASK] + change.reshape(GRID, GRID)
        return evaluator.run([SCORE], {**feeds, MASK: cells})[0]

    slopes = compute_slopes(score, GRID**2)
    np.testing.assert_allclose(by_mask.reshape(3, -1), slopes, atol=1e-8)


@pytest.mark.parametrize("images", [1, 3])
def test_gradient_by_a_mask_follows_from_that_by_the_composed_image(images: int) -> None:
    """By the chain rule on the host; image and fill have one row or as many as masks."""
    feeds = make_feeds(3, np.float32, images=images)
    enlarge = Enlargement.bilinear(GRID, SIZE_OF_NETWORK)
    delta = feeds[FILL] - feeds["x"]
    composed = (feeds["x"] + enlarge.pixels(feeds[MASK])[:, None] * delta).astype("f")
    plain = build_gradient(
        make_network(),
        GradientRequest("x", "y", kind="log-odds"),
        ReferenceMeasure(),
        [{"x": composed[:n]} for n in (2, 3)],
    )
    by_image = run_gradient(plain, composed, [1, 2, 3])
    expected = enlarge.cells((by_image[DX] * delta).sum(1))
    data = build_mask_gradient(np.float32, PlainMeasure()).SerializeToString()
    by_mask = PlainMeasure().run(data, {**feeds, "target": ints(1, 2, 3)})
    np.testing.assert_allclose(by_mask["y"], by_image["y"], atol=1e-5)
    np.testing.assert_allclose(by_mask[DM], expected, atol=1e-6)


def test_branch_that_reads_the_image_sees_the_mask_too() -> None:
    """Exporters leave branches that are always taken of options that were set."""
    feeds = {**make_feeds(3, np.float32), "target": ints(1, 2, 3)}
    outputs = run_mask_gradient(move_into_branch(make_network()), feeds)
    expected = run_mask_gradient(make_network(), feeds)
    np.testing.assert_allclose(outputs[DM], expected[DM], atol=1e-6)
    np.testing.assert_allclose(outputs["y"], expected["y"], atol=1e-6)


@pytest.mark.parametrize("own", ["c", "w2"])
@pytest.mark.parametrize("name", [MASK, FILL])
def test_tensor_named_as_an_input_of_the_mask_is_refused(name: str, own: str) -> None:
    with pytest.raises(GradientError, match=f"a tensor named '{name}'"):
        build_mask_gradient(np.float32, PlainMeasure(), rename_tensor(make_network(), own, name))


@pytest.mark.parametrize("own", ["c", "w2"])
def test_names_that_composing_would_write_may_be_taken(own: str) -> None:
    feeds = {**make_feeds(3, np.float32), "target": ints(1, 2, 3)}
    outputs = run_mask_gradient(rename_tensor(make_network(), own, f"{MASK}/composed"), feeds)
    expected = run_mask_gradient(make_network(), feeds)
    np.testing.assert_array_equal(outputs[DM], expected[DM])


FLOATS = {name: options for name, options in CONVENTIONS.items() if "uint8" not in name}


@pytest.mark.parametrize("convention", FLOATS.values(), ids=FLOATS.keys())
def test_gradient_of_a_weighted_sum_of_pixels_is_known_in_closed_form(
    convention: dict[str, Any], tmp_path: Path
) -> None:
    """For every layout, order of channels and type."""
    w = weights(SIZE)
    if convention.get("colour") == "grey":
        w = w.mean(axis=3, keepdims=True)
    spec, path = spec_of(**convention), tmp_path / "model.onnx"
    onnx.save(additive(w, **convention), path)
    data = build_gradient_model(read_model(path), spec, kind="logit", mask=3)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    space, images = ModelSpace.of(spec), photos(2)
    image, fill = space.enter(images)[:, None]
    targets, cells = np.array([2, 0]), np.random.default_rng(1).random((2, 3, 3), np.float32)
    feeds = {spec.input: image, FILL: fill, MASK: cells, "target": targets}
    (by_mask,) = session.run([DM], feeds)
    if convention.get("colour") == "grey":
        images = (images @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    by_pixel = (w[targets] * (images[1] - images[0])).sum(3)
    expected = Enlargement.bilinear(3, SIZE).cells(by_pixel)
    np.testing.assert_allclose(by_mask, expected, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize("batch", [-1, 0])
def test_batch_declared_as_no_positive_number_is_open(batch: int, tmp_path: Path) -> None:
    image, fill = ModelSpace.of(spec_of()).enter(photos(2))[:, None]
    cells = np.random.default_rng(1).random((3, 2, 2), np.float32)
    feeds = {"image": image, FILL: fill, MASK: cells, "target": ints(1, 2, 0)}
    gradients = []
    for declared in ("N", batch):
        path = tmp_path / "model.onnx"
        onnx.save(additive(weights(SIZE), batch=declared), path)
        data = build_gradient_model(read_model(path), spec_of(), kind="logit", mask=2)
        gradients.append(PlainMeasure().run(data, feeds)[DM])
    np.testing.assert_array_equal(gradients[1], gradients[0])


@pytest.mark.parametrize("cells", [0, 1 + min(SIZE)])
def test_masks_of_impossible_sizes_are_refused(cells: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(additive(weights(SIZE)), path)
    with pytest.raises(ValueError, match=f"got {cells}"):
        build_gradient_model(read_model(path), spec_of(), mask=cells)


def make_masked_network(dtype: type) -> ModelProto:
    """Make the network on ``base + m * delta``, its mask m of 3 x 5 cells enlarged by Resize."""
    model = make_network(dtype=dtype)
    graph = model.graph
    tensors = {
        "base": draw_normal(1, 3, 9, 10, seed=5).astype(dtype),
        "delta": draw_normal(1, 3, 9, 10, seed=6).astype(dtype),
        "scales": np.array([1, 1, 3, 2], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in tensors.items())
    composing = [
        helper.make_node("Resize", ["m", "", "scales"], ["large"], mode="linear"),
        helper.make_node("Mul", ["large", "delta"], ["change"]),
        helper.make_node("Add", ["base", "change"], ["x"]),
    ]
    nodes = [*composing, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(declare_tensor("m", dtype, ["N", 1, 3, 5]))
    return model


def test_gradient_by_a_mask_of_the_models_own_is_that_of_differences() -> None:
    """Exact in one pass in float64, and in float32 that of float64."""
    cells = np.random.default_rng(2).random((3, 1, 3, 5))
    request, dm = GradientRequest("m", "y", kind="log-odds"), gradient_name("m")
    examples = [{"m": cells[:2]}, {"m": cells}]
    wide = build_gradient(make_masked_network(np.float64), request, ReferenceMeasure(), examples)
    feeds = {"m": cells, "target": ints(1, 2, 3)}
    exact = ReferenceMeasure().run(wide.SerializeToString(), feeds)[dm]
    evaluator = make_evaluator(wide)

    def score(change: Array) -> Array:
        return evaluator.run([SCORE], {**feeds, "m": cells + change.reshape(1, 1, 3, 5)})[0]

    np.testing.assert_allclose(exact.reshape(3, 15), compute_slopes(score, 15), atol=1e-8)
    narrow = [{"m": example["m"].astype("f")} for example in examples]
    gradient = build_gradient(make_masked_network(np.float32), request, RuntimeMeasure(), narrow)
    feeds["m"] = cells.astype("f")
    rounded = PlainMeasure().run(gradient.SerializeToString(), feeds)[dm]
    np.testing.assert_allclose(rounded, exact, atol=1e-6)
