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
    make_recogniser,
)
from onnxplain.metrics.fills.multiscale import ms_ssim
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.fills.perturbed import (
    LabelBias,
    OffObjectChange,
    find_patches_outside,
    record_labels,
)
from onnxplain.metrics.heatmaps.boxes import ALPHAS, choose_alpha, get_value_at_alpha
from onnxplain.metrics.heatmaps.chance import RandomHeatmap, draw_random_heatmap
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion, area_under_curve
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
from onnxplain.metrics.stability.similarity import SSIM, HOGCorrelation, Spearman, scale_to_unit
from onnxplain.metrics.stability.sweeps import (
    SWEEPS,
    Sweep,
    average_over_images,
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
    "area_under_curve",
    "get_value_at_alpha",
    "baseline_audit",
    "choose_alpha",
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
    "find_patches_outside",
    "average_over_images",
    "pointing_accuracy",
    "pointing_game",
    "random_baseline",
    "draw_random_heatmap",
    "randomisation",
    "rank_correlations",
    "make_recogniser",
    "saliency_metric",
    "scale_to_unit",
    "sensitivity",
    "still_recognised",
    "sweep",
    "to_row",
    "record_labels",
]
