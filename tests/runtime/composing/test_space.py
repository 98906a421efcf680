"""Images enter a model's space by the convention of its specification, and gradients leave it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain.runtime.composing.space import ModelSpace, check_images
from tests.helpers import models
from tests.helpers.specs import CONVENTIONS, SIZE, photos, spec_of


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_images_enter_as_the_plain_form_of_the_convention(convention: dict[str, Any]) -> None:
    images, space = photos(3), ModelSpace.of(spec_of(**convention))
    inside = space.enter(images)
    assert inside.shape == (3, *space.shape)
    expected = models.encode(images, **{**convention, "dtype": "float64"})
    np.testing.assert_allclose(inside, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_leaving_is_the_adjoint_of_entering(convention: dict[str, Any]) -> None:
    """<enter(x) - enter(0), g> = <x, leave(g)> for any images x and gradients g."""
    space, rng = ModelSpace.of(spec_of(**convention)), np.random.default_rng(0)
    images = photos(2)
    gradients = rng.normal(size=(2, *space.shape)).astype(np.float32)
    linear = space.enter(images).astype(np.float64) - space.enter(np.zeros_like(images))
    left = (linear * gradients).sum(axis=(1, 2, 3))
    right = (images.astype(np.float64) * space.leave(gradients)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-3 * max(space.gain))


def test_uint8_is_rounded_half_to_even_and_clipped() -> None:
    space = ModelSpace.of(spec_of(size=(1, 6), dtype="uint8", range=(0, 255)))
    values = np.array([-3.0, 0.5, 1.5, 2.5, 254.6, 300.0], np.float32)
    out = np.empty((1, 3, 1, 6), np.uint8)
    space.cast(np.broadcast_to(values, out.shape).astype(np.float32), out)
    assert out[0, 0, 0].tolist() == [0, 0, 2, 2, 255, 255]


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((2, 9, 9, 3), np.float32), r"got float32 of shape \(2, 9, 9, 3\)"),
        (np.zeros((2, *SIZE, 3), np.uint8), "got uint8"),
        (np.zeros((0, *SIZE, 3), np.float32), "at least one image"),
    ],
)
def test_check_refuses_other_sizes_types_and_no_images(images: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_images(images, SIZE)
