"""``onnxplain inspect`` on a small model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnx
import pytest

from onnxplain.core.spec import ModelSpec
from tests.cli.conftest import Run
from tests.helpers import models, random_models
from tests.helpers.wheels import write_both_wheels

KEYS = [
    "model",
    "sha256",
    "graph",
    "spec",
    "known",
    "missing",
    "problem",
    "device",
    "providers",
    "placement",
    "batch",
    "batch_size",
    "workers",
    "gradients",
    "rates",
    "answers",
    "verdict",
    "warnings",
]


def test_json_has_these_keys_and_every_value_a_source(run: Run, model: Path):
    result = run("inspect", model, "--json")
    assert result.exit_code == 0
    inspected = json.loads(result.stdout)
    assert list(inspected) == KEYS
    assert set(inspected["spec"]) == set(ModelSpec.__dataclass_fields__) - {"sources"}
    assert all(field["source"] for field in inspected["spec"].values())
    assert inspected["spec"]["range"] == {"value": [0, 1], "source": "tiny.toml"}
    assert inspected["providers"] == ["CPUExecutionProvider"]
    assert sum(inspected["placement"].values()) > 0
    assert all(rate["per_second"] > 0 for rate in inspected["rates"])


def test_text_names_sources_and_rates(run: Run, model: Path):
    shown = run("inspect", model).stdout
    assert shown.startswith("tiny.onnx  sha256 ")
    assert "tiny.toml" in shown
    assert "CPUExecutionProvider" in shown
    assert "evaluations per second by batch size:" in shown


def test_graph_known_and_missing_are_shown_of_a_model_that_is_not_described(
    run: Run, folder: Path, own_cache: None
):
    onnx.save(models.additive(models.weights((16, 16))), "plain.onnx")
    result = run("inspect", "plain.onnx")
    assert result.exit_code == 1
    for text in ("  input ", "  output ", "  opset ", "  operators: ", "layout ", "graph"):
        assert text in result.stdout
    assert "missing, and the options to try:" in result.stdout
    assert "range, mean, std: --preprocessing (torchvision, " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "plain.onnx: cannot tell" in result.stderr


def test_graph_is_shown_of_a_model_that_is_no_classifier_of_images(run: Run, folder: Path):
    value = onnx.helper.make_tensor_value_info("tokens", onnx.TensorProto.INT64, ["N", 8])
    node = onnx.helper.make_node("Identity", ["tokens"], ["out"])
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.INT64, ["N", 8])
    graph = onnx.helper.make_graph([node], "text", [value], [out])
    onnx.save(onnx.helper.make_model(graph), "text.onnx")
    result = run("inspect", "text.onnx")
    assert result.exit_code == 1
    assert "input   tokens" in result.stdout
    assert "int64 N x 8" in result.stdout
    assert "operators: Identity 1" in result.stdout


def test_independent_labels_are_called_so(run: Run, model: Path):
    shown = run("inspect", model, "--head", "sigmoid").stdout
    assert re.search(r"head +multilabel-logits \(independent labels\) +flag --head, graph\n", shown)
    assert "independent" not in run("inspect", model).stdout


def test_photo_is_classified_under_each_preprocessing(run: Run, model: Path, photo: Path):
    inspected = json.loads(
        run("inspect", model, "--image", photo, "--label", "dog", "--json").stdout
    )
    names = [answer["preprocessing"] for answer in inspected["answers"]]
    assert names[0] == "as described"
    assert len(names) == len(set(names)) > 5
    for answer in inspected["answers"]:
        best = answer["best"]
        assert [seen["rank"] for seen in best] == [1, 2, 3]
        assert best == sorted(best, key=lambda seen: -seen["probability"])
        assert answer["label"]["name"] == "dog"
        assert answer["label"] in best
    lines = run("inspect", model, "--image", photo, "--label", 1).stdout.splitlines()
    start = lines.index("what it answers to the photo under each plausible preprocessing:")
    assert sum("the label" in line for line in lines[start:]) == len(inspected["answers"])
    assert lines[start + 1 + len(inspected["answers"])].startswith("  verdict: ")


def test_photo_helps_if_the_preprocessing_is_unknown(
    run: Run, folder: Path, photo: Path, own_cache: None
):
    onnx.save(models.additive(models.weights((16, 16))), "plain.onnx")
    result = run("inspect", "plain.onnx", "--image", photo, "--json")
    assert result.exit_code == 1
    assert "pass --preprocessing" in result.stderr
    inspected = json.loads(result.stdout)
    assert inspected["spec"] is None
    assert "pass --preprocessing" in inspected["problem"]
    assert inspected["answers"]


def test_written_spec_describes_the_model_from_then_on(
    run: Run, folder: Path, photo: Path, own_cache: None
):
    onnx.save(models.additive(models.weights((16, 16))), "plain.onnx")
    words = ("inspect", "plain.onnx", "--preprocessing", "unit", "--write-spec", "plain.toml")
    assert run(*words).stderr == "plain.toml: written\n"
    again = run("inspect", "plain.onnx", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["spec"]["range"]["source"] == "plain.toml"


def test_spec_replaces_a_file_only_with_force(run: Run, model: Path):
    graph, own = model.read_bytes(), model.with_suffix(".toml")
    for words in ((), ("--force",)):
        result = run("inspect", model, "--write-spec", model, *words)
        assert result.exit_code == 2
        assert "is the model itself" in " ".join(result.stderr.split())
    assert model.read_bytes() == graph
    before = own.read_bytes()
    result = run("inspect", model, "--write-spec", own)
    assert result.exit_code == 2
    assert "or --force to replace it" in " ".join(result.stderr.split())
    assert own.read_bytes() == before
    assert run("inspect", model, "--write-spec", own, "--force").exit_code == 0
    assert own.read_bytes() != before


def test_spec_that_cannot_be_written_is_an_error(run: Run, model: Path):
    result = run("inspect", model, "--write-spec", "/proc/none.toml")
    assert result.exit_code == 1
    assert "/proc/none.toml: cannot be written" in result.stderr


def test_both_wheels_together_are_a_warning(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_both_wheels(tmp_path / "site", monkeypatch)
    result = run("inspect", model, "--json")
    (warning,) = json.loads(result.stdout)["warnings"]
    assert "onnxruntime-gpu 1.31.1 and onnxruntime 1.32.0 are both installed" in warning
    assert f"Warning: {warning}" in result.stderr


def test_label_without_photo_is_a_usage_error(run: Run, model: Path):
    result = run("inspect", model, "--label", "dog")
    assert result.exit_code == 2
    assert "--label needs --image" in result.stderr


def test_unknown_label_gets_a_suggestion(run: Run, model: Path, photo: Path):
    result = run("inspect", model, "--image", photo, "--label", "dogg")
    assert result.exit_code == 2
    assert "did you mean 'dog'" in result.stderr


def test_bad_photo_is_an_error(run: Run, model: Path, photo: Path):
    result = run("inspect", model, "--image", "missing.jpg")
    assert result.exit_code == 1
    assert "missing.jpg: no such file" in result.stderr
    assert "exceeds the limit" in run("inspect", model, "--image", photo, "--max-pixels", 5).stderr


def test_gradient_is_reported_and_checked(run: Run, model: Path):
    gradients = json.loads(run("inspect", model, "--json").stdout)["gradients"]
    assert gradients.startswith("yes")
    checked = json.loads(run("inspect", model, "--check-gradient", "--json").stdout)["gradients"]
    assert "agree within" in checked
    assert "DISAGREE" not in checked


def test_node_that_a_rule_refuses_is_named(run: Run, model: Path):
    """The rule of a cast to float64 refuses this cast."""
    proto = onnx.load(model)
    first = proto.graph.node[0]
    image, first.input[0] = first.input[0], "narrow"
    casts = [
        onnx.helper.make_node("Cast", [image], ["wide"], name="widen", to=onnx.TensorProto.DOUBLE),
        onnx.helper.make_node("Abs", ["wide"], ["same"]),
        onnx.helper.make_node("Cast", ["same"], ["narrow"], to=onnx.TensorProto.FLOAT),
    ]
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.save(proto, model)
    gradients = json.loads(run("inspect", model, "--json").stdout)["gradients"]
    assert gradients.startswith("none: tiny.onnx: node 'widen' (Cast)")
    assert "add a rule for the operator" in gradients


def test_a_random_model_is_refused_or_shown_as_such(run: Run, tmp_path: Path):
    path = models.save(random_models.noisy(), tmp_path / "noisy.onnx")
    options = "inspect", path, "--preprocessing", "unit", "--head", "logits"
    refused = run(*options)
    assert refused.exit_code == 1
    assert "RandomNormalLike 'noise' draws new numbers each time" in refused.stderr
    shown = run(*options, "--allow-random", "--json")
    assert shown.exit_code == 0
    inspected = json.loads(shown.stdout)
    assert inspected["spec"]["allow_random"] == {"value": True, "source": "flag --allow-random"}
    assert "RandomNormalLike 'noise'" in inspected["batch"]
