"""Pixels, boxes and maps move between photo and classifier through the same window."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Box, Fit
from onnxplain.image import place_frame, resize

sizes = st.tuples(st.integers(8, 120), st.integers(8, 120))
fits = st.sampled_from(["crop", "stretch", "pad"])
crops = st.floats(0.3, 1.0)


def test_crop_equals_resize_then_centre_crop() -> None:
    photo = PIL.Image.fromarray(skimage.data.coffee())  # 400 x 600
    resized = photo.resize((384, 256), PIL.Image.Resampling.BILINEAR)
    cropped = np.asarray(resized.crop((80, 16, 304, 240))) / 255.0
    image = np.asarray(photo).astype(np.float32) / 255
    brought = place_frame((400, 600), (224, 224), "crop", 0.875).bring(image)
    np.testing.assert_allclose(brought, cropped, atol=1.3 / 255)


def test_stretch_equals_a_plain_resize() -> None:
    image = skimage.data.chelsea().astype(np.float32) / 255
    frame = place_frame((300, 451), (224, 192), "stretch")
    np.testing.assert_array_equal(frame.bring(image), resize(image, (224, 192), antialias=True))


def test_pad_keeps_the_aspect_between_black_borders() -> None:
    image = np.ones((300, 451, 3), np.float32)
    brought = place_frame((300, 451), (224, 224), "pad").bring(image)
    rows = np.flatnonzero(brought.any(axis=(1, 2)))
    assert (rows[0], rows[-1] + 1) == (37, 186)  # 149 of 224 rows, for 300 of 451
    np.testing.assert_allclose(brought[37:186], 1, atol=1e-6)


@given(original=sizes, size=sizes, fit=fits, crop=crops, high=st.floats(1e-3, 1e30))
@settings(max_examples=60, deadline=None)
def test_map_is_brought_as_the_photo(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float, high: float
) -> None:
    """Values of any range; borders hold the least value."""
    frame = place_frame(original, size, fit, crop)
    heatmap = np.random.default_rng(4).random(original)
    brought = frame.bring_map(heatmap * high - high)
    photo = frame.bring(np.repeat(heatmap[..., None], 3, 2).astype(np.float32))[..., 0]
    photo[photo == 0] = photo[photo > 0].min()
    np.testing.assert_allclose(brought / high + 1, photo, atol=1e-5)
    np.testing.assert_array_equal(frame.bring_map(np.full(original, 0.3)), np.full(size, 0.3))


@given(original=sizes, size=sizes, fit=fits, crop=crops, data=st.data())
@settings(max_examples=60, deadline=None)
def test_boxes_move_with_the_pixels(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float, data: st.DataObject
) -> None:
    frame = place_frame(original, size, fit, crop)
    top = data.draw(st.integers(0, original[0] - 1))
    left = data.draw(st.integers(0, original[1] - 1))
    bottom = data.draw(st.integers(top + 1, original[0]))
    right = data.draw(st.integers(left + 1, original[1]))
    image = np.zeros((*original, 3), np.float32)
    image[top:bottom, left:right] = 1
    seen, box = frame.bring(image)[..., 0], frame.box(Box(top, left, bottom, right))
    y, x = (np.arange(n) + 0.5 for n in size)
    depth = np.minimum.outer(
        np.minimum(y - box.top, box.bottom - y), np.minimum(x - box.left, box.right - x)
    )
    window = frame.window
    # How far a pixel of the photo reaches in the input: one pixel of the photo or of the input.
    reach = (
        max(size[0] / (window.bottom - window.top), size[1] / (window.right - window.left), 1)
        + 1e-6
    )
    np.testing.assert_allclose(seen[depth > reach], 1, atol=1e-5)
    np.testing.assert_array_equal(seen[depth < -reach], 0)


@pytest.mark.parametrize(
    ("fit", "size"),
    [("crop", (64, 48)), ("stretch", (64, 48)), ("pad", (64, 48)), ("crop", (130, 200))],
)
def test_each_pixel_of_the_input_shows_the_place_of_its_box_in_the_photo(
    fit: Fit, size: tuple[int, int]
) -> None:
    rows, columns = 120, 180
    places = np.mgrid[:rows, :columns] + 0.5
    image = np.dstack([places[0] / rows, places[1] / columns, np.ones((rows, columns))]).astype(
        np.float32
    )
    frame = place_frame((rows, columns), size, fit, 0.9)
    seen = frame.bring(image)
    for row, column in np.ndindex(*size):
        box = frame.box_back(Box(row, column, row + 1, column + 1))
        y, x = (box.top + box.bottom) / 2, (box.left + box.right) / 2
        if min(y, x, rows - y, columns - x) > 5:  # filters are cut off at the photo's edges
            shown = seen[row, column, 0] * rows, seen[row, column, 1] * columns
            assert abs(shown[0] - y) < 0.2
            assert abs(shown[1] - x) < 0.2


@given(original=sizes, size=sizes, fit=fits, crop=crops)
@settings(max_examples=80, deadline=None)
def test_a_box_comes_back_as_its_part_inside_the_window(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float
) -> None:
    frame = place_frame(original, size, fit, crop)
    whole = Box(0, 0, *original)
    seen = frame.box_back(Box(0, 0, *size))
    back = frame.box_back(frame.box(whole))
    for name in ("top", "left", "bottom", "right"):
        assert getattr(back, name) == pytest.approx(getattr(seen, name), abs=1e-9)
    if fit != "crop":
        assert seen.top == pytest.approx(0)
        assert seen.bottom == pytest.approx(original[0])


def test_a_box_outside_the_crop_loses_its_area() -> None:
    box = place_frame((100, 300), (50, 50)).box(Box(10, 0, 60, 90))
    assert (box.left, box.right) == (0, 0)


@given(original=sizes, size=sizes, fit=fits, crop=crops)
@settings(max_examples=80, deadline=None)
def test_a_map_of_row_numbers_comes_back_as_the_photos_row_numbers(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float
) -> None:
    # Every pixel of the map holds the row of the photo that it shows. Brought back, the map must
    # hold the photo's own rows, except near the window's edge, where bilinear values flatten.
    frame = place_frame(original, size, fit, crop)
    step = (frame.window.bottom - frame.window.top) / size[0]
    rows = frame.window.top + (np.arange(size[0]) + 0.5) * step
    ramp = np.repeat(rows[:, None], size[1], axis=1).astype(np.float32)
    back = frame.back(ramp)
    centre = np.arange(original[0]) + 0.5
    edge = step + 1
    inner = (centre > frame.window.top + edge) & (centre < frame.window.bottom - edge)
    x = np.arange(original[1]) + 0.5
    seen = (x > frame.window.left + 1e-6) & (x < frame.window.right - 1e-6)
    expected = np.repeat(centre[inner, None], seen.sum(), axis=1)
    np.testing.assert_allclose(back[inner][:, seen], expected, atol=0.3 if step < 1 else 1e-3)


@given(original=sizes, size=sizes, fit=fits, crop=crops)
@settings(max_examples=60, deadline=None)
def test_back_is_constant_inside_the_window_and_0_outside(
    original: tuple[int, int], size: tuple[int, int], fit: Fit, crop: float
) -> None:
    frame = place_frame(original, size, fit, crop)
    back = frame.back(np.full(size, 3, np.float32))
    window = frame.window
    y, x = np.mgrid[: original[0], : original[1]] + 0.5
    inside = (y >= window.top) & (y <= window.bottom) & (x >= window.left) & (x <= window.right)
    sure = np.minimum(np.abs(y - window.top), np.abs(y - window.bottom)) > 1e-6
    sure &= np.minimum(np.abs(x - window.left), np.abs(x - window.right)) > 1e-6
    np.testing.assert_allclose(back[sure], np.where(inside, 3, 0)[sure], rtol=1e-5)


def test_back_equals_pillows_resize_of_the_map() -> None:
    heatmap = np.random.default_rng(4).random((32, 48)).astype(np.float32)
    for original in ((100, 90), (20, 30)):
        pillow = PIL.Image.fromarray(heatmap).resize(original[::-1], PIL.Image.Resampling.BILINEAR)
        back = place_frame(original, (32, 48), "stretch").back(heatmap)
        np.testing.assert_allclose(back, np.asarray(pillow), atol=1e-5)


def test_frames_refuse_other_sizes_and_crops() -> None:
    frame = place_frame((10, 20), (8, 8))
    with pytest.raises(ValueError, match=r"\(10, 20\).*\(20, 10\)"):
        frame.bring(np.zeros((20, 10, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(9, 8\)"):
        frame.back(np.zeros((9, 8), np.float32))
    with pytest.raises(ValueError, match="crop"):
        place_frame((10, 20), (8, 8), crop=0)
