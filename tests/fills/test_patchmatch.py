from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import util

import numpy as np
import pytest

from onnxplain.core.errors import LibraryMissing
from onnxplain.fills import Blur, PatchMatch, Telea
from tests.helpers.fills import make_masks, make_photo, paint

pytest.importorskip("patchmatch", reason="pypatchmatch is not installed")


def make_texture(side: int = 96) -> np.ndarray:
    """Make a checkerboard with a little noise: a texture that equations cannot go on."""
    rows, columns = np.indices((side, side)) // 6
    board = 0.3 + 0.4 * ((rows + columns) % 2)
    noise = np.random.default_rng(3).normal(0, 0.02, (side, side))
    return np.repeat(np.clip(board + noise, 0, 1)[..., None], 3, 2).astype(np.float32)


def make_hole(side: int = 96) -> np.ndarray:
    masks = np.zeros((1, side, side), np.float32)
    masks[0, 30:54, 36:60] = 1
    return masks


def test_patchmatch_continues_a_texture_that_equations_blur() -> None:
    image, masks = make_texture(), make_hole()
    errors = {
        fill.name: np.abs(paint(fill, image, masks)[0] - image)[masks[0] == 1].mean()
        for fill in (PatchMatch(), Telea(), Blur())
    }
    assert errors["patchmatch"] < 0.08
    assert errors["patchmatch"] < min(errors["telea"], errors["blur"]) / 2


def test_patchmatch_does_not_see_what_is_in_the_hole() -> None:
    image, masks = make_photo(), make_masks(make_photo())[1:2]
    other = np.where(masks[0, ..., None] == 1, np.float32(1), image)
    hole = masks[0] == 1
    np.testing.assert_array_equal(
        paint(PatchMatch(), image, masks)[0][hole], paint(PatchMatch(), other, masks)[0][hole]
    )


def test_known_pixels_keep_their_values() -> None:
    image, masks = make_texture(), make_hole()
    known = masks[0] == 0
    np.testing.assert_array_equal(paint(PatchMatch(), image, masks)[0][known], image[known])


def test_seed_decides_what_is_painted() -> None:
    image, masks = make_photo(), make_masks(make_photo())[1:2]
    first, again, other = (
        PatchMatch().prepare(image, np.random.default_rng(seed))(masks) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_two_workers_paint_what_one_paints() -> None:
    image = make_photo()
    masks = np.concatenate([make_masks(image)] * 3)
    # Each photo has a seed of its own, which the other worker must not see.
    fills = [PatchMatch().prepare(image, np.random.default_rng(seed)) for seed in range(2)]
    alone = [fill(masks) for fill in fills]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            together = list(pool.map(lambda fill: fill(masks), fills))
            for one, both in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, both)


@pytest.mark.parametrize("radius", [0, -1, 51])
def test_radius_out_of_range_is_refused(radius: int) -> None:
    with pytest.raises(ValueError, match="radius must be"):
        PatchMatch(radius=radius)


def test_missing_library_is_named_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    find = util.find_spec
    monkeypatch.setattr(
        "onnxplain.fills.patchmatch.find_spec",
        lambda name: None if name == "patchmatch" else find(name),
    )
    monkeypatch.delitem(sys.modules, "patchmatch", raising=False)
    with pytest.raises(LibraryMissing, match=r"onnxplain\[patchmatch\]"):
        PatchMatch()
