"""Random hole masks of the kinds the explanation methods make.

Every function takes its own generator and returns one boolean ``(H, W)`` mask, True where the
pixels are removed, so the masks of a batch are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]

REFERENCE = 256
"""Side in pixels at which hole sizes are stated; they scale with the shorter image side."""


def rectangle(rng: np.random.Generator, image: Image, *, low: int = 8, high: int = 128) -> Mask:
    """Remove one rectangle with log-uniform sides, wholly inside the image.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    image : (H, W, 3) ndarray of uint8
        Only its shape is read.
    low, high : int
        Shortest and longest side, in pixels of a 256-pixel image.

    Returns
    -------
    mask : (H, W) ndarray of bool
        True inside the rectangle.
    """
    height, width = image.shape[:2]
    scale = min(height, width) / REFERENCE
    sides = np.exp(rng.uniform(np.log(low * scale), np.log(high * scale), 2)).round().astype(int)
    dy, dx = np.clip(sides, 2, (height, width))
    y, x = rng.integers(height - dy + 1), rng.integers(width - dx + 1)
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + dy, x : x + dx] = True
    return mask


def rectangles(rng: np.random.Generator, image: Image) -> Mask:
    """Remove two to eight rectangles of up to 64 pixels."""
    parts = [rectangle(rng, image, high=64) for _ in range(rng.integers(2, 9))]
    return np.logical_or.reduce(parts)


def superpixel_labels(rng: np.random.Generator, image: Image, n_segments: int) -> NDArray[np.intp]:
    """Label pixels by the nearest of some jittered seeds, in position and colour.

    One assignment step of SLIC: borders follow the edges of the picture, at a small part of
    the price of the full algorithm.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    image : (H, W, 3) ndarray of uint8
        Picture to segment.
    n_segments : int
        Number of seeds, about.

    Returns
    -------
    labels : (H, W) ndarray of int
        Segment number of each pixel.
    """
    height, width = image.shape[:2]
    small_h, small_w = height // 2, width // 2
    small = cv2.GaussianBlur(
        cv2.resize(image, (small_w, small_h), interpolation=cv2.INTER_AREA), (0, 0), 1.0
    ).astype(np.float32)
    step = np.sqrt(small_h * small_w / n_segments)
    ys, xs = np.meshgrid(
        np.arange(step / 2, small_h, step), np.arange(step / 2, small_w, step), indexing="ij"
    )
    seeds = np.stack([ys.ravel(), xs.ravel()], 1)
    seeds += rng.uniform(-0.3, 0.3, seeds.shape) * step
    seeds = np.clip(seeds, 0, (small_h - 1, small_w - 1)).astype(np.float32)
    colours = small[seeds[:, 0].astype(int), seeds[:, 1].astype(int)]
    compactness = np.float32(rng.uniform(40.0, 120.0) / step)
    grid = np.indices((small_h, small_w), dtype=np.float32).reshape(2, -1)
    points = np.concatenate([grid.T * compactness, small.reshape(-1, 3)], 1)
    centres = np.concatenate([seeds * compactness, colours], 1)
    distance = (centres**2).sum(1) - 2.0 * points @ centres.T
    labels = distance.argmin(1).reshape(small_h, small_w)
    return cv2.resize(labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST)


def superpixels(rng: np.random.Generator, image: Image) -> Mask:
    """Remove about half of some fifty superpixels, each on its own coin toss."""
    labels = superpixel_labels(rng, image, int(rng.integers(35, 66)))
    p_remove = 0.5 if rng.random() < 0.7 else rng.uniform(0.1, 0.9)
    return (rng.random(labels.max() + 1) < p_remove)[labels]


def cells(rng: np.random.Generator, image: Image, *, grid: int = 28) -> Mask:
    """Remove a random subset of a coarse grid of cells, scattered or clustered.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    image : (H, W, 3) ndarray of uint8
        Only its shape is read.
    grid : int
        Cells per side.

    Returns
    -------
    mask : (H, W) ndarray of bool
        True in the removed cells.
    """
    noise = rng.random((grid, grid), np.float32)
    if rng.random() < 0.7:
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 3.0))
    coarse = noise <= np.quantile(noise, rng.uniform(0.05, 0.75))
    height, width = image.shape[:2]
    return cv2.resize(
        coarse.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    ).astype(np.bool_)


def whole_object(rng: np.random.Generator, image: Image) -> Mask:
    """Remove a box or a smooth blob that covers 20 to 60 % of the image."""
    height, width = image.shape[:2]
    area, aspect = rng.uniform(0.2, 0.6), np.exp(rng.uniform(-0.6, 0.6))
    dy = int(np.clip(np.sqrt(area * aspect) * height, 4, height))
    dx = int(np.clip(np.sqrt(area / aspect) * width, 4, width))
    y, x = rng.integers(height - dy + 1), rng.integers(width - dx + 1)
    mask = np.zeros((height, width), np.bool_)
    if rng.random() < 0.4:
        mask[y : y + dy, x : x + dx] = True
        return mask
    yy, xx = np.ogrid[-1 : 1 : dy * 1j, -1 : 1 : dx * 1j]
    noise = cv2.GaussianBlur(rng.standard_normal((16, 16), np.float32), (0, 0), 2.0)
    bumps = cv2.resize(noise, (dx, dy), interpolation=cv2.INTER_CUBIC) / noise.std()
    mask[y : y + dy, x : x + dx] = yy**2 + xx**2 + 0.25 * bumps < 1.0
    return mask


KINDS: dict[str, Callable[[np.random.Generator, Image], Mask]] = {
    "rectangle": rectangle,
    "large rectangle": partial(rectangle, low=64),  # one in sixteen of the others is so large
    "rectangles": rectangles,
    "superpixels": superpixels,
    "cells": cells,
    "object": whole_object,
}
"""Hole kinds by name."""

WEIGHTS = (0.24, 0.30, 0.18, 0.10, 0.09, 0.09)
"""How often training draws each kind, in the order of `KINDS`."""


def draw_hole(rng: np.random.Generator, image: Image) -> Mask:
    """Draw a hole of a random kind, now and then two kinds together.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    image : (H, W, 3) ndarray of uint8
        The picture the hole is for; superpixels follow its edges.

    Returns
    -------
    mask : (H, W) ndarray of bool
        True in the hole; never all False.
    """
    names = list(KINDS)
    mask = KINDS[names[rng.choice(len(names), p=WEIGHTS)]](rng, image)
    if rng.random() < 0.1:
        mask = mask | KINDS[names[rng.choice(len(names), p=WEIGHTS)]](rng, image)
    return mask if mask.any() else rectangle(rng, image)
