"""Metrics of heatmaps and fills: one metric or one family a file.

A metric is a frozen dataclass whose flow asks the engine, or which compares arrays. The
functions `judge`, `deletion`, `class_sensitivity` and so on ask any classifier at once.
"""

from collections.abc import Mapping

from onnxplain.metrics.base import Direction, Metric, MetricResult, PairMetric, to_row
from onnxplain.metrics.comparisons import (
    Audit,
    baseline_audit,
    class_sensitivity,
    input_invariance,
    label_bias,
    randomisation,
    sweep,
)
from onnxplain.metrics.fill_quality import (
    fill_score,
    filled_distance,
    filled_frechet,
    filled_similarity,
    off_object_change,
    still_recognised,
)
from onnxplain.metrics.fills.filling import (
    FilledDistance,
    FilledSimilarity,
    FrechetDistance,
    StillRecognised,
    frechet_distance,
    recogniser,
)
from onnxplain.metrics.fills.multiscale import ms_ssim
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.fills.perturbed import LabelBias, OffObjectChange, outside_boxes, with_labels
from onnxplain.metrics.heatmaps.boxes import ALPHAS, at_alpha, best_alpha
from onnxplain.metrics.heatmaps.chance import RandomHeatmap, random_heatmap
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion, area_under
from onnxplain.metrics.heatmaps.localisation import LocalisationError
from onnxplain.metrics.heatmaps.pointing import PointingGame, pointing_accuracy
from onnxplain.metrics.heatmaps.regions import ABPC, LeRF, MoRF, aopc
from onnxplain.metrics.heatmaps.saliency import SaliencyMetric
from onnxplain.metrics.judging import judge, random_baseline
from onnxplain.metrics.plain import (
    abpc,
    deletion,
    insertion,
    lerf,
    localisation_error,
    morf,
    pointing_game,
    saliency_metric,
)
from onnxplain.metrics.stability.sanity import ClassSensitivity, InputInvariance, Randomisation
from onnxplain.metrics.stability.similarity import SSIM, HOGCorrelation, Spearman, scaled
from onnxplain.metrics.stability.sweeps import (
    SWEEPS,
    Sweep,
    over_images,
    rank_correlations,
    sensitivity,
)

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
    "MetricResult",
    "MoRF",
    "OffObjectChange",
    "PairMetric",
    "PointingGame",
    "RandomHeatmap",
    "Randomisation",
    "SaliencyMetric",
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
    "saliency_metric",
    "scaled",
    "sensitivity",
    "still_recognised",
    "sweep",
    "to_row",
    "with_labels",
]
