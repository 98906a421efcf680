"""Metrics of heatmaps and fills: one metric, one file."""

from collections.abc import Mapping

from onnxplain.metrics.base import Direction, Metric, PairMetric, Score, row
from onnxplain.metrics.boxes import ALPHAS, at_alpha, best_alpha
from onnxplain.metrics.chance import RandomHeatmap, random_heatmap
from onnxplain.metrics.curves import Deletion, FoldedBlur, Insertion, area_under
from onnxplain.metrics.filling import (
    FilledDistance,
    FilledSimilarity,
    StillRecognised,
    frechet_distance,
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
    "ClassSensitivity",
    "Deletion",
    "Direction",
    "FillScore",
    "FilledDistance",
    "FilledSimilarity",
    "FoldedBlur",
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
    "aopc",
    "area_under",
    "at_alpha",
    "best_alpha",
    "frechet_distance",
    "ms_ssim",
    "outside_boxes",
    "over_images",
    "pointing_accuracy",
    "random_heatmap",
    "rank_correlations",
    "row",
    "scaled",
    "sensitivity",
    "with_labels",
]
