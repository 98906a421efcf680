"""How well the inpainter removes objects from photos: table 1 of Agarwal & Nguyen (ACCV 2020).

    python table1.py rows.jsonl --images PHOTOS --annotations labels.csv --st-lpips stlpips.onnx

Each object is shown in six ways, as it is and with five fills, and a classifier other than the
explained one says whether it still sees the object. The fills cover the object's boxes, or its
shape, which GrabCut finds in the boxes; the paper has masks of objects.

Writes a line of JSON per photo when it is done, continues where it was stopped, and prints the
tables of all lines.

References
----------
.. [1] Rother, Kolmogorov & Blake, GrabCut: interactive foreground extraction using iterated
   graph cuts, SIGGRAPH 2004
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from metrics import StLpips
from numpy.typing import NDArray

import onnxplain
from onnxplain.core.data import Image, Preprocessing, make_rng
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.fills import Blur, DatasetMean, Inpaint, PatchMatch, UniformNoise
from onnxplain.image import place_frame, read_image
from onnxplain.loading import load_inpainter
from onnxplain.metrics import ms_ssim
from onnxplain.metrics.heatmaps.boxes import make_box_mask
from onnxplain.study.dataset import Item, draw_sample, read_items
from onnxplain.study.statistics import confidence_interval
from onnxplain.subjects import classify, fit_to_classifier

SIZE = 256  # of the photo's centre square, at which it is filled
MARGIN = 4  # pixels around an object's shape that are filled too, as its edge is blurred
REAL, INPAINT = "real", "inpaint"
COLUMNS = ("recognised", "probability", "ms_ssim", "st_lpips")


def judge(
    item: Item,
    fills: Mapping[str, Fill],
    classifier: Classifier,
    distance: Callable[[Image, Image], float],
) -> dict[str, Any]:
    """Measure how much of an object is left under every mask and fill."""
    photo = read_image(item.path)
    rows, columns, _ = photo.shape
    frame = place_frame((rows, columns), (SIZE, SIZE), Preprocessing())
    image = frame.bring(photo)
    boxes = make_box_mask([frame.box(box) for box in item.boxes_in((rows, columns))], (SIZE, SIZE))
    assert item.label is not None
    masks = {"boxes": boxes, "shapes": find_shape(boxes, image)}
    return {
        "photo": item.file,
        "area": {name: float(mask.mean()) for name, mask in masks.items()},
        "fills": {
            name: {
                fill: _measure(picture, image, int(item.label), classifier, distance)
                for fill, picture in make_pictures(fills, image, mask.astype(np.float32)).items()
            }
            for name, mask in masks.items()
        },
    }


def find_shape(boxes: NDArray[np.bool_], image: Image) -> NDArray[np.bool_]:
    """Find the object in its boxes by GrabCut [1]_ and widen it by `MARGIN`.

    Return the boxes if this fails: if they cover the whole picture, which leaves no background,
    or if the shape is less than a 20th of the boxes, which cannot be the object.
    """
    if boxes.all():
        return boxes
    labels = np.where(boxes, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    bgr = np.ascontiguousarray(np.rint(image[..., ::-1] * 255).astype(np.uint8))
    cv2.setRNGSeed(0)
    cv2.grabCut(  # type: ignore[call-overload]  # its stubs know no None
        bgr, labels, None, None, None, 5, cv2.GC_INIT_WITH_MASK
    )
    shape = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if shape.sum() < boxes.sum() / 20:
        return boxes
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    return cv2.dilate(shape.astype(np.uint8), disc).astype(np.bool_)


def make_pictures(
    fills: Mapping[str, Fill], image: Image, mask: NDArray[np.float32]
) -> dict[str, Image]:
    """Return the image itself, and the image with the removed pixels filled by each fill."""
    return {REAL: image, **{name: fill_in(fill, image, mask) for name, fill in fills.items()}}


def fill_in(fill: Fill, image: Image, mask: NDArray[np.float32]) -> Image:
    """Return the image with the pixels that the mask removes filled."""
    picture = fill.prepare(image, make_rng(0, "fill"))
    if callable(picture):
        picture = picture(mask[None])[0]
    return np.where(mask[..., None] > 0, picture, image)


def _measure(
    picture: Image,
    image: Image,
    target: int,
    classifier: Classifier,
    distance: Callable[[Image, Image], float],
) -> dict[str, float]:
    """Return whether the object is recognised, its probability, and the likeness to `image`."""
    probabilities = classify(classifier, fit_to_classifier(classifier, picture)[1])
    return {
        "recognised": float(probabilities.argmax() == target),
        "probability": float(probabilities[target]),
        "ms_ssim": ms_ssim(image, picture),
        "st_lpips": distance(image, picture),
    }


def format_table(title: str, mask: str, rows: Sequence[dict[str, Any]]) -> str:
    """Format the means over photos, and the accuracy with inpaint minus that with each fill."""
    area = np.mean([row["area"][mask] for row in rows])
    by_photo = [row["fills"][mask] for row in rows]
    lines = [
        f"| {title}: {len(rows)} photos, {area:.0%} filled | top-1 accuracy "
        "| probability of the class | MS-SSIM | ST-LPIPS | accuracy, inpaint minus this (95 %) |",
        "|---|---|---|---|---|---|",
    ]
    inpainted = np.array([fills[INPAINT]["recognised"] for fills in by_photo])
    for name in by_photo[0]:
        values = {key: np.array([fills[name][key] for fills in by_photo]) for key in COLUMNS}
        gaps = inpainted - values["recognised"]
        low, high = confidence_interval(gaps, np.random.default_rng(0))
        gap = "" if name == INPAINT else f"{gaps.mean():+.1%} ({low:+.1%} to {high:+.1%})"
        lines.append(
            f"| {name} | {values['recognised'].mean():.1%} | {values['probability'].mean():.3f} "
            f"| {values['ms_ssim'].mean():.3f} | {values['st_lpips'].mean():.3f} | {gap} |"
        )
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("rows", type=Path, help="JSON Lines file, one photo per line; created or continued")
    add("--images", type=Path, required=True, help="folder of photos")
    add("--annotations", type=Path, required=True, help="file with the photos' classes and boxes")
    add("--st-lpips", type=Path, required=True, help="ST-LPIPS graph with two inputs in [-1, 1]")
    add("--inpainter", default="inpainter", help="an ONNX file or a name in the zoo")
    add("--judge", default="efficientnet-lite2", help="the classifier that looks for the object")
    add("--limit", type=int, default=150, help="number of photos, drawn with seed 0")
    return parser.parse_args()


def main() -> None:
    """Judge the photos that are not judged yet, and print the tables."""
    args = parse_arguments()
    done = (
        [json.loads(line) for line in args.rows.read_text().splitlines()]
        if args.rows.exists()
        else []
    )
    fills: dict[str, Fill] = {
        "blur": Blur(),
        "gray": DatasetMean(),
        INPAINT: Inpaint(load_inpainter(args.inpainter, device="cpu")),
        "patchmatch": PatchMatch(),
        "noise": UniformNoise(),
    }
    classifier = onnxplain.load(args.judge, device="cpu")
    distance = StLpips(args.st_lpips)
    for item in draw_sample(read_items(args.images, args.annotations), args.limit, 0):
        if item.boxes and not any(row["photo"] == item.file for row in done):
            done.append(judge(item, fills, classifier, distance))
            with args.rows.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    for mask in ("shapes", "boxes"):
        small = [row for row in done if row["area"]["boxes"] <= 0.5]
        print(format_table(mask, mask, done), end="\n\n")
        print(format_table(f"{mask}, boxes up to half the image", mask, small), end="\n\n")


if __name__ == "__main__":
    main()
