"""Compare the inpainter with simple fills on held-out photos, in one table per hole kind."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from baselines import BASELINES, Fill, load_onnx_fill
from holes import Image, Mask, draw_cells, draw_object, draw_rectangle, draw_rectangles
from metrics import Features, StLpips, frechet, hole_l1, hole_psnr, ssim, tell_apart
from numpy.typing import NDArray
from photos import HELD_OUT, cut_centre_square, read_photo
from skimage.segmentation import slic

log = logging.getLogger("inpainter")

COLUMNS = ("L1", "PSNR", "SSIM", "ST-LPIPS", "Frechet", "Frechet, Lite2", "told apart")
DIGITS = (4, 2, 3, 4, 1, 1, 3)


def draw_slic_superpixels(rng: np.random.Generator, image: Image) -> Mask:
    """Draw half of about 50 SLIC superpixels, the segmentation of LIME."""
    labels = slic(image, n_segments=50, compactness=30, sigma=3, start_label=0)
    return (rng.random(labels.max() + 1) < 0.5)[labels]


KINDS: dict[str, Callable[[np.random.Generator, Image], Mask]] = {
    "rectangle 8-64 px": partial(draw_rectangle, low=8, high=64),
    "rectangle 64-128 px": partial(draw_rectangle, low=64, high=128),
    "2-8 rectangles": draw_rectangles,
    "SLIC superpixels": draw_slic_superpixels,
    "28x28 cells": draw_cells,
    "whole object": draw_object,
}
"""Hole kinds of the tables, with sizes for images of 256 pixels."""


def draw_test_hole(kind: str, index: int, image: Image) -> Mask:
    """Draw the hole of a kind for held-out photo number `index`, the same every time."""
    rng = np.random.default_rng((list(KINDS).index(kind), index))
    mask = KINDS[kind](rng, image)
    return mask if mask.any() else draw_rectangle(rng, image)


def measure(
    fill: Fill,
    images: list[Image],
    masks: list[Mask],
    distance: StLpips,
    networks: list[Features],
    real: list[NDArray[np.float64]],
) -> list[float]:
    """Return the mean L1, PSNR, SSIM and ST-LPIPS, Frechet distances and the share told apart.

    `real` has the features of the real images by each of the networks; the first decides how
    often filled and real images are told apart.
    """
    rows, filled_features = [], []
    for image, mask in zip(images, masks, strict=True):
        pixels = image.astype(np.float32) / 255.0
        filled = fill(image, mask)
        rows.append(
            (
                hole_l1(filled, pixels, mask),
                hole_psnr(filled, pixels, mask),
                ssim(filled, pixels),
                distance(filled, pixels),
            )
        )
        filled_features.append([features(filled) for features in networks])
    found = [np.stack(of_network) for of_network in zip(*filled_features, strict=True)]
    distances = map(frechet, found, real)
    return [*np.mean(rows, 0), *distances, tell_apart(found[0], real[0])]


def format_table(kind: str, rows: dict[str, list[float]]) -> str:
    """Format a Markdown table with the best value of each column in bold."""
    values = np.array(list(rows.values()))
    best = np.where(
        [column in ("PSNR", "SSIM") for column in COLUMNS],
        values.argmax(0),
        values.argmin(0),
    )
    lines = [f"| {kind} | " + " | ".join(COLUMNS) + " |", "| --- |" + " --- |" * len(COLUMNS)]
    for i, (name, row) in enumerate(rows.items()):
        cells = [
            f"**{value:.{n}f}**" if best[j] == i else f"{value:.{n}f}"
            for j, (value, n) in enumerate(zip(row, DIGITS, strict=True))
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def make_contact_sheet(fills: dict[str, Fill], cases: list[tuple[Image, Mask]], tile: int) -> Image:
    """Make a picture with one row per case: hole (magenta), every fill, and the original."""
    rows = []
    for image, mask in cases:
        shown = image.copy()
        shown[mask] = (255, 0, 255)
        pictures = (
            [shown]
            + [(fill(image, mask) * 255.0).round().astype(np.uint8) for fill in fills.values()]
            + [image]
        )
        rows.append(
            np.hstack(
                [
                    cv2.resize(picture, (tile, tile), interpolation=cv2.INTER_AREA)
                    for picture in pictures
                ]
            )
        )
    return np.vstack(rows)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("onnx", type=Path, help="the inpainter to measure")
    add(
        "--data",
        type=Path,
        required=True,
        help="folder of photos that includes the held-out photos",
    )
    add("--st-lpips", type=Path, required=True, help="ST-LPIPS graph with two inputs in [-1, 1]")
    add("--rival", type=Path, help="another inpainter's graph, at 128 px")
    add("--n-photos", type=int, default=200)
    add("--size", type=int, default=256)
    add("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    add("--only", nargs="*", help="names of the fills to run (default: all)")
    add("--table", type=Path, help="Markdown file to write")
    add("--cache", type=Path, help="JSON file that keeps the other fills' rows between runs")
    add("--sheet", type=Path, help="contact sheet PNG to write")
    add("--sheet-photos", type=Path, nargs="*", default=[], help="pictures for the sheet")
    add("--tile", type=int, default=160, help="side of a picture on the sheet")
    return parser.parse_args()


def read_or_compute(
    args: argparse.Namespace, kind: str, name: str, compute: Callable[[], list[float]]
) -> list[float]:
    """Return a row from the cache, or compute and keep it; ours is always computed."""
    if not args.cache or name == "ours":
        return compute()
    rows = json.loads(args.cache.read_text()) if args.cache.exists() else {}
    key = f"{kind}, {name}, {args.n_photos} photos of {args.size} px, {', '.join(COLUMNS)}"
    if key not in rows:
        rows[key] = compute()
        args.cache.write_text(json.dumps(rows, indent=1))
    return rows[key]


def write_sheet(fills: dict[str, Fill], args: argparse.Namespace) -> None:
    """Write a contact sheet; the hole kinds take turns from picture to picture."""
    cases = []
    for i, path in enumerate(args.sheet_photos):
        image = cut_centre_square(read_photo(path), args.size)
        cases.append((image, draw_test_hole(args.kinds[i % len(args.kinds)], i, image)))
    sheet = make_contact_sheet(fills, cases, args.tile)
    cv2.imwrite(str(args.sheet), sheet[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def main() -> None:
    """Measure every fill on every hole kind."""
    logging.basicConfig(level=logging.INFO)
    cv2.setNumThreads(1)
    args = parse_arguments()
    fills = dict(BASELINES)
    if args.rival:
        fills[args.rival.stem] = load_onnx_fill(args.rival, 128)
    fills["ours"] = load_onnx_fill(args.onnx)
    fills = {name: fill for name, fill in fills.items() if not args.only or name in args.only}
    if args.sheet:
        write_sheet(fills, args)
    if not args.table:
        return
    distance, networks = StLpips(args.st_lpips), [Features(0), Features(2)]
    names = HELD_OUT.read_text().split()[: args.n_photos]
    images = [cut_centre_square(read_photo(args.data / name), args.size) for name in names]
    real = [
        np.stack([features(image.astype(np.float32) / 255.0) for image in images])
        for features in networks
    ]
    tables = []
    for kind in args.kinds:
        masks = [draw_test_hole(kind, i, image) for i, image in enumerate(images)]
        rows = {
            name: read_or_compute(
                args, kind, name, partial(measure, fill, images, masks, distance, networks, real)
            )
            for name, fill in fills.items()
        }
        tables.append(format_table(kind, rows))
        log.info("\n%s", tables[-1])
        args.table.write_text("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
