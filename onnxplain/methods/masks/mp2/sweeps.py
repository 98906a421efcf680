"""Which cells MP2 tries in a step, and how much of a single ranking it removes.

A sweep finds the gains of enough cells to include the best ones, with fewer evaluations
than trying all cells. `Growth` remembers the gains; `Probe` asks for them.

References
----------
.. [1] Leskovec et al., Cost-effective outbreak detection in networks, KDD 2007: lazy
   evaluation of a greedy choice
"""

from __future__ import annotations

from collections.abc import Sequence

from onnxplain.core.data import Image
from onnxplain.core.flow import Flow
from onnxplain.methods.masks.mp2.probe import Probe


def try_all(probe: Probe) -> Flow[None]:
    """Try all cells that are left."""
    yield from probe.try_cells(probe.growth.rank_cells())


def try_promising(probe: Probe, n_best: int, *, n_tried: int, caution: float) -> Flow[None]:
    """Try the most promising cells, `n_tried` at a time, until the best are known [1]_.

    A cell promises its remembered gain plus `caution` times its doubt.
    """
    growth = probe.growth
    while not growth.knows_best(n_best, caution):
        yield from probe.try_cells(growth.rank_outdated(caution)[:n_tried])


def try_proposed(probe: Probe, slope: Image, *, n_tried: int) -> Flow[None]:
    """Try the cells with the largest remembered gains, and cells that two slopes propose.

    `slope` is taken at the current mask, the other slope half way to removing all cells. They
    propose cells in turn.
    """
    growth = probe.growth
    half_way = yield from probe.differentiate_half_way()
    remembered = growth.rank_tried()[: n_tried // 3]
    by_half_way, by_slope = (
        growth.rank_by(probe.estimate_gains(each)) for each in (half_way, slope)
    )
    proposed = [cell for pair in zip(by_half_way, by_slope, strict=True) for cell in pair]
    yield from probe.try_cells(list(dict.fromkeys(remembered + proposed))[:n_tried])


def find_shortest_row(
    probe: Probe, ranking: Sequence[int], chance: float, cells_per_step: int
) -> Flow[int]:
    """Find how many of the first cells of a ranking must be removed to reach chance level.

    The number is exact up to `cells_per_step`. It is doubled until chance level is reached,
    and then searched for between the last two numbers. It is the length of the ranking if
    chance level is not reached.
    """
    too_few, enough = 0, cells_per_step
    while enough < len(ranking):
        if (yield from probe.find_probability_without(ranking[:enough])) <= chance:
            break
        too_few, enough = enough, 2 * enough
    enough = min(enough, len(ranking))
    while enough - too_few > cells_per_step:
        steps = (enough - too_few) // cells_per_step
        middle = too_few + max(steps // 2, 1) * cells_per_step
        reached = (yield from probe.find_probability_without(ranking[:middle])) <= chance
        too_few, enough = (too_few, middle) if reached else (middle, enough)
    return enough
