"""The random heatmap, the baseline of every metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Heatmap, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import Parametrised


@dataclass(frozen=True)
class RandomHeatmap(Parametrised):
    """Independent uniform values in [0, 1), as a method: the baseline of every metric.

    It is the "Baseline" column of tables 3 and 4 of [1]_. For localisation that column is the
    box around the whole image, which the metric reports itself.

    References
    ----------
    .. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
       generative models, ACCV 2020, :arXiv:`1910.04256`
    """

    name: ClassVar[str] = "random"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "dataset-mean"

    def evaluations(self, size: Size) -> int:
        """Return 0: the classifier is not asked."""
        return 0

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Draw a heatmap without a query."""
        yield from ()
        return Attribution(draw_random_heatmap(case.size, rng))


def draw_random_heatmap(size: Size, rng: np.random.Generator) -> Heatmap:
    """Draw independent uniform values in [0, 1), shape (H, W)."""
    return rng.random(size, np.float32)
