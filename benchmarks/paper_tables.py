"""Print the rows of `onnxplain evaluate` as the tables of the paper, with the paper's numbers.

    python -m benchmarks.paper_tables evaluation/rows.jsonl [--seed 0] [--held-out 0.333] [--claim]

The mean of a method is over all images that it explained; two methods are compared on the
images that both explained. The paper is Agarwal & Nguyen, ACCV 2020, tables 2, 3 and 4 (ImageNet,
ResNet-50). Its claim is that a method gets better if an inpainter fills what it removes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np

from onnxplain.core.data import make_rng
from onnxplain.study.columns import WHOLE_IMAGE, Column, gather_values
from onnxplain.study.rows import read_rows
from onnxplain.study.statistics import confidence_interval, sign_flip_test

DELETION = {
    **{"random": 0.2083, "sp": 0.1996, "sp-g": 0.1769, "lime": 0.1355, "lime-g": 0.1171},
    **{"mp": 0.1654, "mp2": 0.1530, "mp2-g": 0.1311, "fido-ca": 0.1638},
}
# The paper has no insertion and no pointing game, and its deletion fills with the dataset's mean.
# It gives localisation in per cent.
PAPER: Mapping[str, Mapping[str, float]] = {
    "deletion": DELETION,
    "neutral-deletion": DELETION,
    "insertion": {},
    "neutral-insertion": {},
    "pointing": {},
    "localisation": {
        **{WHOLE_IMAGE: 0.397, "sp": 0.419, "sp-g": 0.3895, "lime": 0.2805, "lime-g": 0.2655},
        **{"mp": 0.2935, "mp2": 0.244, "mp2-g": 0.2403, "fido-ca": 0.279},
    },
    "saliency": {
        **{"random": 0.3294, "sp": 0.3774, "sp-g": 0.3122, "lime": 0.1191, "lime-g": 0.1159},
        **{"mp": 0.1182, "mp2": 0.0890, "mp2-g": 0.0540, "fido-ca": 0.1071},
    },
}


@click.command(help=__doc__)
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="As in the run.")
@click.option("--held-out", default=1 / 3, show_default=True, help="As in the run.")
@click.option("--least", default=2, show_default=True, help="Fewest images to compare methods on.")
@click.option("--claim", is_flag=True, help="Compare a method only with itself by other fills.")
def main(rows: Path, seed: int, held_out: float, least: int, claim: bool) -> None:
    columns = gather_values(read_rows(rows), share=held_out, seed=seed)
    for metric, paper in PAPER.items():
        judged = [column for column in columns if column.metric == metric and column.values]
        if judged:
            print(f"### {metric} ({judged[0].direction} is better)\n")
            print("| method | n | mean | 95 % | alpha | failed | paper |")
            print("|---|---:|---:|---|---:|---:|---:|")
            for column in sorted(judged, key=lambda column: find_order(paper, column)):
                print(format_line(column, paper.get(get_name(column)), seed))
            print("\n| compared on the images of both | n | difference | 95 % | p | paper | |")
            print("|---|---:|---:|---|---:|---:|---|")
            for first, second in itertools.combinations(judged, 2):
                if claim and get_base(first) != get_base(second):
                    continue
                if text := compare(first, second, paper, seed, least):
                    print(text)
            print()


def get_name(column: Column) -> str:
    """Return the name of the method without its parameters, as in the paper."""
    return column.method.partition(" (")[0]


def get_base(column: Column) -> str:
    """Return the name of the method without its fill."""
    return get_name(column).removesuffix("-g")


def find_order(paper: Mapping[str, float], column: Column) -> tuple[int, str]:
    """Return a key for sorting: the order of the paper, then methods that it lacks by name."""
    names, name = list(paper), get_name(column)
    return (names.index(name) if name in names else len(names), column.method)


def format_line(column: Column, paper: float | None, seed: int) -> str:
    """Format the row of a method in Markdown, with the number of the paper."""
    values = list(column.values.values())
    low, high = confidence_interval(values, make_rng(seed, *column[:3]))
    alpha = "" if column.alpha is None else f"{column.alpha:.2f}"
    return (
        f"| {column.method} | {len(values)} | {np.mean(values):.4f} | {low:.4f} to {high:.4f} "
        f"| {alpha} | {column.n_failed} | {'' if paper is None else f'{paper:.4f}'} |"
    )


def compare(
    first: Column, second: Column, paper: Mapping[str, float], seed: int, least: int
) -> str | None:
    """Format the comparison of two methods on their shared images, with that of the paper."""
    shared = [image for image in first.values if image in second.values]
    first_name, second_name = get_name(first), get_name(second)
    if len(shared) < least:
        return None
    differences = [first.values[image] - second.values[image] for image in shared]
    rng = make_rng(seed, *first[:3], second.method)
    low, high = confidence_interval(differences, rng)
    mean, p = float(np.mean(differences)), sign_flip_test(differences, rng)
    published, verdict = "", ""
    if first_name != second_name and {first_name, second_name} <= paper.keys():
        known = paper[first_name] - paper[second_name]
        published = f"{known:+.4f}"
        agrees = "same order" if known * mean > 0 else "other order"
        verdict = agrees if p < 0.05 else f"{agrees}, not told apart"
    return (
        f"| {first.method} - {second.method} | {len(shared)} | {mean:+.4f} "
        f"| {low:+.4f} to {high:+.4f} | {max(p, 0.001):.3f} | {published} | {verdict} |"
    )


if __name__ == "__main__":
    main()
