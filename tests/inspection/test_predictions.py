"""Predictions under several preprocessings are ranked and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxplain.inspection import inspect_model
from onnxplain.inspection.predictions import N_BEST, Prediction, Ranked, judge_predictions
from onnxplain.loading import load
from onnxplain.subjects import classify, fit_to_classifier, from_array
from tests.inspection.conftest import PHOTO

FLAGS = {"range": (0, 1), "class_names": ("cat, kitty", "dog", "bird", "fish", "ant")}


def test_predictions_are_ranked_by_the_probabilities_of_the_photo(model: Path, photo: Path):
    inspection = inspect_model(
        model, image=photo, label="kitty", device="cpu", batch_size=1, flags=FLAGS
    )
    prediction, *others = inspection.answers
    assert (prediction.preprocessing, prediction.problem) == ("as described", None)
    assert others
    classifier = load(model, device="cpu", batch_size=1, **FLAGS)
    _, image = fit_to_classifier(classifier, from_array(PHOTO))
    probabilities = classify(classifier, image)
    order = np.argsort(-probabilities)
    assert [ranked.target for ranked in prediction.best] == order[:N_BEST].tolist()
    assert [ranked.rank for ranked in prediction.best] == list(range(1, N_BEST + 1))
    for ranked in prediction.best:
        assert ranked.name == classifier.class_names[ranked.target]
        assert ranked.probability == pytest.approx(probabilities[ranked.target], rel=1e-5)
    assert prediction.label is not None
    assert (prediction.label.target, prediction.label.name) == (0, "cat, kitty")
    assert prediction.label.rank == order.tolist().index(0) + 1


def test_verdict_follows_the_label(model: Path, photo: Path):
    plain = inspect_model(model, image=photo, device="cpu", batch_size=1, flags=FLAGS)
    assert "Certainty alone proves nothing" in str(plain.verdict)
    sorted_by_certainty = [answer.best[0].probability for answer in plain.sort_answers()]
    assert sorted_by_certainty == sorted(sorted_by_certainty, reverse=True)
    described = plain.answers[0]
    for label in {ranked.name.split(",")[0] for ranked in described.best}:
        found = inspect_model(
            model, image=photo, label=label, device="cpu", batch_size=1, flags=FLAGS
        )
        ranks = [answer.label.rank for answer in found.sort_answers() if answer.label]
        assert ranks == sorted(ranks)
        if described.best[0].name.split(",")[0] == label:
            assert str(found.verdict).startswith(f"as described puts {label} first")
        elif ranks[0] > 1:
            assert str(found.verdict).startswith(f"none puts {label} first")
        else:
            assert f"puts {label} first, which as described has at rank" in str(found.verdict)


def test_scores_that_are_not_finite_are_the_problem_of_each_prediction(model: Path, photo: Path):
    proto = onnx.load(model)
    for tensor in proto.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            broken = onnx.numpy_helper.from_array(np.full_like(values, np.nan), tensor.name)
            tensor.CopyFrom(broken)
    onnx.save(proto, model)
    inspection = inspect_model(model, image=photo, device="cpu", batch_size=1, flags=FLAGS)
    for prediction in inspection.answers:
        assert prediction.best == ()
        assert "NaN or infinite scores" in str(prediction.problem)


def predict(name: str, label_rank: int) -> Prediction:
    best = Ranked(0, "cat, kitty", 0.75, 1)
    label = best if label_rank == 1 else Ranked(1, "cat, kitty", 0.125, label_rank)
    return Prediction(name, (best,), label)


@pytest.mark.parametrize(
    ("ranks", "verdict"),
    [
        ([1, 2, 3], "as described puts cat first, and it alone"),
        ([1, 1, 3], "as described puts cat first, and so does one other"),
        ([1, 1, 1], "as described puts cat first, and so do 2 others"),
    ],
)
def test_others_that_agree_with_the_description_are_counted(ranks: list[int], verdict: str):
    names = ("as described", "keras-tf, rgb", "unit, rgb")
    assert judge_predictions(list(map(predict, names, ranks))) == verdict
