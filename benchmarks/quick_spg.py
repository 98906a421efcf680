"""SP-G whose patches share inpaints, against exact SP-G: how far apart, and how much quicker.

    python -m benchmarks.quick_spg rows.jsonl PHOTO... [--share 43 --share 67]

Writes a line of JSON for each photo and gap as it is done, goes on where it was stopped, and
prints the table of all lines. SP with a plain colour stands there for scale: what a reader
of the map would call another map.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import spearmanr

import onnxplain
from benchmarks.common import machine
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.fills import Inpaint
from onnxplain.loading import load_inpainter
from onnxplain.results import Explanation

EXACT, PLAIN = "exact", "SP, dataset-mean"


@click.command(help=__doc__)
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--inpainter", default="inpainter", show_default=True)
@click.option("--model", default="efficientnet-lite0", show_default=True)
@click.option("--stride", default=12, show_default=True)
@click.option("--share", "shares", type=int, multiple=True, default=(19, 43, 67, 91))
def main(
    rows: Path,
    photos: Sequence[Path],
    inpainter: str,
    model: str,
    stride: int,
    shares: Sequence[int],
) -> None:
    done = read(rows)
    classifier = onnxplain.load(model, device="cpu")
    fill = Inpaint(load_inpainter(inpainter, device="cpu"))
    for photo in photos:
        if not any(row["photo"] == photo.name for row in done):
            found = compare(classifier, fill, photo, onnxplain.SP(stride=stride), shares)
            done += [{"photo": photo.name, "stride": stride, **row} for row in found]
            rows.write_text("".join(json.dumps(row) + "\n" for row in done))
    print(f"{machine()}; {model}, {inpainter}, SP 29/{stride}\n")
    print(table(done))


def read(rows: Path) -> list[dict[str, Any]]:
    """What is done already."""
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def compare(
    classifier: Classifier,
    fill: Fill,
    photo: Path,
    method: onnxplain.SP,
    shares: Sequence[int],
) -> list[dict[str, Any]]:
    """A row for exact SP-G, for each gap, and for SP."""
    asked: dict[str, tuple[onnxplain.SP, Fill | None]] = {EXACT: (method, fill)}
    asked |= {str(share): (replace(method, share=share), fill) for share in shares}
    asked[PLAIN] = (method, None)
    found, cpu = {}, {}
    for name, (one, using) in asked.items():
        began = time.process_time()
        found[name] = onnxplain.explain(classifier, photo, one, fill=using)
        cpu[name] = time.process_time() - began
    return [
        {
            "gap": name,
            "inpaints": one.inpaints,
            "evaluations": one.evaluations,
            "cpu_seconds": cpu[name],
            "speed_up": cpu[EXACT] / cpu[name],
            **difference(one, found[EXACT]),
        }
        for name, one in found.items()
    ]


def difference(one: Explanation, exact: Explanation) -> dict[str, float]:
    """Of the drops of probability, patch by patch; and how alike the maps rank the pixels."""
    assert one.coarse is not None
    assert exact.coarse is not None
    apart = np.abs(one.coarse - exact.coarse)
    return {
        "largest_drop": float(np.abs(exact.coarse).max()),
        "max": float(apart.max()),
        "mean": float(apart.mean()),
        "pearson": float(np.corrcoef(one.coarse.ravel(), exact.coarse.ravel())[0, 1]),
        "spearman": float(spearmanr(one.heatmap.ravel(), exact.heatmap.ravel()).statistic),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Means over the photos, with the worst of them."""
    lines = [
        "| gap, px | photos | inpaints | max difference | mean difference | Pearson | Spearman "
        "| speed-up by CPU seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for gap in dict.fromkeys(row["gap"] for row in rows):
        of_gap = [row for row in rows if row["gap"] == gap]
        mean = {key: statistics.mean(row[key] for row in of_gap) for key in NUMBERS}
        lines.append(
            f"| {gap} | {len(of_gap)} | {mean['inpaints']:.0f} "
            f"| {mean['max']:.4f} (worst {max(row['max'] for row in of_gap):.4f}) "
            f"| {mean['mean']:.4f} (worst {max(row['mean'] for row in of_gap):.4f}) "
            f"| {mean['pearson']:.4f} (worst {min(row['pearson'] for row in of_gap):.4f}) "
            f"| {mean['spearman']:.4f} (worst {min(row['spearman'] for row in of_gap):.4f}) "
            f"| {mean['speed_up']:.2f} |"
        )
    largest = statistics.mean(row["largest_drop"] for row in rows if row["gap"] == EXACT)
    lines.append(f"\nLargest drop of the exact map, mean over the photos: {largest:.3f}.")
    return "\n".join(lines)


NUMBERS = ("inpaints", "max", "mean", "pearson", "spearman", "speed_up")

if __name__ == "__main__":
    main()
