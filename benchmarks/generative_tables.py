"""The tables of `benchmarks.generative_trial`: LIME-G, and MP2-G."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.mp2_modes import compute_iou
from onnxplain.study.statistics import sign_flip_test

SEED = 0
N_SAMPLES = 200
FITS = ("cosine", "pixels", "log-odds", "alpha 0.1")
USUAL = (50, 0.5, "inpaint", "cosine")  # the defaults of LIME-G
Gain: TypeAlias = Literal["difference", "gradient", "propose"]
Mp2Setting: TypeAlias = tuple[str, int, float, Gain]  # fill, refresh, largest area, gain
# The defaults of MP2-G, up to a fifth of the cells.
EXACT: Mp2Setting = ("inpaint", 1, 0.2, "gradient")

HEAD = """# What decides LIME-G and MP2-G: a trial

`python -m benchmarks.generative_trial`; {machine}; EfficientNet-Lite0, photos that it gets right.
**A trial on few photos**: it shows what is worth a larger study, not what is true. Deletion (lower
is better) is the mean over fills that no compared method uses: noise, the local mean, and Telea.
Differences are paired, with the p of a sign-flip test in brackets. The fit `pixels` has the kernel
of the paper's text, the others that of its program: `cosine` is the default, `log-odds` fits the
log-odds of the scores, and `alpha 0.1` has a tenth of the ridge penalty."""


def format_lime(rows: list[dict[str, Any]], settings: Sequence[tuple[int, float]]) -> list[str]:
    """Format a row per setting: both fills, their difference, and the gap to the default."""
    if not rows:
        return []
    values = {make_setting(row): average(row) for row in rows}
    files = list(dict.fromkeys(row["file"] for row in rows))
    lines = [
        f"## LIME and LIME-G, N = {N_SAMPLES}",
        "| superpixels | share removed | fit | photos | plain | generative | "
        "generative minus plain (p) | generative minus the default's (p) |",
        "|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for (segments, share), fit in product(settings, FITS):
        whole = [
            file
            for file in files
            if {(file, segments, share, "inpaint", fit), (file, *USUAL)} <= set(values)
        ]
        if not whole:
            continue
        plain, generative, usual = (
            np.array([values[file, *setting] for file in whole])
            for setting in (
                (segments, share, "dataset mean", fit),
                (segments, share, "inpaint", fit),
                USUAL,
            )
        )
        lines.append(
            f"| {segments} | {share:g} | {fit} | {len(whole)} | {plain.mean():.4f} | "
            f"{generative.mean():.4f} | "
            f"{format_gap(generative, plain)} | {format_gap(generative, usual)} |"
        )
    return [lines[0], "\n".join(lines[1:])]


def format_mp2(rows: list[dict[str, Any]], settings: Sequence[Mp2Setting]) -> list[str]:
    """Format a row per setting: cost, area, why it stopped, agreement and deletion."""
    if not rows:
        return []
    by_setting: dict[Mp2Setting, dict[str, dict[str, Any]]] = {}
    for row in rows:
        setting = row["fill"], row["refresh"], row["max_area"], row.get("gain", "gradient")
        by_setting.setdefault(setting, {})[row["file"]] = row
    costs = [
        "| fill | gain | refresh | largest area | photos | inpaints | CPU s a photo | area | "
        "exhausted | last p |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    quality = [
        "| fill | gain | refresh | largest area | deletion | minus that by gradient (p) | "
        "photos with refresh 1 | IoU with it | deletion minus its (p) |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for setting in settings:
        found = by_setting.get(setting, {})
        if not found:
            continue
        fill, refresh, max_area, gain = setting
        name = f"| {fill} | {gain} | {refresh} | {max_area:.0%} |"
        means = {
            field: np.mean([row[field] for row in found.values()])
            for field in ("inpaints", "cpu_seconds", "area", "last_p")
        }
        n_exhausted = sum(row["reason"] == "exhausted" for row in found.values())
        costs.append(
            f"{name} {len(found)} | {means['inpaints']:.0f} | {means['cpu_seconds']:.0f} | "
            f"{means['area']:.3f} | {n_exhausted} | {means['last_p']:.3f} |"
        )
        exact = by_setting.get(EXACT, {})
        shared = [file for file in found if file in exact]
        overlap = [compute_iou(found[file]["order"], exact[file]["order"]) for file in shared]
        deletion = np.mean([average(row) for row in found.values()])
        quality.append(
            f"{name} {deletion:.4f} | "
            f"{compare_deletion(found, by_setting.get((*setting[:3], 'gradient'), {}))} | "
            f"{len(shared)} | {f'{np.mean(overlap):.2f}' if shared else ''} | "
            f"{compare_deletion(found, exact)} |"
        )
    return ["## MP2 and MP2-G", "\n".join(costs), "\n".join(quality)]


def compare_deletion(
    found: Mapping[str, dict[str, Any]], others: Mapping[str, dict[str, Any]]
) -> str:
    """Format the mean difference of deletion on the photos that both have."""
    both = [file for file in found if file in others]
    deletion, other = (np.array([average(rows[file]) for file in both]) for rows in (found, others))
    return format_gap(deletion, other)


def make_setting(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a row of LIME from the others."""
    return tuple(row[name] for name in ("file", "segments", "share", "fill", "fit"))


def average(row: dict[str, Any]) -> float:
    """Return the mean of a row's deletion over the neutral fills."""
    return float(np.mean(list(row["deletion"].values())))


def format_gap(values: NDArray[np.float64], others: NDArray[np.float64]) -> str:
    """Format a mean difference and its p; nothing if the two are the same."""
    gaps = values - others
    if not gaps.any():
        return ""
    return f"{gaps.mean():+.4f} ({sign_flip_test(gaps, np.random.default_rng(SEED)):.2f})"
