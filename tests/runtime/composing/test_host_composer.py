"""Host composition equals the obvious form: compose in pixels, then preprocess."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.protocols import Part
from onnxplain.masks.families import ArrayMasks
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from tests.helpers import models
from tests.helpers.masks import compose_plainly, make_families
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("family", make_families())
def test_folded_composition_equals_the_obvious_one(family: str, convention: dict[str, Any]) -> None:
    image, fill = photos(2)
    masks = make_families()[family]
    space = ModelSpace.of(spec_of(**convention))
    composer = HostComposer(space)
    rows = composer.compose([Part(composer.planes(image, fill), masks, 1, 4)], 3)
    expected = compose_plainly([(image, fill, masks, 1, 4)], convention)
    assert rows.dtype == np.dtype(space.dtype)
    assert rows.flags.c_contiguous
    # Half a step and rounding for integers, 2^-11 relative for float16, a few ulp for float32.
    tolerance = {"uint8": 0.501, "float16": 5e-4, "float32": 3e-6}[space.dtype]
    np.testing.assert_allclose(rows.astype(float), expected, rtol=tolerance, atol=tolerance)


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_parts_of_several_images_keep_their_order(cuts: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    composer = HostComposer(ModelSpace.of(spec_of()))
    pairs = [photos(2, seed=seed), photos(2, seed=seed + 1)]
    planes = [composer.planes(*pair) for pair in pairs]
    families = list(make_families(8, seed=seed).values())
    parts, plain = [], []
    for start, length in cuts:
        pair, masks = int(rng.integers(2)), families[rng.integers(len(families))]
        parts.append(Part(planes[pair], masks, start, start + length))
        plain.append((*pairs[pair], masks, start, start + length))
    rows = composer.compose(parts, sum(length for _, length in cuts))
    np.testing.assert_allclose(rows, compose_plainly(plain, {}), rtol=1e-5, atol=1e-6)


def test_empty_mask_gives_the_image_and_full_mask_the_fill() -> None:
    image, fill = photos(2)
    for convention in CONVENTIONS.values():
        composer = HostComposer(ModelSpace.of(spec_of(**convention)))
        masks = ArrayMasks(np.stack([np.zeros(SIZE), np.ones(SIZE)]).astype(np.float32))
        rows = composer.compose([Part(composer.planes(image, fill), masks, 0, 2)], 2)
        expected = models.encode(np.stack([image, fill]), **convention).astype(float)
        tolerance = 1 if convention.get("dtype") == "uint8" and "grey" in str(convention) else 2e-3
        np.testing.assert_allclose(rows.astype(float), expected, rtol=tolerance, atol=tolerance)


def test_images_enter_in_the_models_element_type() -> None:
    images = photos(3)
    for convention in CONVENTIONS.values():
        composer = HostComposer(ModelSpace.of(spec_of(**convention)))
        np.testing.assert_allclose(
            composer.enter(images, 3).astype(float),
            models.encode(images, **convention).astype(float),
            rtol=1e-3 if convention.get("dtype") == "float16" else 1e-5,
            atol=2e-5,
        )


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_rows_beyond_the_images_repeat_the_last_one(convention: dict[str, Any]) -> None:
    image, fill = photos(2)
    composer = HostComposer(ModelSpace.of(spec_of(**convention)))
    composer.enter(photos(5, seed=9), 5)  # what the buffer held before must not show
    part = Part(composer.planes(image, fill), make_families()["cell"], 0, 3)
    composed = composer.compose([part], 3).copy()
    padded = composer.compose([part], 5)
    np.testing.assert_array_equal(padded, composed[[0, 1, 2, 2, 2]])
    entered = composer.enter(photos(2), 2).copy()
    np.testing.assert_array_equal(composer.enter(photos(2), 4), entered[[0, 1, 1, 1]])


def test_threads_do_not_share_buffers() -> None:
    composer = HostComposer(ModelSpace.of(spec_of()))
    image, fill = photos(2)
    planes, masks = composer.planes(image, fill), make_families(40)["cell"]
    expected = composer.compose([Part(planes, masks, 0, 40)], 40).copy()

    def compose_four(start: int) -> Any:
        rows = composer.compose([Part(planes, masks, start, start + 4)], 4)
        for _ in range(20):  # time for other threads to overwrite it, if they could
            np.testing.assert_array_equal(rows, expected[start : start + 4])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(compose_four, [start for _ in range(10) for start in range(0, 40, 4)]))
