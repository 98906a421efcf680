"""Compare the inpainter with simple fills on held-out photos, one table per hole kind."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from baselines import BASELINES, Fill, onnx_inpainter
from holes import Image, Mask, cells, rectangle, rectangles, whole_object
from metrics import Features, StLpips, frechet, hole_l1, hole_psnr, ssim
from numpy.typing import NDArray
from photos import HELD_OUT, centre_square, read_photo
from skimage.segmentation import slic

log = logging.getLogger("inpainter")

COLUMNS = ("L1", "PSNR", "SSIM", "ST-LPIPS")


def slic_superpixels(rng: np.random.Generator, image: Image) -> Mask:
    """Half of about 50 SLIC superpixels, LIME's segmentation."""
    labels = slic(image, n_segments=50, compactness=30, sigma=3, start_label=0)
    return (rng.random(labels.max() + 1) < 0.5)[labels]


KINDS: dict[str, Callable[[np.random.Generator, Image], Mask]] = {
    "rectangle 8-64 px": partial(rectangle, low=8, high=64),
    "rectangle 64-128 px": partial(rectangle, low=64, high=128),
    "2-8 rectangles": rectangles,
    "SLIC superpixels": slic_superpixels,
    "28x28 cells": cells,
    "whole object": whole_object,
}
"""Hole kinds of the tables; the sizes hold for 256-pixel images."""


def hole_for(kind: str, index: int, image: Image) -> Mask:
    """Return the hole of a kind for the held-out photo of that number, the same every time."""
    rng = np.random.default_rng((list(KINDS).index(kind), index))
    mask = KINDS[kind](rng, image)
    return mask if mask.any() else rectangle(rng, image)


def measure(
    fill: Fill,
    images: list[Image],
    masks: list[Mask],
    distance: StLpips,
    features: Features,
    real: NDArray[np.float64],
) -> list[float]:
    """Return the mean L1, PSNR, SSIM and ST-LPIPS, and the Frechet distance."""
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
        filled_features.append(features(filled))
    return [*np.mean(rows, 0), frechet(np.stack(filled_features), real)]


def table(kind: str, rows: dict[str, list[float]]) -> str:
    """Return a Markdown table; the best value of each column is bold."""
    values = np.array(list(rows.values()))
    best = np.where(
        [c == "PSNR" or c == "SSIM" for c in (*COLUMNS, "Frechet")],
        values.argmax(0),
        values.argmin(0),
    )
    digits = (4, 2, 3, 4, 1)
    lines = [f"| {kind} | " + " | ".join((*COLUMNS, "Frechet")) + " |", "| --- |" + " --- |" * 5]
    for i, (name, row) in enumerate(rows.items()):
        cells_ = [
            f"**{v:.{d}f}**" if best[j] == i else f"{v:.{d}f}"
            for j, (v, d) in enumerate(zip(row, digits, strict=True))
        ]
        lines.append(f"| {name} | " + " | ".join(cells_) + " |")
    return "\n".join(lines)


def contact_sheet(fills: dict[str, Fill], cases: list[tuple[Image, Mask]], tile: int) -> Image:
    """Return rows of hole (magenta), each fill, and the original."""
    rows = []
    for image, mask in cases:
        shown = image.copy()
        shown[mask] = (255, 0, 255)
        tiles = (
            [shown]
            + [(fill(image, mask) * 255.0).round().astype(np.uint8) for fill in fills.values()]
            + [image]
        )
        rows.append(
            np.hstack([cv2.resize(t, (tile, tile), interpolation=cv2.INTER_AREA) for t in tiles])
        )
    return np.vstack(rows)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("onnx", type=Path, help="the inpainter to judge")
    add("--data", type=Path, required=True, help="folder of photos with the held-out ones")
    add("--st-lpips", type=Path, required=True, help="ST-LPIPS graph, two inputs in [-1, 1]")
    add("--rival", type=Path, help="another inpainter's graph, 128 px in and out")
    add("--n-photos", type=int, default=200)
    add("--size", type=int, default=256)
    add("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    add("--only", nargs="*", help="names of the fills to run; all if not given")
    add("--table", type=Path, help="Markdown file to write")
    add("--cache", type=Path, help="JSON file that keeps the other fills' rows between runs")
    add("--sheet", type=Path, help="contact sheet PNG to write")
    add("--sheet-photos", type=Path, nargs="*", default=[], help="pictures for the sheet")
    add("--tile", type=int, default=160, help="side of a picture on the sheet")
    return parser.parse_args()


def remembered(
    args: argparse.Namespace, kind: str, name: str, compute: Callable[[], list[float]]
) -> list[float]:
    """Return a row of a table from the cache, or compute and keep it; ours is always computed."""
    if not args.cache or name == "ours":
        return compute()
    rows = json.loads(args.cache.read_text()) if args.cache.exists() else {}
    key = f"{kind}, {name}, {args.n_photos} photos of {args.size} px"
    if key not in rows:
        rows[key] = compute()
        args.cache.write_text(json.dumps(rows, indent=1))
    return rows[key]


def write_sheet(fills: dict[str, Fill], args: argparse.Namespace) -> None:
    """Write a contact sheet, the hole kinds taking turns from picture to picture."""
    cases = []
    for i, path in enumerate(args.sheet_photos):
        image = centre_square(read_photo(path), args.size)
        cases.append((image, hole_for(args.kinds[i % len(args.kinds)], i, image)))
    sheet = contact_sheet(fills, cases, args.tile)
    cv2.imwrite(str(args.sheet), sheet[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def main() -> None:
    """Measure every fill on every hole kind."""
    logging.basicConfig(level=logging.INFO)
    cv2.setNumThreads(1)
    args = parse()
    fills = dict(BASELINES)
    if args.rival:
        fills[args.rival.stem] = onnx_inpainter(args.rival, 128)
    fills["ours"] = onnx_inpainter(args.onnx)
    fills = {k: v for k, v in fills.items() if not args.only or k in args.only}
    if args.sheet:
        write_sheet(fills, args)
    if not args.table:
        return
    distance, features = StLpips(args.st_lpips), Features()
    names = HELD_OUT.read_text().split()[: args.n_photos]
    images = [centre_square(read_photo(args.data / name), args.size) for name in names]
    real = np.stack([features(image.astype(np.float32) / 255.0) for image in images])
    tables = []
    for kind in args.kinds:
        masks = [hole_for(kind, i, image) for i, image in enumerate(images)]
        rows = {
            name: remembered(
                args, kind, name, partial(measure, fill, images, masks, distance, features, real)
            )
            for name, fill in fills.items()
        }
        tables.append(table(kind, rows))
        log.info("\n%s", tables[-1])
        args.table.write_text("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
