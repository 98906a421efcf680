"""The table that a person reads: methods by metrics with intervals, the best method first.

It also says in plain words what a small study cannot show.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from onnxplain.study.tables import Table

WIDTH = 100
NAME_WIDTH = 30  # longer names of methods are wrapped
ENOUGH_HELD_OUT = 20  # images on which a threshold is chosen, or it is mostly chance
ENOUGH_PHOTOS = 10  # from which on 95 % intervals of normal values hold the mean in 90 % of cases
LEVEL = 0.05


class _Cell(NamedTuple):
    """The mean of a method under a metric, with its interval and number of images.

    One photo has no interval.
    """

    mean: float
    low: float | None
    high: float | None
    n: int


def format_overview(means: Table) -> str:
    """Format the table of means: per classifier, a block of metrics that fit side by side."""
    blocks = []
    for model in dict.fromkeys(line[0] for line in means.lines):
        lines = [dict(zip(means.header, line, strict=True)) for line in means.lines]
        own = [line for line in lines if line["model"] == model]
        cells = {
            (line["method"], line["metric"]): _Cell(
                line["mean"], line["95 % low"], line["95 % high"], line["n"]
            )
            for line in own
            if line["mean"] is not None
        }
        better = {line["metric"]: line["better"] for line in own}
        methods = _sort_methods(list(dict.fromkeys(line["method"] for line in own)), cells, better)
        blocks.append(f"{model}: means with 95 % intervals, the best method first")
        blocks += _format_blocks(methods, cells, better)
    return "\n\n".join(blocks) + "\n" if blocks else "no image was judged\n"


def describe_limits(means: Table, pairs: Table) -> list[str]:
    """Say what a small study cannot show, one sentence per kind.

    Parameters
    ----------
    means, pairs : Table
        From `onnxplain.study.tables.summarise` and `compare_pairs`, or as they were written.
    """
    return [
        *_describe_thresholds(means),
        *_describe_intervals(means),
        *_describe_tests(pairs),
        *_describe_gaps(means, pairs),
    ]


def _describe_thresholds(means: Table) -> Iterator[str]:
    """Say that thresholds were chosen on few images."""
    metric, held_out = means.header.index("metric"), means.header.index("chosen on")
    few = [line for line in means.lines if 0 < (line[held_out] or 0) < ENOUGH_HELD_OUT]
    if few:
        metrics = ", ".join(dict.fromkeys(line[metric] for line in few))
        yield (
            f"the thresholds of {metrics} were chosen on "
            f"{min(line[held_out] for line in few)} images; fewer than {ENOUGH_HELD_OUT} "
            f"choose mostly by chance: judge more images, or fix the threshold, as in "
            f"{few[0][metric].split(' ')[0]}:alpha=0.5 with --held-out 0"
        )


def _describe_intervals(means: Table) -> Iterator[str]:
    """Say what intervals of few or of equal values do not tell."""
    lines = [dict(zip(means.header, line, strict=True)) for line in means.lines]
    if any(line["photos"] == 1 for line in lines):
        yield "a mean of one photo has no interval, and tells nothing about other photos"
    few = [line["photos"] for line in lines if 1 < line["photos"] < ENOUGH_PHOTOS]
    if few:
        yield (
            f"intervals of {min(few)} photos are too short: 95 % intervals hold the true mean in "
            f"about half of the studies of 2 photos, in 3 of 4 of those of 3, and in 9 of 10 only "
            f"from {ENOUGH_PHOTOS} photos on"
        )
    flat = [line for line in lines if line["photos"] > 1 and line["95 % low"] == line["95 % high"]]
    if flat:
        metrics = ", ".join(dict.fromkeys(line["metric"] for line in flat))
        yield (
            f"where all values of a method are equal, as under {metrics}, its interval has no "
            f"width: that is no certainty about other photos"
        )


def _describe_tests(pairs: Table) -> Iterator[str]:
    """Say that no difference of few photos can be significant."""
    counts = [line[pairs.header.index("photos")] for line in pairs.lines]
    small = [n for n in counts if 2 / 2**n >= LEVEL]
    if small:
        smallest = 2 / 2 ** max(small)
        which = "no difference" if len(small) == len(counts) else "some differences"
        can = "can" if len(small) == len(counts) else "cannot"
        yield (
            f"with {max(small)} photo{'s' * (max(small) > 1)}, the smallest p of a paired test is "
            f"{smallest:.3g}: "
            f"{which} {can} be significant at {LEVEL}; that takes at least 6 photos"
        )


def _describe_gaps(means: Table, pairs: Table) -> Iterator[str]:
    """Say that means are of different images, as some failed or are undefined for one method."""
    n = {line[:3]: line[means.header.index("n")] for line in means.lines}
    shared = pairs.header.index("n")
    metrics = dict.fromkeys(
        line[1]
        for line in pairs.lines
        for method in line[2:4]
        if n.get((*line[:2], method)) != line[shared]
    )
    if metrics:
        yield (
            f"means of {', '.join(metrics)} are of different images, as some failed or have no "
            f"value for a method: compare methods by the paired tests, which take the images of "
            f"both"
        )


def _sort_methods(
    methods: Sequence[str], cells: Mapping[tuple[str, str], _Cell], better: Mapping[str, str]
) -> list[str]:
    """Sort methods by their mean rank over the metrics; those that lack some come last."""
    ranks: dict[str, list[int]] = {method: [] for method in methods}
    for metric, direction in better.items():
        sign = 1 if direction == "lower" else -1
        judged = [method for method in methods if (method, metric) in cells]
        values = {method: sign * cells[method, metric].mean for method in judged}
        for method in judged:
            ranks[method].append(sum(value < values[method] for value in values.values()))
    return sorted(
        methods,
        key=lambda name: (-len(ranks[name]), sum(ranks[name]) / max(len(ranks[name]), 1)),
    )


def _format_blocks(
    methods: Sequence[str], cells: Mapping[tuple[str, str], _Cell], better: Mapping[str, str]
) -> Iterator[str]:
    """Format as many metrics side by side as fit, block by block."""
    columns = [_format_column(metric, better[metric], methods, cells) for metric in better]
    names = [
        ["method", ""],
        *(textwrap.wrap(method, NAME_WIDTH, break_on_hyphens=False) for method in methods),
    ]
    while columns:
        taken = [columns.pop(0)]
        used = NAME_WIDTH + 2 + len(taken[0][0])
        while columns and used + 2 + len(columns[0][0]) <= WIDTH:
            used += 2 + len(columns[0][0])
            taken.append(columns.pop(0))
        lines = [["", *(column[0] for column in taken)], ["", *(column[1] for column in taken)]]
        lines[0][0] = "method"
        for place, name in enumerate(names[1:], start=2):
            lines.append([name[0], *(column[place] for column in taken)])
            lines += [[rest] for rest in name[1:]]
        width = max(len(line[0]) for line in lines)
        yield "\n".join("  ".join([line[0].ljust(width), *line[1:]]).rstrip() for line in lines)


def _format_column(
    metric: str, direction: str, methods: Sequence[str], cells: Mapping[tuple[str, str], _Cell]
) -> list[str]:
    """Return the metric, its direction and number of images, and a cell per method, aligned."""
    found = [cells.get((method, metric)) for method in methods]
    counts = sorted({cell.n for cell in found if cell})
    spread = "" if not counts else f", n {counts[0]}"
    if len(counts) > 1:
        spread += f" to {counts[-1]}"
    room = WIDTH - NAME_WIDTH - 2
    name = metric if len(metric) <= room else f"{metric[: room - 1]}…"
    texts = [name, f"{direction} is better{spread}"]
    texts += [_format_cell(cell) for cell in found]
    width = max(map(len, texts))
    return [text.ljust(width) for text in texts]


def _format_cell(cell: _Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.low is None or cell.high is None:
        return f"{cell.mean:.3g}"
    return f"{cell.mean:.3g} [{cell.low:.3g}, {cell.high:.3g}]"
