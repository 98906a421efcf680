"""Metrics of heatmaps and fills: one metric or one family a file.

A metric is a frozen dataclass whose flow asks the engine, or which compares arrays. The
functions `judge`, `deletion`, `class_sensitivity` and so on ask any classifier at once.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onnxplain.metrics.base import Direction, Metric, PairMetric, Score, row
from onnxplain.metrics.boxes import ALPHAS, at_alpha, best_alpha
from onnxplain.metrics.chance import RandomHeatmap, random_heatmap
from onnxplain.metrics.curves import Deletion, Insertion, area_under
from onnxplain.metrics.filling import (
    FilledDistance,
    FilledSimilarity,
    FrechetDistance,
    StillRecognised,
    frechet_distance,
    recogniser,
)
from onnxplain.metrics.localisation import LocalisationError
from onnxplain.metrics.multiscale import ms_ssim
from onnxplain.metrics.neutrality import FillScore
from onnxplain.metrics.perturbed import LabelBias, OffObjectChange, outside_boxes, with_labels
from onnxplain.metrics.pointing import PointingGame, pointing_accuracy
from onnxplain.metrics.regions import ABPC, LeRF, MoRF, aopc
from onnxplain.metrics.saliency import SaliencyMetric
from onnxplain.metrics.sanity import ClassSensitivity, InputInvariance, Randomisation
from onnxplain.metrics.similarity import SSIM, HOGCorrelation, Spearman, scaled
from onnxplain.metrics.sweeps import (
    SWEEPS,
    Sweep,
    over_images,
    rank_correlations,
    sensitivity,
)

if TYPE_CHECKING:
    from onnxplain.evaluation import judge, random_baseline
    from onnxplain.fill_quality import (
        fill_score,
        filled_distance,
        filled_frechet,
        filled_similarity,
        off_object_change,
        still_recognised,
    )
    from onnxplain.plain import (
        abpc,
        deletion,
        insertion,
        lerf,
        localisation_error,
        morf,
        pointing_game,
        saliency_metric,
    )
    from onnxplain.robustness import (
        Audit,
        baseline_audit,
        class_sensitivity,
        input_invariance,
        label_bias,
        randomisation,
        sweep,
    )

# These run the engine, which lies above the metrics: they are offered here for those who
# look here, and imported when they are first used. No metric may use them.
_HOMES = {
    "onnxplain.evaluation": ("judge", "random_baseline"),
    "onnxplain.fill_quality": (
        *("fill_score", "filled_distance", "filled_frechet", "filled_similarity"),
        *("off_object_change", "still_recognised"),
    ),
    "onnxplain.plain": (
        *("abpc", "deletion", "insertion", "lerf", "localisation_error", "morf"),
        *("pointing_game", "saliency_metric"),
    ),
    "onnxplain.robustness": (
        *("Audit", "baseline_audit", "class_sensitivity", "input_invariance", "label_bias"),
        *("randomisation", "sweep"),
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

# By name, those that judge a heatmap or a fill of one case with no more than its parameters.
METRICS: Mapping[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        *(Deletion, Insertion, LocalisationError, PointingGame, SaliencyMetric),
        *(MoRF, LeRF, ABPC, FillScore, StillRecognised, FilledSimilarity, OffObjectChange),
    )
}

__all__ = [
    "ABPC",
    "ALPHAS",
    "METRICS",
    "SSIM",
    "SWEEPS",
    "Audit",
    "ClassSensitivity",
    "Deletion",
    "Direction",
    "FillScore",
    "FilledDistance",
    "FilledSimilarity",
    "FrechetDistance",
    "HOGCorrelation",
    "InputInvariance",
    "Insertion",
    "LabelBias",
    "LeRF",
    "LocalisationError",
    "Metric",
    "MoRF",
    "OffObjectChange",
    "PairMetric",
    "PointingGame",
    "RandomHeatmap",
    "Randomisation",
    "SaliencyMetric",
    "Score",
    "Spearman",
    "StillRecognised",
    "Sweep",
    "abpc",
    "aopc",
    "area_under",
    "at_alpha",
    "baseline_audit",
    "best_alpha",
    "class_sensitivity",
    "deletion",
    "fill_score",
    "filled_distance",
    "filled_frechet",
    "filled_similarity",
    "frechet_distance",
    "input_invariance",
    "insertion",
    "judge",
    "label_bias",
    "lerf",
    "localisation_error",
    "morf",
    "ms_ssim",
    "off_object_change",
    "outside_boxes",
    "over_images",
    "pointing_accuracy",
    "pointing_game",
    "random_baseline",
    "random_heatmap",
    "randomisation",
    "rank_correlations",
    "recogniser",
    "row",
    "saliency_metric",
    "scaled",
    "sensitivity",
    "still_recognised",
    "sweep",
    "with_labels",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value
