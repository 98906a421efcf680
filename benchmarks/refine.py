"""SP from coarse to fine, and at wider strides, against the whole map: how well the maps agree.

    python -m benchmarks.refine ROWS.jsonl PHOTO... [--refine 0.1 --refine 0.25]

Each photo is explained once by plain SP. The refined runs get their answers from its map, as what
they look at has the drops of the plain run. When a photo is done, its lines of JSON are written,
so that a run that was stopped can continue. At the end, a table of all lines is printed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.agreement import correlate, correlate_ranks, measure_overlap
from benchmarks.common import describe_machine, device_option, read_rows
from onnxplain.core.data import Attribution, Case
from onnxplain.core.flow import MaskQuery, Reply
from onnxplain.masks.families import PatchMasks

FACTORS = (2, 3, 4)  # of the stride, of the runs for scale
NUMBERS = ("evaluations", "pearson", "spearman", "top")


@click.command(help=__doc__)
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", default="efficientnet-lite0", show_default=True)
@click.option("--stride", default=3, show_default=True)
@click.option("--refine", "shares", type=float, multiple=True, default=(0.0, 0.1, 0.25, 0.5))
@device_option
def main(
    rows: Path,
    photos: Sequence[Path],
    model: str,
    stride: int,
    shares: Sequence[float],
    device: str,
) -> None:
    done = read_rows(rows)
    classifier = onnxplain.load(model, device=device)
    plain = onnxplain.SP(stride=stride)
    for photo in photos:
        if any(row["photo"] == photo.name for row in done):
            continue
        whole = onnxplain.explain(classifier, photo, plain)
        assert whole.coarse is not None
        for name, method, drops in list_variants(plain, whole.coarse, shares):
            found = replay(method, drops, classifier.size)
            agreement = measure_agreement(found.heatmap, whole.heatmap)
            evaluations = method.evaluations(classifier.size)
            row = {"photo": photo.name, "run": name, "evaluations": evaluations, **agreement}
            done.append(row)
        rows.write_text("".join(json.dumps(row) + "\n" for row in done))
    print(f"{describe_machine()}; {model}, SP {plain.patch}/{stride}\n")
    print(format_table(done, plain.evaluations(classifier.size)))


def list_variants(
    plain: onnxplain.SP, drops: NDArray[np.float32], shares: Sequence[float]
) -> Iterator[tuple[str, onnxplain.SP, NDArray[np.float32]]]:
    """Yield the runs that are compared: a name, the method and the drops at its positions.

    Runs with a wider stride everywhere are there for scale.
    """
    for share in shares:
        yield f"refine {share:g}", replace(plain, refine=share), drops
    for factor in FACTORS:
        wide = replace(plain, stride=factor * plain.stride)
        yield f"stride {wide.stride}", wide, drops[::factor, ::factor]


def replay(method: onnxplain.SP, drops: NDArray[np.float32], size: tuple[int, int]) -> Attribution:
    """Run SP with the drops (rows, columns) of a run that looked everywhere as its answers."""
    case = Case("replay", np.zeros((*size, 3), np.float32), 0, n_classes=2)
    flow = method.flow(case, np.random.default_rng(0))
    query = next(flow)
    while True:
        assert isinstance(query, MaskQuery)
        assert isinstance(query.masks, PatchMasks)
        row, column = query.masks.corners[1:].T // method.stride  # the first removes nothing
        try:
            query = flow.send(Reply(np.append(0.0, -drops[row, column].astype(np.float64))))
        except StopIteration as end:
            found: Attribution = end.value
            return found


def measure_agreement(heatmap: NDArray[np.float32], whole: NDArray[np.float32]) -> dict[str, float]:
    """Correlate two maps, pixel by pixel, and compare which pixels are their highest."""
    first, second = heatmap.ravel(), whole.ravel()
    return {
        "pearson": correlate(first, second),
        "spearman": correlate_ranks(first, second),
        "top": measure_overlap(first, second),
    }


def format_table(rows: Sequence[dict[str, Any]], n_whole: int) -> str:
    """Format a Markdown table of the means over the photos, with the worst photo in brackets."""
    lines = [
        "| run | photos | evaluations | of the whole | Pearson | Spearman | top-10 % shared |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["run"] for row in rows):
        of_run = [row for row in rows if row["run"] == name]
        found = {key: [row[key] for row in of_run] for key in NUMBERS}
        agreement = " | ".join(
            f"{statistics.mean(found[key]):.3f} (worst {min(found[key]):.3f})"
            for key in NUMBERS[1:]
        )
        n = found["evaluations"][0]
        lines.append(f"| {name} | {len(of_run)} | {n} | {n / n_whole:.0%} | {agreement} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
