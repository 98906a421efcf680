"""Host composition equals the obvious form: compose in pixels, then preprocess."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.protocols import Masks, Part
from onnxplain.masks.families import (
    ArrayMasks,
    CellMasks,
    GridMasks,
    PatchMasks,
    RankMasks,
    SegmentMasks,
)
from onnxplain.runtime.composing.host import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from tests.helpers import models
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of


def families(n: int = 5, size: tuple[int, int] = SIZE, seed: int = 0) -> dict[str, Masks]:
    """Masks of every family, some partly outside the image, some empty, some full."""
    rng = np.random.default_rng(seed)
    rows, columns = size
    pixels = rows * columns
    bits = rng.integers(0, 2, (n, 6)).astype(np.uint8)
    bits[0], bits[1] = 0, 1
    return {
        "patch": PatchMasks(rng.integers(-3, max(size), (n, 2)), 4, size),
        "grid": GridMasks(
            rng.integers(0, 2, (n, 3, 3)).astype(np.uint8),
            np.stack([rng.integers(0, -(-rows // 3), n), rng.integers(0, -(-columns // 3), n)], 1),
            size,
        ),
        "segment": SegmentMasks(rng.integers(0, 6, size), bits),
        "cell": CellMasks(rng.random((n, 3, 4), np.float32), size),
        "bits": CellMasks(rng.random((n, 3, 5)) < 0.5, size),
        "rank": RankMasks(
            rng.permutation(pixels).reshape(size),
            np.concatenate([[0, pixels], rng.integers(0, pixels, n - 2)]),
        ),
        "array": ArrayMasks(rng.random((n, *size), np.float32)),
    }


def obvious(parts: list[tuple[Any, Any, Masks, int, int]], convention: dict[str, Any]) -> Any:
    """x * (1 - m) + f * m in pixels, then the model's preprocessing, in float64."""
    images = []
    for image, fill, masks, start, stop in parts:
        m = masks.render(start, stop)[..., None].astype(np.float64)
        images.append(image * (1 - m) + fill * m)
    whole = np.concatenate(images)
    return models.encode(whole, **{**convention, "dtype": "float64"})


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("family", families())
def test_folded_composition_equals_the_obvious_one(family: str, convention: dict[str, Any]) -> None:
    image, fill = photos(2)
    masks = families()[family]
    space = ModelSpace.of(spec_of(**convention))
    composer = HostComposer(space)
    got = composer.compose([Part(composer.planes(image, fill), masks, 1, 4)])
    expected = obvious([(image, fill, masks, 1, 4)], convention)
    assert got.dtype == np.dtype(space.dtype)
    assert got.flags.c_contiguous
    # Half a step and rounding for integers, 2^-11 relative for float16, a few ulp for float32.
    tolerance = {"uint8": 0.501, "float16": 5e-4, "float32": 3e-6}[space.dtype]
    np.testing.assert_allclose(got.astype(float), expected, rtol=tolerance, atol=tolerance)


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
    kinds = list(families(8, seed=seed).values())
    parts, plain = [], []
    for start, length in cuts:
        which, masks = int(rng.integers(2)), kinds[rng.integers(len(kinds))]
        parts.append(Part(planes[which], masks, start, start + length))
        plain.append((*pairs[which], masks, start, start + length))
    np.testing.assert_allclose(composer.compose(parts), obvious(plain, {}), rtol=1e-5, atol=1e-6)


def test_empty_mask_gives_the_image_and_full_mask_the_fill() -> None:
    image, fill = photos(2)
    for convention in CONVENTIONS.values():
        composer = HostComposer(ModelSpace.of(spec_of(**convention)))
        masks = ArrayMasks(np.stack([np.zeros(SIZE), np.ones(SIZE)]).astype(np.float32))
        got = composer.compose([Part(composer.planes(image, fill), masks, 0, 2)]).astype(float)
        expected = models.encode(np.stack([image, fill]), **convention).astype(float)
        tolerance = 1 if convention.get("dtype") == "uint8" and "grey" in str(convention) else 2e-3
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_uint8_is_rounded_half_to_even_and_clipped() -> None:
    space = ModelSpace.of(spec_of(size=(1, 6), dtype="uint8", range=(0, 255)))
    values = np.array([-3.0, 0.5, 1.5, 2.5, 254.6, 300.0], np.float32)
    out = np.empty((1, 3, 1, 6), np.uint8)
    space.cast(np.broadcast_to(values, out.shape).astype(np.float32), out)
    assert out[0, 0, 0].tolist() == [0, 0, 2, 2, 255, 255]


def test_images_enter_as_the_plain_form_says() -> None:
    images = photos(3)
    for convention in CONVENTIONS.values():
        composer = HostComposer(ModelSpace.of(spec_of(**convention)))
        np.testing.assert_allclose(
            composer.enter(images).astype(float),
            models.encode(images, **convention).astype(float),
            rtol=1e-3 if convention.get("dtype") == "float16" else 1e-5,
            atol=2e-5,
        )


def test_threads_do_not_share_buffers() -> None:
    composer = HostComposer(ModelSpace.of(spec_of()))
    image, fill = photos(2)
    planes, masks = composer.planes(image, fill), families(40)["cell"]
    expected = composer.compose([Part(planes, masks, 0, 40)]).copy()

    def one(start: int) -> Any:
        rows = composer.compose([Part(planes, masks, start, start + 4)])
        for _ in range(20):  # time for others to overwrite it, if they could
            np.testing.assert_array_equal(rows, expected[start : start + 4])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, [start for _ in range(10) for start in range(0, 40, 4)]))
