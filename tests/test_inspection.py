"""A model file is inspected: what it wants, what it predicts, how fast it runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import PIL.Image
import pytest

from onnxplain.core.errors import ImageError
from onnxplain.core.spec import ModelSpec
from onnxplain.inspection import N_BEST, inspect_model
from onnxplain.loading import load
from onnxplain.runtime import tuning
from onnxplain.subjects import classify, fit_to_classifier, from_array
from tests.helpers import models
from tests.helpers.wheels import write_both_wheels

SIZE = (16, 16)
FLAGS = {"range": (0, 1), "class_names": ("cat, kitty", "dog", "bird", "fish", "ant")}
PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture(autouse=True)
def quick_and_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure shortly, and do not write to the user's cache."""
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "SECONDS", 0.005)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.save(models.convnet(SIZE), tmp_path / "tiny.onnx")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    PIL.Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_spec_facts_and_rates_are_those_of_the_loaded_model(model: Path):
    inspection = inspect_model(model, device="cpu", batch_size=2, flags=FLAGS)
    classifier = load(model, device="cpu", batch_size=2, **FLAGS)
    assert inspection.spec == classifier.spec
    assert inspection.sha256 == classifier.provenance["sha256"]
    assert inspection.model == "tiny.onnx"
    assert inspection.facts["batch_size"] == 2
    assert inspection.facts["providers"] == ["CPUExecutionProvider"]
    assert inspection.facts["gradients"] == "yes, as a graph of standard operators"
    assert inspection.rates
    assert (inspection.problem, inspection.answers) == (None, ())


def test_record_is_json_with_value_and_source_of_every_field(model: Path):
    record = inspect_model(model, device="cpu", batch_size=1, flags=FLAGS).record()
    assert json.loads(json.dumps(record)).keys() == record.keys()
    assert set(record["spec"]) == set(ModelSpec.__dataclass_fields__) - {"sources"}
    assert all(entry["source"] for entry in record["spec"].values())


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


def test_what_is_known_and_missing_is_told_without_a_photo(model: Path):
    inspection = inspect_model(model, device="cpu")
    assert "range, mean, std" in str(inspection.problem)
    assert inspection.spec is None
    record = inspection.record()
    assert record["known"]["layout"] == {"value": "nchw", "source": "graph"}
    assert record["missing"]["range, mean, std"].startswith("--preprocessing (torchvision, ")


def test_outline_is_that_of_the_file(model: Path):
    graph = inspect_model(model, device="cpu").record()["graph"]
    proto = onnx.load(model)
    (port,) = graph["inputs"]
    dims = [
        dim.dim_param or dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim
    ]
    assert (port["name"], port["dtype"]) == (proto.graph.input[0].name, "float")
    assert list(port["dims"]) == dims
    assert sum(graph["operators"].values()) == len(proto.graph.node)
    assert graph["opsets"] == {"ai.onnx": proto.opset_import[0].version}


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


def test_photo_is_predicted_under_every_plausible_preprocessing(model: Path, photo: Path):
    inspection = inspect_model(model, image=photo, device="cpu", batch_size=1)
    assert inspection.spec is None
    assert "range, mean, std" in str(inspection.problem)
    names = [prediction.preprocessing for prediction in inspection.answers]
    assert len(names) == len(set(names)) > 1
    assert (inspection.facts, inspection.rates) == ({}, ())


@pytest.mark.parametrize("flags", [FLAGS, {}], ids=["described", "not described"])
def test_answers_to_a_photo_share_one_session(
    model: Path, photo: Path, flags: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    sessions: list[object] = []
    start = onnxruntime.InferenceSession

    def count(*arguments: object, **options: object) -> object:
        sessions.append(start(*arguments, **options))
        return sessions[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", count)
    options = {"device": "cpu", "batch_size": 1, "flags": flags}
    inspect_model(model, image=photo, **options)  # which remembers all tests of batches
    counts = []
    for image in (None, photo):
        sessions.clear()
        inspect_model(model, image=image, **options)
        counts.append(len(sessions))
    assert counts[1] == counts[0] if flags else counts == [0, 1]


@pytest.mark.parametrize("flags", [FLAGS, {}], ids=["described", "not described"])
def test_a_warning_about_the_model_comes_once(
    model: Path, photo: Path, flags: dict[str, object], caplog: pytest.LogCaptureFixture
):
    options = {"device": "cpu", "batch_size": 1, "tf32": True, "flags": flags}
    inspection = inspect_model(model, image=photo, **options)
    assert len(inspection.answers) > 1
    assert caplog.text.count("tf32 changes nothing") == 1
    inspect_model(model, image=photo, **options)
    assert caplog.text.count("tf32 changes nothing") == 2


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


def test_checked_gradients_are_reported_to_agree(model: Path):
    facts = inspect_model(model, device="cpu", batch_size=1, flags=FLAGS, check_gradient=True).facts
    assert facts["gradients"].startswith("yes; slopes by gradient and by differences agree within")


def test_missing_photo_is_an_error_before_the_model_is_read(tmp_path: Path):
    with pytest.raises(ImageError, match="no such file"):
        inspect_model(tmp_path / "no-model.onnx", image=tmp_path / "no-photo.jpg")


def test_both_wheels_of_onnxruntime_are_warned_about(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_both_wheels(tmp_path / "site", monkeypatch)
    (warning,) = inspect_model(model, device="cpu", batch_size=1, flags=FLAGS).warnings
    assert "onnxruntime-gpu 1.31.1 and onnxruntime 1.32.0 are both installed" in warning
