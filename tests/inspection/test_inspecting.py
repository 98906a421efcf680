"""A model file is inspected: what it wants, what it predicts, how fast it runs."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import onnxruntime
import pytest

from onnxplain.core.errors import ImageError
from onnxplain.core.spec import ModelSpec
from onnxplain.inspection import inspect_model
from onnxplain.loading import load
from tests.helpers.wheels import write_both_wheels

FLAGS = {"range": (0, 1), "class_names": ("cat, kitty", "dog", "bird", "fish", "ant")}


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
