"""The contract that every fill keeps, whatever it paints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain import fills
from onnxplain.core.params import build, list_parameters
from tests.helpers.fills import Painter, make_masks, make_photo, paint

DECLARED = [getattr(fills, name)() for name in fills.__all__ if name != "Inpaint"]
FILLS = [*DECLARED, fills.Inpaint(Painter())]


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
class TestEveryFill:
    def test_paints_float32_pixels_in_range_of_the_right_shape(self, fill: Any) -> None:
        image = make_photo()
        pictures = paint(fill, image, make_masks(image))
        assert pictures.shape == (4, *image.shape)
        assert pictures.dtype == np.float32
        assert np.isfinite(pictures).all()
        assert pictures.min() >= 0
        assert pictures.max() <= 1

    def test_leaves_known_pixels_of_the_composed_image_unchanged(self, fill: Any) -> None:
        image = make_photo()
        masks = make_masks(image)
        removed = masks[..., None]
        composed = image * (1 - removed) + paint(fill, image, masks) * removed
        kept = masks == 0
        np.testing.assert_array_equal(composed[kept], np.broadcast_to(image, composed.shape)[kept])

    def test_writes_to_neither_image_nor_masks(self, fill: Any) -> None:
        image = make_photo()
        masks = make_masks(image)
        image.setflags(write=False)
        masks.setflags(write=False)
        before = image.copy(), masks.copy()
        paint(fill, image, masks)
        np.testing.assert_array_equal(image, before[0])
        np.testing.assert_array_equal(masks, before[1])

    def test_gives_the_same_for_the_same_seed(self, fill: Any) -> None:
        image = make_photo()
        first, second = (paint(fill, image, make_masks(image)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_gives_the_same_however_masks_are_batched(self, fill: Any) -> None:
        image = make_photo()
        masks = make_masks(image)
        one_by_one = [paint(fill, image, masks[i : i + 1]) for i in range(len(masks))]
        np.testing.assert_array_equal(paint(fill, image, masks), np.concatenate(one_by_one))

    def test_paints_when_everything_is_removed(self, fill: Any) -> None:
        image = make_photo()
        pictures = paint(fill, image, np.ones((1, *image.shape[:2]), np.float32))
        assert np.isfinite(pictures).all()
        assert pictures.shape == (1, *image.shape)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3)])
    def test_paints_tiny_images(self, fill: Any, shape: tuple[int, int]) -> None:
        image = np.full((*shape, 3), 0.5, np.float32)
        masks = np.zeros((1, *shape), np.float32)
        masks[0, 0, 0] = 1
        assert np.isfinite(paint(fill, image, masks)).all()


@pytest.mark.parametrize("fill", DECLARED, ids=lambda fill: fill.name)
def test_fill_is_a_value_built_from_its_declared_parameters(fill: Any) -> None:
    values = {parameter.name: parameter.default for parameter in list_parameters(type(fill))}
    built = build(type(fill), values)
    assert (built, hash(built)) == (fill, hash(fill))


@pytest.mark.parametrize("fill", DECLARED, ids=lambda fill: fill.name)
def test_every_parameter_has_help_and_is_described(fill: Any) -> None:
    for parameter in list_parameters(type(fill)):
        assert parameter.param.help
        assert f"    {parameter.name} : " in type(fill).__doc__


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (fills.Blur, "sigma"),
        (fills.GaussianNoise, "sd"),
        (fills.LocalMean, "window"),
        (fills.SegmentMean, "sigma"),
    ],
)
def test_values_that_would_exhaust_memory_are_refused(cls: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .* <= 1"):
        cls(**{name: 10**9})
