"""Tests of the inpainter's training: the holes, the first guess and the losses."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import ndimage

FOLDER = Path(__file__).parents[2] / "model_zoo" / "inpainter"
PHOTO = np.random.default_rng(0).integers(0, 256, (96, 112, 3), np.uint8)


@pytest.fixture(autouse=True)
def add_scripts_to_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the scripts on the path, as they import each other by name."""
    monkeypatch.syspath_prepend(str(FOLDER))


def import_script(name: str) -> ModuleType:
    """Import a script; skip the test if it needs PyTorch and there is none."""
    if name in ("losses", "network"):
        pytest.importorskip("torch")
    return importlib.import_module(name)


def test_holes_are_seeded_never_empty_and_within_their_size_limits() -> None:
    holes = import_script("holes")
    drawn = [holes.draw_hole(np.random.default_rng(i), PHOTO) for i in range(60)]
    assert all(mask.shape == PHOTO.shape[:2] and mask.any() for mask in drawn)
    again = holes.draw_hole(np.random.default_rng(7), PHOTO)
    np.testing.assert_array_equal(again, drawn[7])
    scale = 96 / holes.REFERENCE
    for i in range(20):
        mask = holes.draw_rectangle(np.random.default_rng(i), PHOTO, low=8, high=64)
        rows, columns = np.ptp(np.argwhere(mask), axis=0) + 1
        assert mask.sum() == rows * columns
        assert 8 * scale - 1 <= min(rows, columns) <= max(rows, columns) <= 64 * scale + 1


def test_push_pull_keeps_known_pixels_and_does_not_read_the_hole() -> None:
    network = import_script("network")
    import torch

    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.random((2, 3, 32, 48), np.float32))
    mask = torch.zeros(2, 1, 32, 48)
    mask[0, :, 4:20, 8:30], mask[1, :, ::2] = 1, 1
    guess = network.push_pull(image, mask)
    known = (mask == 0).expand_as(image)
    torch.testing.assert_close(guess[known], image[known])
    other = torch.where(mask > 0, 1 - image, image)
    torch.testing.assert_close(network.push_pull(other, mask), guess)
    low, high = image[known].min(), image[known].max()
    assert low - 1e-5 <= guess.min() <= guess.max() <= high + 1e-5


def test_rim_weights_fall_with_the_depth_and_the_deepest_place() -> None:
    losses = import_script("losses")
    import torch

    mask = np.zeros((3, 1, 40, 60), np.float32)
    mask[0, 0, 5:33, 10:50] = 1
    mask[1, 0, 5:9, 10:14] = 1
    weight = losses.compute_rim_weights(torch.from_numpy(mask)).numpy()
    for actual, hole in zip(weight[:, 0], mask[:, 0], strict=True):
        depth = ndimage.distance_transform_edt(hole) if hole.any() else np.zeros_like(hole)
        expected = np.exp(-depth / losses.REACH - depth.max() / losses.DEEP)
        np.testing.assert_allclose(actual, expected, rtol=0.12)  # OpenCV's distance is a bit short


def test_moments_are_mean_and_deviation_of_the_features_in_the_hole() -> None:
    losses = import_script("losses")
    import torch

    rng = np.random.default_rng(2)
    x, hole = rng.random((1, 3, 16, 16), np.float32), rng.random((1, 1, 16, 16)) < 0.3
    moments = losses._compute_moments(
        torch.from_numpy(x), torch.from_numpy(hole.astype(np.float32))
    )
    inside = x[0][:, hole[0, 0]]
    np.testing.assert_allclose(moments[0, 0], inside.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(moments[1, 0], np.sqrt(inside.var(axis=1) + 1e-4), rtol=1e-4)


def test_l1_loss_weights_a_hole_by_the_root_of_its_area() -> None:
    losses = import_script("losses")
    import torch

    mask = torch.zeros(2, 1, 20, 20)
    mask[0, :, :10, :10], mask[1, :, :20, :20] = 1, 1
    image = torch.zeros(2, 3, 20, 20)
    alike = losses.compute_l1_loss(image + mask, image, mask)
    small = losses.compute_l1_loss(
        image + mask * torch.tensor([1.0, 0])[:, None, None, None], image, mask
    )
    shares = np.array([0.25, 1.0])
    expected = shares / np.sqrt(shares * shares.mean())
    assert float(alike) == pytest.approx(expected.mean(), rel=1e-5)
    assert float(small) == pytest.approx(expected[0] / 2, rel=1e-5)
