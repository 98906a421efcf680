"""Pixels, boxes and maps move between photo and classifier through the same window."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxplain.core.data import Box, Fit, Interpolation, Preprocessing
from onnxplain.image import place_frame

sizes = st.tuples(st.integers(8, 120), st.integers(8, 120))
steps = st.builds(
    Preprocessing,
    fit=st.sampled_from(["crop", "stretch", "pad", "keep"]),
    resize=st.none() | st.tuples(st.integers(6, 150), st.integers(6, 150)),
    centre=st.sampled_from(["round", "floor"]),
)


def make_photo(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def to_unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / 255


FILTERS = {
    "nearest": 0,  # Pillow's numbers, as in the configurations of Hugging Face
    "lanczos": 1,
    "bilinear": 2,
    "bicubic": 3,
    "area": 4,
    "hamming": 5,
}


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(
    ("fit", "resize", "resized", "start"),
    [
        ("crop", (256, 256), (256, 384), (16, 80)),  # 400 x 600: Resize(256), CenterCrop(224)
        ("stretch", (256, 256), (256, 256), (16, 16)),  # Resize((256, 256)), CenterCrop(224)
        ("stretch", None, (224, 224), (0, 0)),
        ("crop", (250, 331), (250, 375), (13, 76)),  # 75.5 is rounded to even
        ("keep", None, (400, 600), (88, 188)),
    ],
)
def test_photo_of_8_bits_is_resized_by_pillow_and_cut_in_whole_pixels(
    interpolation: Interpolation,
    fit: Fit,
    resize: tuple[int, int] | None,
    resized: tuple[int, int],
    start: tuple[int, int],
) -> None:
    photo = skimage.data.coffee()
    large = PIL.Image.fromarray(photo).resize(resized[::-1], FILTERS[interpolation])
    top, left = start
    expected = np.asarray(large.crop((left, top, left + 224, top + 224)))
    frame = place_frame((400, 600), (224, 224), Preprocessing(fit, resize, interpolation))
    np.testing.assert_array_equal(frame.bring(to_unit(photo)), to_unit(expected))


@pytest.mark.parametrize(
    ("original", "edge", "resized"),
    [
        ((400, 601), 256, (256, 384)),  # 384.64 is floored, as torchvision does
        ((601, 400), 256, (384, 256)),
        ((300, 300), 224, (224, 224)),
        ((100, 333), 224, (224, 745)),  # 745.92
    ],
)
def test_shortest_side_gets_the_edge_and_the_longer_one_is_floored(
    original: tuple[int, int], edge: int, resized: tuple[int, int]
) -> None:
    frame = place_frame(original, (224, 224), Preprocessing("crop", (edge, edge)))
    assert frame.resized == resized


@pytest.mark.parametrize(
    ("length", "kept", "rounded", "floored"),
    [
        (256, 224, 16, 16),
        (227, 224, 2, 1),  # 1.5
        (229, 224, 2, 2),  # 2.5
        (225, 224, 0, 0),  # 0.5
        (221, 224, -1, -2),  # torchvision puts the odd row of a border below, Hugging Face above
    ],
)
def test_a_cut_begins_where_each_framework_begins_it(
    length: int, kept: int, rounded: int, floored: int
) -> None:
    size = length, length
    for centre, start in (("round", rounded), ("floor", floored)):
        steps = Preprocessing("keep", centre=centre)  # type: ignore[arg-type]
        assert place_frame(size, (kept, kept), steps).start == (start, start)


def test_borders_have_their_colour_beside_the_whole_photo() -> None:
    photo = make_photo((300, 451))
    steps = Preprocessing("pad", None, "bicubic", border=(124, 116, 104))
    brought = place_frame((300, 451), (224, 224), steps).bring(to_unit(photo))
    small = np.asarray(PIL.Image.fromarray(photo).resize((224, 149), PIL.Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(brought[37:186], to_unit(small))
    border = np.broadcast_to(np.array([124, 116, 104], np.float32) / 255, (224, 3))
    for row in (0, 36, 186, 223):
        np.testing.assert_array_equal(brought[row], border)


def test_resized_photo_that_is_too_small_gets_borders() -> None:
    """As torchvision's CenterCrop of more than there is."""
    photo = np.full((90, 50, 3), 255, np.uint8)
    steps = Preprocessing("crop", (40, 40), border=(255, 0, 0))
    brought = place_frame((90, 50), (60, 44), steps).bring(to_unit(photo))
    np.testing.assert_array_equal(brought[:, 2:42], 1)
    np.testing.assert_array_equal(brought[:, [0, 1, 42, 43]], [[(1, 0, 0)] * 4] * 60)


def test_photo_of_more_than_8_bits_keeps_its_depth() -> None:
    rng = np.random.default_rng(1)
    photo = (rng.integers(0, 65536, (40, 60, 3)) / 65535).astype(np.float32)
    brought = place_frame((40, 60), (16, 16), Preprocessing("crop", (20, 20))).bring(photo)
    planes = [PIL.Image.fromarray(np.ascontiguousarray(photo[..., c])) for c in range(3)]
    small = [np.asarray(plane.resize((30, 20), PIL.Image.Resampling.BILINEAR)) for plane in planes]
    np.testing.assert_array_equal(brought, np.stack(small, -1)[2:18, 7:23])
    assert np.abs(brought * 255 - np.rint(brought * 255)).max() > 0.4


def test_a_photo_of_the_right_size_is_not_changed() -> None:
    photo = np.random.default_rng(2).random((20, 30, 3), np.float32)
    np.testing.assert_array_equal(
        place_frame((20, 30), (20, 30), Preprocessing()).bring(photo), photo
    )


def test_of_a_long_strip_only_what_is_seen_is_resized() -> None:
    """Whole, it would have 256 x 51 million pixels."""
    strip = make_photo((2, 400_000))
    frame = place_frame((2, 400_000), (224, 224), Preprocessing("crop", (256, 256)))
    assert frame.resized == (256, 51_200_000)
    around = place_frame((2, 20), (224, 224), Preprocessing("crop", (256, 256)))
    middle = np.ascontiguousarray(strip[:, 199_990:200_010])
    difference = frame.bring(to_unit(strip)) - around.bring(to_unit(middle))
    assert np.abs(difference).max() < 1.5 / 255  # Pillow's edges are float32


@given(original=sizes, size=sizes, steps=steps, high=st.floats(1e-3, 1e30))
@settings(max_examples=60, deadline=None)
def test_map_is_brought_as_the_photo(
    original: tuple[int, int], size: tuple[int, int], steps: Preprocessing, high: float
) -> None:
    """Values of any range; borders hold the least value."""
    frame = place_frame(original, size, steps)
    heatmap = np.random.default_rng(4).random(original)
    brought = frame.bring_map(heatmap * high - high)
    photo = frame.bring(np.repeat(heatmap[..., None], 3, 2).astype(np.float32))[..., 0]
    photo[photo == 0] = photo[photo > 0].min()
    np.testing.assert_allclose(brought / high + 1, photo, atol=1e-5)
    np.testing.assert_array_equal(frame.bring_map(np.full(original, 0.3)), np.full(size, 0.3))


@given(original=sizes, size=sizes, steps=steps, data=st.data())
@settings(max_examples=60, deadline=None)
def test_boxes_move_with_the_pixels(
    original: tuple[int, int], size: tuple[int, int], steps: Preprocessing, data: st.DataObject
) -> None:
    frame = place_frame(original, size, steps)
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
    resize = int(size[0] / 0.9), int(size[1] / 0.9)
    frame = place_frame((rows, columns), size, Preprocessing(fit, resize))
    seen = frame.bring(image)
    for row, column in np.ndindex(*size):
        box = frame.box_back(Box(row, column, row + 1, column + 1))
        y, x = (box.top + box.bottom) / 2, (box.left + box.right) / 2
        if min(y, x, rows - y, columns - x) > 5:  # filters are cut off at the photo's edges
            shown = seen[row, column, 0] * rows, seen[row, column, 1] * columns
            assert abs(shown[0] - y) < 0.2
            assert abs(shown[1] - x) < 0.2


@given(original=sizes, size=sizes, steps=steps)
@settings(max_examples=80, deadline=None)
def test_a_box_comes_back_as_its_part_inside_the_window(
    original: tuple[int, int], size: tuple[int, int], steps: Preprocessing
) -> None:
    frame = place_frame(original, size, steps)
    whole = Box(0, 0, *original)
    seen = frame.box_back(Box(0, 0, *size))
    back = frame.box_back(frame.box(whole))
    for name in ("top", "left", "bottom", "right"):
        assert getattr(back, name) == pytest.approx(getattr(seen, name), abs=1e-9)
    sides = (seen.top, seen.bottom), (seen.left, seen.right)
    for axis, (low, high) in enumerate(sides):
        step = original[axis] / frame.resized[axis]
        assert low == pytest.approx(max(frame.start[axis], 0) * step)
        end = min(frame.start[axis] + size[axis], frame.resized[axis])
        assert high == pytest.approx(end * step)


def test_a_box_ends_with_the_photo_and_not_in_the_border_beside_it() -> None:
    frame = place_frame((30, 60), (60, 60), Preprocessing("pad"))
    assert frame.box(Box(-5, 10, 40, 70)) == Box(15, 10, 45, 60)
    outside = frame.box(Box(32, 10, 40, 20))
    assert (outside.top, outside.bottom) == (45, 45)


def test_a_box_outside_the_crop_loses_its_area() -> None:
    box = place_frame((100, 300), (50, 50), Preprocessing()).box(Box(10, 0, 60, 90))
    assert (box.left, box.right) == (0, 0)


@given(original=sizes, size=sizes, steps=steps)
@settings(max_examples=80, deadline=None)
def test_a_map_of_row_numbers_comes_back_as_the_photos_row_numbers(
    original: tuple[int, int], size: tuple[int, int], steps: Preprocessing
) -> None:
    # Every pixel of the map holds the row of the photo that it shows. Brought back, the map must
    # hold the photo's own rows, except near the window's edge, where bilinear values flatten.
    frame = place_frame(original, size, steps)
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


@given(original=sizes, size=sizes, steps=steps)
@settings(max_examples=60, deadline=None)
def test_back_is_constant_inside_the_window_and_0_outside(
    original: tuple[int, int], size: tuple[int, int], steps: Preprocessing
) -> None:
    frame = place_frame(original, size, steps)
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
        back = place_frame(original, (32, 48), Preprocessing("stretch")).back(heatmap)
        np.testing.assert_allclose(back, np.asarray(pillow), atol=1e-5)


def test_frames_refuse_other_sizes() -> None:
    frame = place_frame((10, 20), (8, 8), Preprocessing())
    with pytest.raises(ValueError, match=r"\(10, 20\).*\(20, 10\)"):
        frame.bring(np.zeros((20, 10, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(9, 8\)"):
        frame.back(np.zeros((9, 8), np.float32))
