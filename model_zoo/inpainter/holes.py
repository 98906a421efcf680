"""Random hole masks of the kinds that explanation methods make.

Every function takes a generator and returns one boolean ``(H, W)`` mask, True where pixels are
removed. Each mask of a batch gets its own generator, so that the masks are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]

REFERENCE = 256
"""Image side in pixels for which hole sizes are given; they scale with the shorter side."""


def draw_rectangle(
    rng: np.random.Generator, image: Image, *, low: int = 8, high: int = 128
) -> Mask:
    """Draw one rectangle with log-uniform sides, wholly inside the image.

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


def draw_rectangles(rng: np.random.Generator, image: Image) -> Mask:
    """Draw two to eight rectangles with sides of up to 64 pixels."""
    parts = [draw_rectangle(rng, image, high=64) for _ in range(rng.integers(2, 9))]
    return np.logical_or.reduce(parts)


def label_superpixels(rng: np.random.Generator, image: Image, n_segments: int) -> NDArray[np.intp]:
    """Label each pixel with the nearest of jittered seeds, in position and colour.

    This is one assignment step of SLIC: borders follow the edges of the picture, at a small
    part of the cost of the full algorithm.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    image : (H, W, 3) ndarray of uint8
        Picture to segment.
    n_segments : int
        Approximate number of seeds.

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


def draw_superpixels(rng: np.random.Generator, image: Image) -> Mask:
    """Draw about half of some fifty superpixels, each by a coin toss of its own."""
    labels = label_superpixels(rng, image, int(rng.integers(35, 66)))
    p_remove = 0.5 if rng.random() < 0.7 else rng.uniform(0.1, 0.9)
    return (rng.random(labels.max() + 1) < p_remove)[labels]


def draw_cells(rng: np.random.Generator, image: Image, *, grid: int = 28) -> Mask:
    """Draw a random subset of the cells of a coarse grid, scattered or clustered.

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
        True in the drawn cells.
    """
    noise: NDArray[Any] = rng.random((grid, grid), np.float32)
    if rng.random() < 0.7:
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 3.0))
    coarse = noise <= np.quantile(noise, rng.uniform(0.05, 0.75))
    height, width = image.shape[:2]
    return cv2.resize(
        coarse.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    ).astype(np.bool_)


def draw_object(rng: np.random.Generator, image: Image) -> Mask:
    """Draw a box or a smooth blob over 20 to 60 % of the image."""
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
    "rectangle": draw_rectangle,
    "large rectangle": partial(draw_rectangle, low=64),  # of "rectangle", 1 in 16 is so large
    "rectangles": draw_rectangles,
    "superpixels": draw_superpixels,
    "cells": draw_cells,
    "object": draw_object,
}
"""Hole kinds by name."""

WEIGHTS = (0.24, 0.30, 0.18, 0.10, 0.09, 0.09)
"""The probability of each kind in training, in the order of `KINDS`."""


def draw_hole(rng: np.random.Generator, image: Image) -> Mask:
    """Draw a hole of a random kind; one in ten combines two kinds.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    image : (H, W, 3) ndarray of uint8
        The picture that gets the hole; superpixels follow its edges.

    Returns
    -------
    mask : (H, W) ndarray of bool
        True in the hole; never all False.
    """
    names = list(KINDS)
    mask = KINDS[names[rng.choice(len(names), p=WEIGHTS)]](rng, image)
    if rng.random() < 0.1:
        mask = mask | KINDS[names[rng.choice(len(names), p=WEIGHTS)]](rng, image)
    return mask if mask.any() else draw_rectangle(rng, image)
