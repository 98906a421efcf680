"""SP-G with shared inpaints compared with exact SP-G: difference of the maps, and speed-up.

    python -m benchmarks.quick_spg rows.jsonl PHOTO... [--share 43 --share 67]

When a photo is done, a line of JSON is written for each gap, so that a run that was stopped can
continue. At the end, a table of all lines is printed. SP with a plain colour is included for
scale, as its map is clearly different.
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

import onnxplain
from benchmarks.agreement import correlate, correlate_ranks
from benchmarks.common import describe_machine, device_option, read_rows
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
@device_option
def main(
    rows: Path,
    photos: Sequence[Path],
    inpainter: str,
    model: str,
    stride: int,
    shares: Sequence[int],
    device: str,
) -> None:
    done = read_rows(rows)
    classifier = onnxplain.load(model, device=device)
    fill = Inpaint(load_inpainter(inpainter, device=device))
    for photo in photos:
        if not any(row["photo"] == photo.name for row in done):
            compared = compare_maps(classifier, fill, photo, onnxplain.SP(stride=stride), shares)
            done += [{"photo": photo.name, "stride": stride, **row} for row in compared]
            rows.write_text("".join(json.dumps(row) + "\n" for row in done))
    print(f"{describe_machine()}; {model}, {inpainter}, SP 29/{stride}\n")
    print(format_table(done))


def compare_maps(
    classifier: Classifier,
    fill: Fill,
    photo: Path,
    method: onnxplain.SP,
    shares: Sequence[int],
) -> list[dict[str, Any]]:
    """Explain a photo by exact SP-G, by SP-G with each gap, and by SP; return a row for each."""
    variants: dict[str, tuple[onnxplain.SP, Fill | None]] = {EXACT: (method, fill)}
    variants |= {str(share): (replace(method, share=share), fill) for share in shares}
    variants[PLAIN] = (method, None)
    explanations, cpu = {}, {}
    for name, (variant, variant_fill) in variants.items():
        start = time.process_time()
        explanations[name] = onnxplain.explain(classifier, photo, variant, fill=variant_fill)
        cpu[name] = time.process_time() - start
    return [
        {
            "gap": name,
            "inpaints": explanation.inpaints,
            "evaluations": explanation.evaluations,
            "cpu_seconds": cpu[name],
            "speed_up": cpu[EXACT] / cpu[name],
            **measure_difference(explanation, explanations[EXACT]),
        }
        for name, explanation in explanations.items()
    ]


def measure_difference(explanation: Explanation, exact: Explanation) -> dict[str, float]:
    """Compare the drops of probability patch by patch, and the maps' rankings of the pixels."""
    assert explanation.coarse is not None
    assert exact.coarse is not None
    differences = np.abs(explanation.coarse - exact.coarse)
    return {
        "largest_drop": float(np.abs(exact.coarse).max()),
        "max": float(differences.max()),
        "mean": float(differences.mean()),
        "pearson": correlate(explanation.coarse.ravel(), exact.coarse.ravel()),
        "spearman": correlate_ranks(explanation.heatmap.ravel(), exact.heatmap.ravel()),
    }


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format a Markdown table of the means over the photos, with the worst photo in brackets."""
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
