"""Photos in memory, the split into training and held-out photos, and seeded batches."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np
import torch
from holes import KINDS, REFERENCE, Image, Mask, draw_hole
from torch import Tensor

_ONE_AT_A_TIME = Lock()  # PatchMatch keeps one seed for the whole process

HELD_OUT = Path(__file__).with_name("heldout.txt")
"""Names of the photos that are never trained on, one per line."""


def read_photo(path: Path) -> Image:
    """Read a photo as (H, W, 3) RGB uint8.

    Raises
    ------
    ValueError
        If the file is not a picture that OpenCV can read.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path}: not a readable picture; remove it from the folder")
    return np.ascontiguousarray(bgr[:, :, ::-1])


def split_photos(
    folder: Path, n_held_out: int = 200, seed: int = 0
) -> tuple[list[Path], list[Path]]:
    """Return the training files and the held-out files of a folder.

    The held-out names are drawn once and kept in `HELD_OUT`.
    """
    suffixes = {".jpg", ".jpeg", ".png"}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not HELD_OUT.exists():
        chosen = np.random.default_rng(seed).choice(len(files), n_held_out, replace=False)
        HELD_OUT.write_text("".join(f"{files[i].name}\n" for i in chosen))
    names = HELD_OUT.read_text().split()
    held_out = [folder / name for name in names if (folder / name).exists()]
    return [path for path in files if path.name not in set(names)], held_out


def cut_random_square(rng: np.random.Generator, photo: Image, size: int) -> Image:
    """Cut a random square of at least half the shorter side; mirror it half of the time."""
    height, width = photo.shape[:2]
    short = min(height, width)
    low = max(0.5 * short, min(short, 0.9 * size))
    side = int(rng.uniform(low, short + 1))
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = _resize(photo[y : y + side, x : x + side], size)
    return square[:, ::-1] if rng.random() < 0.5 else square


def cut_centre_square(photo: Image, size: int) -> Image:
    """Cut the largest square in the middle and resize it."""
    height, width = photo.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return _resize(photo[y : y + side, x : x + side], size)


def _resize(square: Image, size: int) -> Image:
    shrinks = square.shape[0] > size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=method), np.uint8)


def make_tensors(images: list[Image], masks: list[Mask]) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, H, W) in [0, 1] and masks (N, 1, H, W) in {0, 1}."""
    image = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255.0
    mask = torch.from_numpy(np.stack(masks)[:, None].astype(np.float32))
    return image.contiguous(memory_format=torch.channels_last), mask


class Batch(NamedTuple):
    """Squares with holes, and what the holes should look like.

    Parameters
    ----------
    image : (N, 3, H, W) Tensor
        RGB in [0, 1].
    mask : (N, 1, H, W) Tensor
        1 in the hole.
    texture : (N, 3, H, W) Tensor
        The image, or in deep holes what PatchMatch makes of it.
    """

    image: Tensor
    mask: Tensor
    texture: Tensor


def draw_training_batch(
    photos: list[Image],
    size: int,
    batch: int,
    rng: np.random.Generator,
    *,
    by_patchmatch: bool = False,
) -> Batch:
    """Draw squares from random photos, each with a hole of its own."""
    chosen = rng.integers(len(photos), size=batch)
    images = [cut_random_square(rng, photos[i], size) for i in chosen]
    holes = [draw_hole(rng, image) for image in images]
    image, mask = make_tensors(images, holes)
    if not by_patchmatch:
        return Batch(image, mask, image)
    textures = [
        continue_texture(square, hole) if is_deep(hole) else square
        for square, hole in zip(images, holes, strict=True)
    ]
    return Batch(image, mask, make_tensors(textures, holes)[0])


def is_deep(hole: Mask) -> bool:
    """Return whether a hole is more than 64 px wide, for an image of 256 px, but not most of it."""
    if hole.mean() > 0.6:
        return False
    depth = float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3).max())
    return depth > 32 / REFERENCE * min(hole.shape)


def continue_texture(image: Image, hole: Mask) -> Image:
    """Fill a hole with patches of 11 x 11 pixels of the rest of the photo.

    What the hole really showed cannot be known from its surroundings, and the average over all
    that it might have shown has no texture. What PatchMatch makes of the surroundings can be
    learned from them.
    """
    import patchmatch  # pip install pypatchmatch

    with _ONE_AT_A_TIME:
        patchmatch.set_random_seed(0)
        return np.asarray(patchmatch.inpaint(image, hole, patch_size=5), np.uint8)


def iterate_training_batches(
    photos: list[Image],
    size: int,
    batch: int,
    *,
    seed: int,
    first: int,
    n_threads: int,
    by_patchmatch: bool = False,
) -> Iterator[Batch]:
    """Yield the batches of step `first` and all later ones, drawn ahead by threads.

    A batch depends on the seed and its step alone, so that a resumed run draws the batches that
    an uninterrupted one draws.
    """

    def draw(step: int) -> Batch:
        rng = np.random.default_rng((seed, step))
        return draw_training_batch(photos, size, batch, rng, by_patchmatch=by_patchmatch)

    with ThreadPoolExecutor(n_threads) as threads:
        ahead = deque(threads.submit(draw, first + i) for i in range(n_threads))
        for step in itertools.count(first + n_threads):
            drawn = ahead.popleft().result()
            ahead.append(threads.submit(draw, step))
            yield drawn


def make_held_out_batches(
    photos: list[Image], size: int, batch: int
) -> list[tuple[Tensor, Tensor]]:
    """Return the same squares and holes every time; the hole kinds take turns."""
    images = [cut_centre_square(photo, size) for photo in photos]
    kinds = list(KINDS.values())
    masks = [
        kinds[i % len(kinds)](np.random.default_rng(i), image) for i, image in enumerate(images)
    ]
    return [
        make_tensors(images[i : i + batch], masks[i : i + batch])
        for i in range(0, len(images), batch)
    ]
