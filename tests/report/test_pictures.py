"""Pictures keep their values and their limits."""

from __future__ import annotations

import base64
import io

import numpy as np
import PIL.Image
import pytest

from onnxplain.plot.colours import choose_scale
from onnxplain.report.pictures import (
    PHOTO_BYTES,
    encode_map,
    encode_photo,
    find_plain_colour,
    share_bytes,
)


def decode(url: str) -> tuple[np.ndarray, int]:
    """Return the pixels of a data URL, and the number of its bytes."""
    content = base64.b64decode(url.partition(",")[2])
    return np.asarray(PIL.Image.open(io.BytesIO(content))), len(content)


@pytest.mark.parametrize("lowest", [-0.7, 0.1])
def test_values_of_a_map_are_kept_to_half_a_level(lowest: float):
    heatmap = np.random.default_rng(0).uniform(lowest, 2.5, (50, 40)).astype(np.float32)
    scale = choose_scale(heatmap)
    levels, _ = decode(encode_map(heatmap, scale, 50_000))
    values = scale.low + levels / 255 * (scale.high - scale.low)
    np.testing.assert_allclose(values, heatmap, atol=(scale.high - scale.low) / 510 + 1e-6)


def test_flat_map_is_a_picture():
    flat = np.full((4, 4), 0.5, np.float32)
    assert not decode(encode_map(flat, choose_scale(flat), 1000))[0].any()


@pytest.mark.parametrize("limit", [30_000, 8_000, 2_500])
def test_pictures_shrink_until_they_fit(limit: int):
    rng = np.random.default_rng(0)
    heatmap = rng.random((224, 224), np.float32)
    photo = rng.integers(0, 256, (300, 448, 3), np.uint8)
    pixels, size = decode(encode_map(heatmap, choose_scale(heatmap), limit))
    assert size <= limit
    assert pixels.shape[0] == pixels.shape[1]
    pixels, size = decode(encode_photo(photo, limit))
    assert size <= max(limit, 3_000)  # noise has a smallest form, too
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(448 / 300, rel=0.02)


def test_photos_share_what_there_is():
    for n_photos, n_maps in ((1, 1), (5, 20), (50, 50), (50, 500), (1000, 1000)):
        photo, heatmap = share_bytes(n_photos, n_maps)
        assert photo <= PHOTO_BYTES
        in_base64 = (
            (min(n_photos, 50) * photo + min(n_photos, 50) / n_photos * n_maps * heatmap) * 4 / 3
        )
        assert in_base64 <= 2_700_000


def test_plain_pictures_are_told():
    plain = np.full((3, 4, 3), (255, 0, 16), np.uint8)
    assert find_plain_colour(plain) == "#ff0010"
    plain[1, 1, 2] = 20
    assert find_plain_colour(plain) is None
