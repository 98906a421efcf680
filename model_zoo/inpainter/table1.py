"""Whether the inpainter takes objects out of photos: table 1 of Agarwal & Nguyen (ACCV 2020).

    python table1.py rows.jsonl --images PHOTOS --annotations labels.csv --st-lpips stlpips.onnx

The boxes of an object are filled in five ways, and a classifier other than the one that is
explained says whether it still sees the object. Writes a line of JSON a photo as it is done,
goes on where it was stopped, and prints the tables of all lines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from metrics import StLpips
from numpy.typing import NDArray

import onnxplain
from onnxplain.data import Image, generator
from onnxplain.fills import Blur, DatasetMean, Inpaint, UniformNoise
from onnxplain.image import place, read
from onnxplain.loading import load_inpainter
from onnxplain.metrics import ms_ssim
from onnxplain.metrics.boxes import box_mask
from onnxplain.protocols import Classifier, Fill
from onnxplain.study.dataset import Item, read_items, sample
from onnxplain.study.statistics import interval
from onnxplain.subjects import bring, classify

SIZE = 256  # of the photo's centre square, at which it is filled
REAL, INPAINT = "real", "inpaint"
COLUMNS = ("recognised", "probability", "ms_ssim", "st_lpips")


def judge(
    item: Item,
    fills: Mapping[str, Fill],
    classifier: Classifier,
    distance: Callable[[Image, Image], float],
) -> dict[str, Any]:
    """What is left of an object under every fill."""
    photo = read(item.path)
    rows, columns, _ = photo.shape
    frame = place((rows, columns), (SIZE, SIZE))
    image = frame.bring(photo)
    boxes = [frame.box(box) for box in item.boxes_in((rows, columns))]
    mask = box_mask(boxes, (SIZE, SIZE)).astype(np.float32)
    filled = {REAL: image, **{name: fill_in(fill, image, mask) for name, fill in fills.items()}}
    return {
        "photo": item.file,
        "area": float(mask.mean()),
        "fills": {
            name: _one(picture, image, int(item.label), classifier, distance)
            for name, picture in filled.items()
        },
    }


def fill_in(fill: Fill, image: Image, mask: NDArray[np.float32]) -> Image:
    """The image with what the mask removes filled."""
    picture = fill.prepare(image, generator(0, "fill"))
    if callable(picture):
        picture = picture(mask[None])[0]
    return np.where(mask[..., None] > 0, picture, image)


def _one(
    picture: Image,
    image: Image,
    target: int,
    classifier: Classifier,
    distance: Callable[[Image, Image], float],
) -> dict[str, float]:
    probabilities = classify(classifier, bring(classifier, picture)[1])
    return {
        "recognised": float(probabilities.argmax() == target),
        "probability": float(probabilities[target]),
        "ms_ssim": ms_ssim(image, picture),
        "st_lpips": distance(image, picture),
    }


def table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Means over photos, and how much less often the object is seen when it is inpainted."""
    area = np.mean([row["area"] for row in rows])
    lines = [
        f"| {title}: {len(rows)} photos, {area:.0%} filled | top-1 accuracy "
        "| probability of the class | MS-SSIM | ST-LPIPS | accuracy, inpaint less this (95 %) |",
        "|---|---|---|---|---|---|",
    ]
    for name in rows[0]["fills"]:
        own = {key: np.array([row["fills"][name][key] for row in rows]) for key in COLUMNS}
        inpainted = np.array([row["fills"][INPAINT]["recognised"] for row in rows])
        less = inpainted - own["recognised"]
        low, high = interval(less, np.random.default_rng(0))
        apart = "" if name == INPAINT else f"{less.mean():+.1%} ({low:+.1%} to {high:+.1%})"
        lines.append(
            f"| {name} | {own['recognised'].mean():.1%} | {own['probability'].mean():.3f} "
            f"| {own['ms_ssim'].mean():.3f} | {own['st_lpips'].mean():.3f} | {apart} |"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("rows", type=Path, help="JSON Lines, a photo a line; made or gone on with")
    add("--images", type=Path, required=True, help="folder of photos")
    add("--annotations", type=Path, required=True, help="their classes and boxes")
    add("--st-lpips", type=Path, required=True, help="ST-LPIPS graph, two inputs in [-1, 1]")
    add("--inpainter", default="inpainter", help="an ONNX file, or a name in the zoo")
    add("--judge", default="efficientnet-lite2", help="the classifier that looks for the object")
    add("--limit", type=int, default=150, help="photos, drawn with seed 0")
    return parser.parse_args()


def main() -> None:
    """Judge what is not judged yet, and print the tables."""
    args = parse()
    done = (
        [json.loads(line) for line in args.rows.read_text().splitlines()]
        if args.rows.exists()
        else []
    )
    fills: dict[str, Fill] = {
        "blur": Blur(),
        "gray": DatasetMean(),
        INPAINT: Inpaint(load_inpainter(args.inpainter, device="cpu")),
        "noise": UniformNoise(),
    }
    classifier = onnxplain.load(args.judge, device="cpu")
    distance = StLpips(args.st_lpips)
    for item in sample(read_items(args.images, args.annotations), args.limit, 0):
        if item.boxes and not any(row["photo"] == item.file for row in done):
            done.append(judge(item, fills, classifier, distance))
            with args.rows.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    print(table("all", done))
    print()
    print(table("boxes up to half the image", [row for row in done if row["area"] <= 0.5]))


if __name__ == "__main__":
    main()
