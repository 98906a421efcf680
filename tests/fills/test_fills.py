"""Every fill keeps the same promises; each paints what its formula says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import skimage.color
import skimage.data
import skimage.segmentation
from numpy.typing import NDArray

from onnxplain import fills
from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.errors import InpainterError
from onnxplain.core.params import build, list_parameters
from onnxplain.image import resize


@dataclasses.dataclass
class Painter:
    """Paints every hole in one colour and its surroundings in another, in small batches."""

    colour: float = 0.25
    batch_size: int = 2
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seen: list[Mask] = dataclasses.field(default_factory=list)

    def inpaint(self, images: Images, masks: Mask) -> Images:
        self.seen.append(masks)
        shade = np.where(masks == 1, np.float32(self.colour), np.float32(0.9))
        return np.repeat(shade[..., None], 3, axis=-1)


DECLARED = [getattr(fills, name)() for name in fills.__all__ if name != "Inpaint"]
FILLS = [*DECLARED, fills.Inpaint(Painter())]


def photo(rows: int = 48, columns: int = 40) -> Image:
    coffee = skimage.data.coffee()[:, :400].astype(np.float32) / 255
    return np.clip(resize(coffee, (rows, columns), antialias=True), 0, 1)


def some_masks(image: Image) -> Mask:
    masks = np.zeros((4, *image.shape[:2]), np.float32)
    masks[1, 8:18, 5:12] = 1
    masks[2, 20:26, 20:30] = 0.6
    masks[2, 26:30, 20:30] = 0.4
    masks[3, 30:34, 3:9] = 1
    return masks


def painted(fill: Any, image: Image, masks: Mask, seed: int = 0) -> Images:
    """What the fill shows for every mask, whichever of the two forms it prepares."""
    prepared = fill.prepare(image, np.random.default_rng(seed))
    pictures = prepared(masks) if callable(prepared) else np.stack([prepared] * len(masks))
    assert isinstance(pictures, np.ndarray)
    return pictures


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
class TestEveryFill:
    def test_paints_float32_pixels_in_range_of_the_right_shape(self, fill: Any) -> None:
        image = photo()
        pictures = painted(fill, image, some_masks(image))
        assert pictures.shape == (4, *image.shape)
        assert pictures.dtype == np.float32
        assert np.isfinite(pictures).all()
        assert pictures.min() >= 0
        assert pictures.max() <= 1

    def test_leaves_known_pixels_of_the_composed_image(self, fill: Any) -> None:
        image = photo()
        masks = some_masks(image)
        removed = masks[..., None]
        composed = image * (1 - removed) + painted(fill, image, masks) * removed
        kept = masks == 0
        np.testing.assert_array_equal(composed[kept], np.broadcast_to(image, composed.shape)[kept])

    def test_writes_to_neither_image_nor_masks(self, fill: Any) -> None:
        image = photo()
        masks = some_masks(image)
        image.setflags(write=False)
        masks.setflags(write=False)
        before = image.copy(), masks.copy()
        painted(fill, image, masks)
        np.testing.assert_array_equal(image, before[0])
        np.testing.assert_array_equal(masks, before[1])

    def test_gives_the_same_for_the_same_seed(self, fill: Any) -> None:
        image = photo()
        first, second = (painted(fill, image, some_masks(image)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_gives_the_same_however_masks_are_batched(self, fill: Any) -> None:
        image = photo()
        masks = some_masks(image)
        one_by_one = [painted(fill, image, masks[i : i + 1]) for i in range(len(masks))]
        np.testing.assert_array_equal(painted(fill, image, masks), np.concatenate(one_by_one))

    def test_paints_when_everything_is_removed(self, fill: Any) -> None:
        image = photo()
        pictures = painted(fill, image, np.ones((1, *image.shape[:2]), np.float32))
        assert np.isfinite(pictures).all()
        assert pictures.shape == (1, *image.shape)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3)])
    def test_paints_tiny_images(self, fill: Any, shape: tuple[int, int]) -> None:
        image = np.full((*shape, 3), 0.5, np.float32)
        masks = np.zeros((1, *shape), np.float32)
        masks[0, 0, 0] = 1
        assert np.isfinite(painted(fill, image, masks)).all()


@pytest.mark.parametrize("fill", DECLARED, ids=lambda fill: fill.name)
def test_fill_is_a_value_built_from_its_declared_parameters(fill: Any) -> None:
    values = {one.name: one.default for one in list_parameters(type(fill))}
    built = build(type(fill), values)
    assert (built, hash(built)) == (fill, hash(fill))


@pytest.mark.parametrize(
    ("fill", "colour"),
    [
        (fills.DatasetMean(), (0.485, 0.456, 0.406)),
        (fills.Black(), (0, 0, 0)),
        (fills.White(), (1, 1, 1)),
        (fills.Colour(rgb=(1.0, 0.25, 0.0)), (1, 0.25, 0)),
    ],
)
def test_plain_fills_are_their_colour(fill: Any, colour: tuple[float, float, float]) -> None:
    image = photo()
    expected = np.full(image.shape, colour, np.float32)
    np.testing.assert_array_equal(fill.prepare(image, np.random.default_rng(0)), expected)


def test_colours_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="rgb must be >= 0 and <= 1, got 255"):
        fills.Colour(rgb=(255, 0, 0))


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (fills.Blur, "sigma"),
        (fills.GaussianNoise, "sd"),
        (fills.LocalMean, "window"),
        (fills.SegmentMean, "sigma"),
    ],
)
def test_values_that_would_fill_the_memory_are_refused(cls: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .* <= 1"):
        cls(**{name: 10**9})


def test_channel_mean_is_the_mean_of_each_channel() -> None:
    image = np.zeros((2, 2, 3), np.float32)
    image[0, 0], image[1, 1] = (1, 0.5, 0), (0, 0.5, 0)
    picture = fills.ChannelMean().prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, np.full((2, 2, 3), (0.25, 0.25, 0)), rtol=1e-6)


def test_segment_mean_equals_skimage_label2rgb() -> None:
    image = photo(112, 112)
    labels = skimage.segmentation.slic(image, 50, compactness=30, sigma=3, start_label=1)
    expected = skimage.color.label2rgb(labels, image, kind="avg", bg_label=0)
    picture = fills.SegmentMean().prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, expected, atol=1e-5)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_local_mean_equals_a_loop_over_windows() -> None:
    image = photo(20, 24)
    padded = np.pad(image.astype(np.float64), ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    expected = np.empty_like(image)
    for row, column in np.ndindex(20, 24):
        expected[row, column] = padded[row : row + 5, column : column + 5].mean(axis=(0, 1))
    picture = fills.LocalMean(window=5).prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_blur_equals_scipy() -> None:
    image = photo()
    expected = scipy.ndimage.gaussian_filter(image.astype(np.float64), (10, 10, 0))
    picture = fills.Blur().prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_noise_has_its_distribution_and_follows_the_seed() -> None:
    image = np.zeros((200, 200, 3), np.float32)
    uniform = fills.UniformNoise().prepare(image, np.random.default_rng(0))
    assert uniform.mean() == pytest.approx(0.5, abs=0.005)
    assert uniform.var() == pytest.approx(1 / 12, rel=0.02)
    normal = fills.GaussianNoise(mean=0.4, sd=0.05).prepare(image, np.random.default_rng(0))
    assert normal.mean() == pytest.approx(0.4, abs=0.001)
    assert normal.std() == pytest.approx(0.05, rel=0.02)
    clipped = fills.GaussianNoise().prepare(image, np.random.default_rng(0))
    assert ((clipped == 0) | (clipped == 1)).mean() == pytest.approx(0.0455, abs=0.003)
    other = fills.UniformNoise().prepare(image, np.random.default_rng(1))
    assert not np.array_equal(uniform, other)


@pytest.mark.parametrize("fill", [fills.Telea(), fills.NavierStokes(), fills.Biharmonic()])
def test_classical_fills_do_not_see_what_is_in_the_hole(fill: Any) -> None:
    image = photo()
    masks = some_masks(image)[1:2]
    other = np.where(masks[0, ..., None] == 1, np.float32(1), image)
    hole = masks[0] == 1
    np.testing.assert_array_equal(
        painted(fill, image, masks)[0][hole], painted(fill, other, masks)[0][hole]
    )


@pytest.mark.parametrize("fill", [fills.Telea(), fills.NavierStokes(), fills.Biharmonic()])
def test_classical_fills_continue_a_ramp(fill: Any) -> None:
    ramp = np.repeat(np.tile(np.linspace(0, 1, 48, dtype=np.float32), (48, 1))[..., None], 3, 2)
    masks = np.zeros((1, 48, 48), np.float32)
    masks[0, 20:28, 20:28] = 1
    error = np.abs(painted(fill, ramp, masks)[0] - ramp)[masks[0] == 1]
    # A ramp is itself biharmonic; the other two are coarser, and have 8 bits.
    assert error.max() < (1e-5 if fill.name == "biharmonic" else 0.1)


def test_soft_masks_are_holes_from_one_half() -> None:
    painter = Painter()
    image = photo()
    pictures = painted(fills.Inpaint(painter), image, some_masks(image))
    holes = np.concatenate(painter.seen)
    expected: NDArray[np.float32] = (some_masks(image)[1:] >= 0.5).astype(np.float32)
    np.testing.assert_array_equal(holes, expected)  # the empty mask is not even asked for
    np.testing.assert_array_equal(pictures[2, 20:26, 20:30], np.float32(0.25))
    np.testing.assert_array_equal(pictures[2, 26:30, 20:30], image[26:30, 20:30])


def test_inpainter_is_asked_in_batches_of_its_size() -> None:
    painter = Painter(batch_size=2)
    image = photo()
    painted(fills.Inpaint(painter), image, np.ones((5, *image.shape[:2]), np.float32))
    assert [len(masks) for masks in painter.seen] == [2, 2, 1]


def test_wrong_inpainters_are_told_so() -> None:
    image = photo()
    masks = some_masks(image)
    with pytest.raises(InpainterError, match="NaN"):
        painted(fills.Inpaint(Painter(colour=np.nan)), image, masks)

    class Transposer(Painter):
        def inpaint(self, images: Images, masks: Mask) -> Images:
            return images.transpose(0, 3, 1, 2)

    with pytest.raises(InpainterError, match=r"\(2, 3, 48, 40\).*layout"):
        painted(fills.Inpaint(Transposer()), image, masks)
