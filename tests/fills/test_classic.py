from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from onnxplain.fills import Biharmonic, NavierStokes, Telea, classic
from tests.helpers.fills import make_masks, make_photo, paint

FILLS = [Telea(), NavierStokes(), Biharmonic()]


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
def test_classical_fills_do_not_see_what_is_in_the_hole(fill: Any) -> None:
    image = make_photo()
    masks = make_masks(image)[1:2]
    other = np.where(masks[0, ..., None] == 1, np.float32(1), image)
    hole = masks[0] == 1
    np.testing.assert_array_equal(
        paint(fill, image, masks)[0][hole], paint(fill, other, masks)[0][hole]
    )


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
@pytest.mark.parametrize(
    "edge", [np.s_[:9, 5:14], np.s_[-9:, 5:14], np.s_[5:14, :9], np.s_[1:9, -9:]]
)
def test_nor_do_they_at_the_border_of_the_photo(fill: Any, edge: Any) -> None:
    """OpenCV reads some pixels of holes there."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 24, 3)).astype(np.float32) / np.float32(255)
    masks = np.zeros((1, 30, 24), np.float32)
    masks[0][edge] = 1
    other = np.where(masks[0, ..., None] == 1, np.float32(1), image)
    hole = masks[0] == 1
    np.testing.assert_array_equal(
        paint(fill, image, masks)[0][hole], paint(fill, other, masks)[0][hole]
    )


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
def test_classical_fills_continue_a_ramp(fill: Any) -> None:
    ramp = np.repeat(np.tile(np.linspace(0, 1, 48, dtype=np.float32), (48, 1))[..., None], 3, 2)
    masks = np.zeros((1, 48, 48), np.float32)
    masks[0, 20:28, 20:28] = 1
    error = np.abs(paint(fill, ramp, masks)[0] - ramp)[masks[0] == 1]
    # A ramp is itself biharmonic; the other two are coarser, and have 8 bits.
    assert error.max() < (1e-5 if fill.name == "biharmonic" else 0.1)


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
def test_classical_fills_show_the_mean_colour_when_everything_is_removed(fill: Any) -> None:
    image = make_photo()
    picture = paint(fill, image, np.ones((1, *image.shape[:2]), np.float32))[0]
    expected = np.full(image.shape, image.mean(axis=(0, 1), dtype=np.float64))
    np.testing.assert_allclose(picture, expected, atol=1e-5)


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
@pytest.mark.parametrize("cores", [1, 3])
def test_masks_filled_side_by_side_are_filled_as_alone(
    fill: Any, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classic, "count_cores", lambda: cores)
    image = make_photo()
    masks = np.concatenate([make_masks(image)] * 3)
    alone = np.concatenate([paint(fill, image, mask[None]) for mask in masks])
    np.testing.assert_array_equal(paint(fill, image, masks), alone)


@pytest.mark.parametrize("fill", [Telea(), NavierStokes()], ids=lambda fill: fill.name)
def test_several_threads_fill(fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other in its first fill, so one thread alone would not come back."""
    monkeypatch.setattr(classic, "count_cores", lambda: 2)
    plain, together = classic.inpaint_classical, threading.Barrier(2, timeout=20)

    def inpaint(*arguments: Any) -> Any:
        together.wait()
        return plain(*arguments)

    monkeypatch.setattr(classic, "inpaint_classical", inpaint)
    image = make_photo()
    masks = make_masks(image)[[1, 2]]
    assert paint(fill, image, masks).shape == (2, *image.shape)
