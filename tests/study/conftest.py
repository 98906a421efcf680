"""A few small photos, and classifiers that know what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from onnxplain.core.data import Box, Images, Scores
from onnxplain.study.dataset import Item
from tests.helpers.nets import Net

SIZE = (16, 16)


def red_part(images: Images) -> Scores:
    """Class 1 ("yes") is as probable as the image is red, with some pixels counting more."""
    weights = np.linspace(0.5, 1.5, 256).reshape(SIZE)
    score = (images[..., 0] * weights).mean(axis=(1, 2))
    return np.stack([1 - score, score], axis=1)


@pytest.fixture
def net() -> Net:
    return Net(red_part, SIZE)


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return path


def reddish(seed: int, rows: int = 20, columns: int = 24) -> NDArray[np.uint8]:
    """A photo of class 1: noise with much red."""
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)
    pixels[..., 0] = pixels[..., 0] // 3 + 160
    return pixels


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Five photos of class 1, each with a box in the middle."""
    box = Box(5, 6, 15, 18)
    return [
        Item(f"{i}.png", save(tmp_path / f"{i}.png", reddish(i)), 1, (box,), (20, 24))
        for i in range(5)
    ]
