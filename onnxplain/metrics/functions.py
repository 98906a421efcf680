"""The metrics of one heatmap or fill as plain functions on arrays and any classifier.

Type checkers read `functions.pyi`, which ``python -m tests.helpers.metrics`` writes.
"""

from onnxplain.metrics.fills.filling import (
    FilledDistance,
    FilledSimilarity,
    StillRecognised,
    make_still_recognised,
)
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.fills.off_object import OffObjectChange
from onnxplain.metrics.heatmaps.curves import Deletion, Insertion
from onnxplain.metrics.heatmaps.localisation import LocalisationError
from onnxplain.metrics.heatmaps.neutral import NeutralDeletion, NeutralInsertion
from onnxplain.metrics.heatmaps.pointing import PointingGame
from onnxplain.metrics.heatmaps.regions import ABPC, LeRF, MoRF
from onnxplain.metrics.heatmaps.saliency import SaliencyMetric
from onnxplain.metrics.wrapping import make_function

# Of heatmaps.
deletion = make_function("deletion", Deletion)
insertion = make_function("insertion", Insertion)
neutral_deletion = make_function("neutral_deletion", NeutralDeletion)
neutral_insertion = make_function("neutral_insertion", NeutralInsertion)
morf = make_function("morf", MoRF)
lerf = make_function("lerf", LeRF)
abpc = make_function("abpc", ABPC)
localisation_error = make_function("localisation_error", LocalisationError)
pointing_game = make_function("pointing_game", PointingGame)
saliency_metric = make_function("saliency_metric", SaliencyMetric)

# Of fills.
fill_score = make_function("fill_score", FillScore, heatmap=False)
off_object_change = make_function("off_object_change", OffObjectChange, heatmap=False)
still_recognised = make_function(
    "still_recognised", StillRecognised, heatmap=False, build=make_still_recognised
)
filled_similarity = make_function(
    "filled_similarity", FilledSimilarity, heatmap=False, target=False
)
filled_distance = make_function("filled_distance", FilledDistance, heatmap=False, target=False)
