"""Rows of `onnxplain evaluate` as one line per method, and as paired comparisons.

    python -m benchmarks.white_box_table table ROWS.jsonl... [--least 20]
    python -m benchmarks.white_box_table orders ROWS.jsonl...

`table` prints means over the photos that all listed methods have, those with at least `--least`
photos. The threshold of localisation is chosen for each method on the held-out third of its
photos, and the error is over the others. `orders` compares two settings at the same layer, or one
of them combined, by the pointing game on the photos that both have: the difference, its 95 %
interval, and the sign-flip test.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from onnxplain.core.data import make_rng
from onnxplain.study.columns import WHOLE_IMAGE, Column, gather_values
from onnxplain.study.rows import Row, read_rows
from onnxplain.study.statistics import confidence_interval, sign_flip_test

SHARE, SEED = 1 / 3, 0


@click.group(help=__doc__)
def main() -> None:
    pass


rows_argument = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)


@main.command()
@rows_argument
@click.option("--least", default=20, show_default=True, help="Leave out methods with less photos.")
def table(files: tuple[Path, ...], least: int) -> None:
    """Print the means of all methods."""
    by_method: dict[str, dict[str, Column]] = {}
    for column in gather(files):
        by_method.setdefault(column.method, {})[column.metric.partition(" ")[0]] = column
    whole = by_method.pop(WHOLE_IMAGE, None)
    by_method = {
        method: found
        for method, found in by_method.items()
        if "deletion" in found and len(found["deletion"].values) >= least
    }
    curves = [found["deletion"] for found in by_method.values()]
    photos = set.intersection(*(set(column.values) for column in curves))
    print(f"{len(photos)} photos\n")
    print("| method | deletion | insertion | their difference | pointing | missed |")
    print("|---|---|---|---|---|---|")
    lines = []
    for method, found in by_method.items():
        down, up, hits = (
            np.mean([found[name].values[photo] for photo in photos if photo in found[name].values])
            for name in ("deletion", "insertion", "pointing")
        )
        missed = found.get("localisation")
        cell = f"{np.mean(list(missed.values.values())):.2f}" if missed else ""
        line = f"| {method} | {down:.3f} | {up:.3f} | {up - down:.3f} | {hits:.2f} | {cell} |"
        lines.append((up - down, line))
    for _, line in sorted(lines, reverse=True):
        print(line)
    if whole:
        share = get_mean(whole["localisation"])
        print(f"| box around the whole photo | | | | | {share:.2f} |")


@main.command()
@rows_argument
def orders(files: tuple[Path, ...]) -> None:
    """Print the pointing accuracy of every method, and their differences."""
    columns = [column for column in gather(files) if column.metric.startswith("pointing")]
    for metric in sorted({column.metric for column in columns}):
        chosen = [column for column in columns if column.metric == metric]
        print(f"\n{metric}\n\n| method | photos | accuracy |\n|---|---|---|")
        for column in chosen:
            print(f"| {column.method} | {len(column.values)} | {get_mean(column):.3f} |")
        print("\n| comparison | photos | difference | 95 % interval | p |\n|---|---|---|---|---|")
        for first, second in itertools.combinations(chosen, 2):
            if line := compare(first, second):
                print(line)


def gather(files: tuple[Path, ...]) -> list[Column]:
    def read() -> Iterator[Row]:
        for file in files:
            yield from read_rows(file)

    return gather_values(read(), share=SHARE, seed=SEED)


def get_mean(column: Column) -> float:
    return float(np.mean(list(column.values.values())))


def compare(first: Column, second: Column) -> str | None:
    """Format a comparison on shared photos; None if it is of two layers."""
    if len(set(re.findall(r"stage:\d+", f"{first.method} {second.method}"))) > 1:
        return None
    shared = [photo for photo in first.values if photo in second.values]
    differences = [first.values[photo] - second.values[photo] for photo in shared]
    if not np.any(differences):
        return None
    rng = make_rng(SEED, *first[:3], second.method)
    low, high = confidence_interval(differences, rng)
    p = sign_flip_test(differences, rng)
    return (
        f"| {first.method} - {second.method} | {len(shared)} | {np.mean(differences):+.3f} "
        f"| {low:+.3f} to {high:+.3f} | {max(p, 0.001):.3f} |"
    )


if __name__ == "__main__":
    main()
