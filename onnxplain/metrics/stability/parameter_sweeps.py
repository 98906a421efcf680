"""How much heatmaps of one image change with parameters and seeds that should not matter.

A sweep explains an image several times, over one hyperparameter or over seeds; all pairs
of its maps are compared. The audit of fills does the same over fills.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.4, tables S1 and S2, :arXiv:`1910.04256`
.. [2] Bansal, Agarwal & Nguyen, SAM: The sensitivity of attribution methods to
   hyperparameters, CVPR 2020, :arXiv:`2003.08754`
.. [3] Brunke, Agrawal & George, Evaluating input perturbation methods for interpreting CNNs
   and saliency map comparison, ECCV 2020 workshops, :arXiv:`2101.10977`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onnxplain.metrics.base import MetricResult, PairMetric, nan_to_none
from onnxplain.metrics.stability.similarity import SSIM, HOGCorrelation, Spearman, scale_to_unit


@dataclass(frozen=True)
class Sweep:
    """The variants and seeds whose maps of one image are compared.

    Parameters
    ----------
    method : str
        Name of the method.
    variants : tuple of mapping
        The method's parameters, one mapping per map.
    seeds : tuple of int
        Every variant explains the image with each seed.
    rescale : bool
        Whether each map is divided by its largest absolute value first.
    data_range : float
        Width of the range of the maps' values after rescaling, for SSIM.
    """

    method: str
    variants: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...] = (0,)
    rescale: bool = False
    data_range: float = 2.0

    @property
    def metrics(self) -> tuple[PairMetric, ...]:
        """The three similarities of [1]_ that compare the maps."""
        return SSIM(data_range=self.data_range), HOGCorrelation(), Spearman()


# Sec. 4.4 of [1]_. With an inpainter as the fill they are the rows of the G-methods. Random
# maps are our addition: the values for heatmaps that have nothing in common.
SWEEPS: Mapping[str, Sweep] = {
    "sp": Sweep("sp", tuple({"patch": p, "stride": 3} for p in (5, 17, 29, 41, 53))),
    "lime-50": Sweep("lime", ({"n_segments": 50, "n_samples": 500},), tuple(range(5)), True),
    "lime-150": Sweep("lime", ({"n_segments": 150, "n_samples": 500},), tuple(range(5)), True),
    "random": Sweep("random", ({},), tuple(range(5)), data_range=1.0),
    "mp2": Sweep("mp2", tuple({"grid": grid} for grid in (28, 56, 112)), data_range=1.0),
}


def sensitivity(
    metric: PairMetric, maps: Sequence[ArrayLike], *, rescale: bool = False
) -> MetricResult:
    """Return the mean likeness over all pairs of the maps of one image.

    Parameters
    ----------
    metric : PairMetric
        Compares two maps.
    maps : sequence of (H, W) arrays
        Two or more, at the size of the image.
    rescale : bool
        Whether each map is divided by its largest absolute value first.

    Returns
    -------
    score : MetricResult
        Its details hold every pair's value (None where it is not defined), how many are not
        defined, and the standard deviation over the others. The value is NaN if no pair's
        value is defined.

    Raises
    ------
    ValueError
        If there are fewer than two maps.
    """
    if len(maps) < 2:
        raise ValueError(f"sensitivity compares two maps or more, got {len(maps)}")
    compared = [scale_to_unit(heatmap) for heatmap in maps] if rescale else list(maps)
    pairs = [metric.compare(first, second) for first, second in combinations(compared, 2)]
    defined = [value for value in pairs if np.isfinite(value)]
    details = {
        "pairs": [nan_to_none(value) for value in pairs],
        "undefined": len(pairs) - len(defined),
        "deviation": float(np.std(defined)) if defined else None,
    }
    return MetricResult(float(np.mean(defined)) if defined else float("nan"), details)


def average_over_images(scores: Sequence[MetricResult]) -> MetricResult:
    """Average as tables S1 and S2 of [1]_ do: mean of means, root of the mean variance.

    Images without a defined pair are left out and counted.

    Raises
    ------
    ValueError
        If no image is left.
    """
    defined = [score for score in scores if np.isfinite(score.value)]
    if not defined:
        raise ValueError(f"none of the {len(scores)} images has a pair of maps to compare")
    variances = [score.details["deviation"] ** 2 for score in defined]
    details = {
        "deviation": float(np.sqrt(np.mean(variances))),
        "undefined": sum(score.details["undefined"] for score in scores),
        "images": len(defined),
        "left_out": len(scores) - len(defined),
    }
    return MetricResult(float(np.mean([score.value for score in defined])), details)


def rank_correlations(maps: Mapping[str, ArrayLike]) -> dict[str, dict[str, float]]:
    """Return the Spearman correlations of the maps of one image under several fills [3]_.

    Parameters
    ----------
    maps : mapping of (H, W) arrays
        The maps by the name of their fill.

    Returns
    -------
    table : dict of dict of float
        ``table[a][b]``, symmetric; NaN where a map is constant.
    """
    spearman = Spearman()
    return {
        a: {b: spearman.compare(first, second) for b, second in maps.items()}
        for a, first in maps.items()
    }
