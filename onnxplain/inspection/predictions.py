"""What a model predicts for a photo under each preprocessing, and which of them fits best."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onnxplain.core.data import Image
from onnxplain.core.errors import OnnxplainError
from onnxplain.describe.normalisation import DESCRIBED
from onnxplain.runtime import OnnxClassifier
from onnxplain.subjects import classify, fit_to_classifier
from onnxplain.targets import choose_targets, parse_targets

N_BEST = 5  # classes listed per photo


class Ranked(NamedTuple):
    """A class with its probability for a photo; the most probable class has rank 1."""

    target: int
    name: str
    probability: float
    rank: int


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for a photo under one preprocessing, or the `problem` it meets.

    `label` is the class that the user says the photo shows.
    """

    preprocessing: str
    best: tuple[Ranked, ...] = ()
    label: Ranked | None = None
    problem: str | None = None


def predict(
    preprocessing: str, classifier: OnnxClassifier, photo: Image, label: str | None
) -> Prediction:
    """Predict a photo by a classifier of some preprocessing, and rank the label if there is one."""
    names = classifier.class_names
    _, image = fit_to_classifier(classifier, photo)
    try:
        scores = classify(classifier, image)
    except OnnxplainError as error:
        return Prediction(preprocessing, problem=str(error))
    order = np.argsort(-scores, kind="stable").tolist()

    def rank(index: int) -> Ranked:
        return Ranked(index, names[index], float(scores[index]), order.index(index) + 1)

    return Prediction(
        preprocessing,
        tuple(rank(index) for index in order[:N_BEST]),
        None if label is None else rank(choose_targets(parse_targets(label, names), scores)[0]),
    )


def rate_prediction(prediction: Prediction) -> tuple[int, float]:
    """Return how well a prediction fits: by the label's rank and probability, or by certainty."""
    if not prediction.best:
        return -sys.maxsize, 0.0
    if prediction.label is not None:
        return -prediction.label.rank, prediction.label.probability
    return 0, prediction.best[0].probability


def judge_predictions(predictions: Sequence[Prediction]) -> str:
    """Say what predictions tell, the best of which comes first."""
    first = predictions[0]
    described = next((one for one in predictions if one.preprocessing == DESCRIBED), None)
    best = f"{first.best[0].name.split(',')[0]} ({first.best[0].probability:.3f})"
    if first.label is None:
        n_classes = len({one.best[0].target for one in predictions})
        agree = "all agree on the class" if n_classes == 1 else f"they name {n_classes} classes"
        return (
            f"{first.preprocessing} is the most certain, with {best}; {agree}. Certainty alone "
            f"proves nothing: --label CLASS says what the photo shows"
        )
    label = first.label.name.split(",")[0]
    n_right = sum(one.label is not None and one.label.rank == 1 for one in predictions)
    if not n_right:
        return (
            f"none puts {label} first: the best is {first.preprocessing}, at rank "
            f"{first.label.rank}; check the label, --labels, --head and --layout, or try a photo "
            f"that is easier"
        )
    if described is not None and described.label is not None and described.label.rank == 1:
        others = {1: ", and it alone", 2: ", and so does one other"}
        return (
            f"{DESCRIBED} puts {label} first"
            f"{others.get(n_right, f', and so do {n_right - 1} others')}"
        )
    which = "it alone does" if n_right == 1 else f"{n_right} do, which more photos tell apart"
    contrast = ""
    if described is not None and described.label is not None:
        contrast = f", which {DESCRIBED} has at rank {described.label.rank}"
    return f"{first.preprocessing} puts {label} first{contrast}; {which}"
