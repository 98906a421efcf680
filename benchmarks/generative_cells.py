"""Which cells MP2-G takes that MP2 does not, and what it ranks them by.

The part `cells` of `benchmarks.generative_trial`, which gives it the masks of its part `mp2`. At
some masks of MP2-G, the gains that it ranks by, which are read off the gradient, are compared
with those found by removing each cell, painted with the others of its lattice, and with those
of the exact look-ahead, which paints the whole mask anew for each cell. As that takes an inpaint
per cell, it is done for the cells that MP2-G likes best and for some drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement import correlate_ranks
from benchmarks.mp2_modes import Photo, compute_iou
from onnxplain.core.data import Case, make_rng
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.protocols import Fill
from onnxplain.engine.run import Job, collect_values
from onnxplain.engine.settle import settle_method
from onnxplain.masks.families import CellMasks
from onnxplain.methods import MP2
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.mp2.probe import Probe, to_probability
from onnxplain.metrics.heatmaps.boxes import clip_boxes, make_box_mask
from onnxplain.runtime import OnnxClassifier

SEED = 0
METHOD = MP2()
GRID = METHOD.grid
LOOKS = (0, 80)  # cells of the mask when gains are compared
N_BEST, N_DRAWN = 20, 60  # cells whose gains are compared
WAYS = ("gradient", "difference", "exact")
PAIRS = (("gradient", "difference"), ("difference", "exact"), ("gradient", "exact"))
METHODS = {"blur": "MP2", "inpaint": "MP2-G"}
GROUPS = ("MP2", "MP2-G", "both", "MP2 only", "MP2-G only")

T = TypeVar("T")
Gains: TypeAlias = NDArray[np.float64]
Order: TypeAlias = Sequence[int]


def compare_cells(
    photo: Photo,
    classifier: OnnxClassifier,
    fills: Mapping[str, Fill],
    plain: Order,
    generative: Mapping[int, Order],
) -> dict[str, Any]:
    """Compare the mask of MP2 with those of MP2-G, which are given by `refresh`."""
    _, gradients = settle_method(METHOD, classifier)
    case = photo.case
    best = generative[min(generative)]

    def run(flow: Flow[T], fill: str) -> T:
        job = Job((case,), (flow,), fills[fill], SEED)
        return collect_values(classifier, [job], gradients=gradients)[0]

    boxes = measure_boxes(case)
    return {
        "box": boxes.mean(),
        "inside": {
            refresh: measure_inside(boxes, plain, order) for refresh, order in generative.items()
        },
        "iou": {
            refresh: compute_iou(list(plain), list(order)) for refresh, order in generative.items()
        },
        "refresh": min(generative),
        "p": {fill: run(score_masks(case, [plain, best]), fill) for fill in fills},
        "looks": {
            fill: run(look_closely(case, order), fill)
            for fill, order in (("blur", plain), ("inpaint", best))
        },
    }


def measure_boxes(case: Case) -> Gains:
    """Measure how much of each cell lies inside the boxes around the object."""
    inside = make_box_mask(clip_boxes(case.boxes, case.size), case.size)
    enlarge = Growth(case.image, GRID).enlarge
    covered: Gains = enlarge.cells(inside.astype(np.float64)) / enlarge.cells(np.ones(case.size))
    return covered.ravel()


def measure_inside(boxes: Gains, plain: Order, generative: Order) -> dict[str, float]:
    """Measure which share of the cells that both take, or only one, lies inside the boxes."""
    cells = set(plain), set(generative)
    both = cells[0] & cells[1]
    groups = (*cells, both, *(each - both for each in cells))
    return {
        name: float(boxes[sorted(group)].mean())
        for name, group in zip(GROUPS, groups, strict=True)
        if group
    }


def score_masks(case: Case, orders: Sequence[Order]) -> Flow[list[float]]:
    """Find the probability with each set of cells removed, filled by the job's fill."""
    masks = np.zeros((len(orders), GRID**2), np.bool_)
    for mask, order in zip(masks, orders, strict=True):
        mask[list(order)] = True
    reply = yield MaskQuery(CellMasks(masks.reshape(-1, GRID, GRID), case.size), kind="log-odds")
    return [to_probability(score) for score in reply.scores]


def look_closely(case: Case, order: Order) -> Flow[list[dict[str, Any]]]:
    """Compare three ways to find the gains of cells, at some of the masks on a mask's way."""
    rng = make_rng(SEED, case.name, "cells")
    looks = []
    for n_removed in LOOKS:
        growth = Growth(case.image, GRID)
        growth.remove(order[:n_removed])
        probe = Probe(growth)
        _, slope = yield from probe.differentiate()
        yield from probe.fills.fill_lattices(METHOD.lattice)
        by_gradient = probe.estimate_gains(slope)
        ranking = growth.rank_by(by_gradient)
        drawn = [int(cell) for cell in rng.choice(ranking[N_BEST:], N_DRAWN, replace=False)]
        cells = ranking[:N_BEST] + drawn
        yield from probe.try_cells(cells)  # painted one by one, as no other fill is set yet
        gains = {"gradient": by_gradient[cells], "exact": growth.gains[cells].copy()}
        probe.fills.fix_candidates()
        yield from probe.try_cells(cells)
        gains["difference"] = growth.gains[cells].copy()
        gap = np.abs(probe.fills.next_fill - case.image).mean(-1, dtype=np.float64)
        changed = growth.enlarge.cells(gap).ravel()[cells]
        looks.append({"removed": len(order[:n_removed])} | compare_gains(gains, changed))
    return looks


def compare_gains(gains: Mapping[str, Gains], changed: Gains) -> dict[str, Any]:
    """Compare three ways to find the gains of `N_BEST` cells, and of others drawn at random.

    `changed` is how much the paint differs from the image in each cell.
    """
    pairs = {f"{one}, {other}": (gains[one], gains[other]) for one, other in PAIRS}
    drawn = slice(N_BEST, None)
    return {
        "ranks of drawn": {
            pair: correlate_ranks(one[drawn], other[drawn]) for pair, (one, other) in pairs.items()
        },
        "ranks of best": {
            pair: correlate_ranks(one[:N_BEST], other[:N_BEST])
            for pair, (one, other) in pairs.items()
        },
        "with change": {
            way: correlate_ranks(values[drawn], changed[drawn]) for way, values in gains.items()
        },
        # The exact gain of the two cells that each way would remove.
        "chosen": {
            way: gains["exact"][np.argsort(-values, kind="stable")[:2]].mean()
            for way, values in gains.items()
        },
        "best": gains["exact"][:N_BEST].mean(),
        "drawn": gains["exact"][drawn].mean(),
    }


def format_cells(rows: list[dict[str, Any]]) -> list[str]:
    """Format the cells taken, the masks under both fills, and the gains compared."""
    if not rows:
        return []
    return [
        "## The cells of MP2 and MP2-G, at most 20 % of them",
        _format_inside(rows),
        _format_fills(rows),
        *_format_looks(rows),
    ]


def _format_inside(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"Share of cells inside the object's box, which covers "
        f"{np.mean([row['box'] for row in rows]):.2f} of the photos.\n",
        f"| refresh | photos | IoU | {' | '.join(GROUPS)} |",
        "|--:" * (3 + len(GROUPS)) + "|",
    ]
    for refresh in sorted({int(refresh) for row in rows for refresh in row["inside"]}):
        found = [row for row in rows if str(refresh) in row["inside"]]
        overlap = np.mean([row["iou"][str(refresh)] for row in found])
        shares = [
            np.mean([row["inside"][str(refresh)].get(group, np.nan) for row in found])
            for group in GROUPS
        ]
        cells = " | ".join(f"{share:.2f}" for share in shares)
        lines.append(f"| {refresh} | {len(found)} | {overlap:.2f} | {cells} |")
    return "\n".join(lines)


def _format_fills(rows: list[dict[str, Any]]) -> str:
    lines = ["| mask of | p, blurred | p, painted |", "|---|--:|--:|"]
    for i, method in enumerate(GROUPS[:2]):
        blurred, painted = (
            np.mean([row["p"][fill][i] for row in rows]) for fill in ("blur", "inpaint")
        )
        lines.append(f"| {method} | {blurred:.3f} | {painted:.3f} |")
    return "\n".join(lines)


def _format_looks(rows: list[dict[str, Any]]) -> list[str]:
    agreement = [
        f"| method | cells removed | photos | gains compared | correlation of ranks, {N_DRAWN} "
        f"drawn cells | {N_BEST} best cells by gradient |",
        "|---|--:|--:|---|--:|--:|",
    ]
    choice = [
        "Exact gain of the two cells that each way chooses of these, and means of all:\n",
        f"| method | cells removed | {' | '.join(WAYS)} | mean of {N_BEST} best by gradient | "
        f"mean of {N_DRAWN} drawn | gradient's ranks with how much the fill changes |",
        "|---" + "|--:" * (4 + len(WAYS)) + "|",
    ]
    for (fill, method), n_removed in product(METHODS.items(), LOOKS):
        looks = [
            look for row in rows for look in row["looks"][fill] if look["removed"] == n_removed
        ]

        for pair in map(", ".join, PAIRS[: 3 if fill == "inpaint" else 1]):
            drawn, best = (
                np.mean([look[f"ranks of {kind}"][pair] for look in looks])
                for kind in ("drawn", "best")
            )
            agreement.append(
                f"| {method} | {n_removed} | {len(looks)} | {pair} | {drawn:.2f} | {best:.2f} |"
            )
        chosen = (np.mean([look["chosen"][way] for look in looks]) for way in WAYS)
        means = [*chosen, *(np.mean([look[kind] for look in looks]) for kind in ("best", "drawn"))]
        change = np.mean([look["with change"]["gradient"] for look in looks])
        gains = " | ".join(f"{mean:.3f}" for mean in means)
        choice.append(f"| {method} | {n_removed} | {gains} | {change:.2f} |")
    return ["\n".join(agreement), "\n".join(choice)]
