"""Mask graphs compute what NumPy composes from the rendered masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxplain.core.protocols import Masks
from onnxplain.graph.mask_graphs import Entry, build_mask_graph
from onnxplain.masks.codes import encode_masks
from onnxplain.masks.families import (
    ArrayMasks,
    CellMasks,
    GridMasks,
    PatchMasks,
    RankMasks,
    SegmentMasks,
)
from onnxplain.runtime.composing.space import ModelSpace
from tests.helpers.masks import CODED_FAMILIES, make_families
from tests.helpers.specs import CONVENTIONS, spec_of

SIZE = (17, 23)
RNG = np.random.default_rng(0)


def run(model: onnx.ModelProto, feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (x,) = session.run(["x"], feeds)
    return x


def compose(
    masks: Masks, start: int, stop: int, base: NDArray[np.float32], delta: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute base + mask * delta from the rendered masks."""
    axis = 1 if base.shape[1] in (1, 3) else 3
    return base + np.expand_dims(masks.render(start, stop), axis) * delta


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("family", CODED_FAMILIES)
def test_graph_composes_the_rendered_masks(family: str, layout: str, channels: int) -> None:
    masks = make_families(9, SIZE)[family]
    shape = (1, channels, *SIZE) if layout == "nchw" else (1, *SIZE, channels)
    base, delta = RNG.normal(size=(2, *shape)).astype(np.float32)
    coded = encode_masks(masks, 2, 8)
    assert coded is not None
    graph = build_mask_graph(coded.family, layout, channels)
    feeds = {"base": base, "delta": delta, **coded.statics(), **coded.per_evaluation}
    # One rounding of float32 in each product and sum of values up to about 4
    np.testing.assert_allclose(run(graph, feeds), compose(masks, 2, 8, base, delta), atol=3e-6)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(8, 60),
    columns=st.integers(8, 60),
    grid=st.integers(2, 8),
    seed=st.integers(0, 99),
)
def test_grid_graph_renders_the_grid(rows: int, columns: int, grid: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 2, (4, grid, grid), dtype=np.uint8)
    cell = (-(-rows // grid), -(-columns // grid))
    offsets = np.stack([rng.integers(0, side, 4) for side in cell], axis=1)
    masks = GridMasks(cells, offsets, (rows, columns))
    coded = encode_masks(masks, 0, 4)
    assert coded is not None
    base = np.zeros((1, 1, rows, columns), np.float32)
    feeds = {"base": base, "delta": base + 1, **coded.statics(), **coded.per_evaluation}
    mask = run(build_mask_graph("grid", "nchw", 1), feeds)
    np.testing.assert_allclose(mask[:, 0], masks.render(0, 4), atol=1e-6)


def test_uint8_inputs_are_rounded_half_to_even_and_clipped() -> None:
    masks = RankMasks(np.arange(6).reshape(2, 3), np.array([0, 6]))
    base = np.array([[0.5, 1.5, 2.5], [254.4, 10.0, 250.0]], np.float32).reshape(1, 2, 3, 1)
    delta = np.full((1, 2, 3, 1), 7.0, np.float32)
    coded = encode_masks(masks, 0, 2)
    assert coded is not None
    feeds = {"base": base, "delta": delta, **coded.statics(), **coded.per_evaluation}
    x = run(build_mask_graph("rank", "nhwc", 1, dtype="uint8"), feeds)
    assert x.dtype == np.uint8
    expected = np.array([[[0, 2, 2], [254, 10, 250]], [[8, 8, 10], [255, 17, 255]]])
    np.testing.assert_array_equal(x[..., 0], expected)


def test_float16_inputs_are_the_rounded_composition() -> None:
    masks = make_families(9, SIZE)["segment"]
    base, delta = RNG.normal(size=(2, 1, 3, *SIZE)).astype(np.float32)
    coded = encode_masks(masks, 0, 4)
    assert coded is not None
    feeds = {"base": base, "delta": delta, **coded.statics(), **coded.per_evaluation}
    x = run(build_mask_graph("segments", "nchw", 3, dtype="float16"), feeds)
    np.testing.assert_array_equal(x, compose(masks, 0, 4, base, delta).astype(np.float16))


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("n_pictures", [1, 4])
def test_graph_composes_pictures_of_one_for_all_masks_or_one_for_each(
    n_pictures: int, convention: dict[str, Any]
) -> None:
    spec = spec_of(size=SIZE, **convention)
    space = ModelSpace.of(spec)
    image, *pictures = RNG.random((1 + n_pictures, *SIZE, 3), np.float32)
    base, *entered = space.enter(np.stack([image, *pictures]))
    masks = RNG.random((4, *SIZE), np.float32)
    entry = Entry(space.colour, space.gain, space.bias)
    graph = build_mask_graph("pixels", spec.layout, spec.channels, dtype=spec.dtype, entry=entry)
    feeds = {"base": base[None], "pictures": np.stack(pictures), "masks": masks}
    x = run(graph, feeds)
    assert x.dtype == spec.dtype
    axis = 1 if spec.layout == "nchw" else 3
    composed = base + np.expand_dims(masks, axis) * (np.stack(entered) - base)
    # A rounding of float32 of values up to 255, of float16 up to 1, or to the nearest integer
    atol = {"float32": 1e-5, "float16": 1e-3, "uint8": 0.501}[spec.dtype]
    np.testing.assert_allclose(x.astype(np.float32), composed, rtol=1e-6, atol=atol)


def test_masks_held_as_arrays_have_no_codes() -> None:
    assert encode_masks(ArrayMasks(np.zeros((2, 4, 4), np.float32)), 0, 2) is None


def test_an_evaluation_costs_at_most_256_bytes_at_the_papers_defaults() -> None:
    size = (224, 224)
    defaults = [
        PatchMasks(np.zeros((4, 2), np.int64), 29, size),  # SP
        GridMasks(np.zeros((4, 8, 8), np.uint8), np.zeros((4, 2), np.int64), size),  # RISE
        SegmentMasks(np.zeros(size, np.int64), np.zeros((4, 200), np.uint8)),  # LIME
        CellMasks(np.zeros((4, 28, 28), bool), size),  # MP2
        RankMasks(np.zeros(size, np.int64), np.zeros(4, np.int64)),  # deletion and insertion
    ]
    for masks in defaults:
        coded = encode_masks(masks, 0, 4)
        assert coded is not None
        assert sum(code.nbytes for code in coded.per_evaluation.values()) <= 4 * 256
        assert all(len(code) == 4 for code in coded.per_evaluation.values())
