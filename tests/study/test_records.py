"""What rows say, and what their keys depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.core.data import Box
from onnxplain.core.errors import ImageError
from onnxplain.metrics import MetricResult
from onnxplain.registry import parse_entry
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import make_explainers
from onnxplain.study.judges import describe_preprocessing, make_judges
from onnxplain.study.plan import Plan
from onnxplain.study.records import Question
from onnxplain.subjects import name_image, read_subject
from tests.helpers.nets import Net


@pytest.fixture
def question(net: Net, items: list[Item]) -> Question:
    return Question(net, items[0], "abc", seed=3)


def make_pair(method: str = "sp:patch=4", metric: str = "deletion:step=9") -> tuple[Any, Any]:
    plan = Plan(methods=(parse_entry(method),), metrics=(parse_entry(metric),))
    (explainer,), (judge,) = make_explainers(plan), make_judges(plan)
    return explainer, judge


def test_keys_differ_if_anything_does_that_decides_the_score(question: Question):
    explainer, judge = make_pair()
    item = question.item
    others = [
        (replace(question, seed=4), explainer, judge),
        (replace(question, sha256="abd"), explainer, judge),
        (replace(question, item=replace(item, file="other.png")), explainer, judge),
        (replace(question, item=replace(item, label=0)), explainer, judge),
        (question, make_pair("sp:patch=5")[0], judge),
        (question, explainer, make_pair(metric="deletion:step=8")[1]),
        (question, explainer, make_pair(metric="deletion:step=9,fill=white")[1]),
    ]
    keys = {asked.score_key(*pair) for asked, *pair in [(question, explainer, judge), *others]}
    assert len(keys) == 1 + len(others)


def test_content_of_a_file_of_patterns_is_in_the_key(question: Question, tmp_path: Path):
    file = tmp_path / "patterns.npz"
    explainer, judge = make_pair(f"pattern-net:patterns={file}")
    keys = [question.score_key(explainer, judge)]
    for content in (b"first", b"other", b"first"):
        file.write_bytes(content)
        keys.append(question.score_key(explainer, judge))
    assert keys[1] == keys[3]
    assert len(set(keys)) == 3


def test_boxes_are_in_the_key_of_metrics_that_look_at_them(question: Question):
    moved = replace(question, item=replace(question.item, boxes=(Box(0, 0, 5, 5),)))
    explainer, deletion = make_pair()
    _, pointing = make_pair(metric="pointing")
    assert moved.score_key(explainer, deletion) == question.score_key(explainer, deletion)
    assert moved.score_key(explainer, pointing) != question.score_key(explainer, pointing)


def test_kept_heatmap_is_shared_by_metrics_and_files_with_the_same_name(question: Question):
    explainer, _ = make_pair()
    elsewhere = replace(question, item=replace(question.item, file="deep/0.png"))
    assert elsewhere.heatmap_key(explainer) == question.heatmap_key(explainer)


def test_image_row_says_what_is_predicted(question: Question, net: Net):
    subject = read_subject(net, name_image(question.item.path, 0), max_pixels=10**6)
    row = question.image_row(subject)
    assert (row["status"], row["predicted_name"], row["target"]) == ("done", "yes", 1)
    assert row["score"] == pytest.approx(subject.probabilities[1])
    wrong = replace(question, item=replace(question.item, label=0)).image_row(subject)
    assert (wrong["status"], wrong["predicted"], wrong["target"]) == ("wrong", 1, 0)
    unlabelled = replace(question, item=replace(question.item, label=None), predicted=1)
    assert unlabelled.image_row(subject)["labelled"] is False


def test_rows_of_failures_hold_the_error(question: Question):
    explainer, judge = make_pair()
    image_row = question.image_row(ImageError("0.png: is\nempty"))
    assert (image_row["status"], image_row["error"]) == ("error", "0.png: is empty")
    score_row = question.score_row(explainer, judge, RuntimeError("too dark"))
    assert (score_row["status"], score_row["value"]) == ("error", None)
    assert score_row["error"] == "RuntimeError: too dark"


def test_score_row_holds_the_result_and_all_parameters(question: Question):
    explainer, judge = make_pair()
    row = question.score_row(explainer, judge, MetricResult(0.25, {"curve": [1, 0]}))
    assert (row["status"], row["value"], row["details"]) == ("done", 0.25, {"curve": [1, 0]})
    assert row["method_parameters"]["patch"] == 4
    assert row["metric_parameters"]["step"] == 9
    assert (row["metric_fill"], row["direction"], row["seed"]) == ("dataset-mean", "lower", 3)
    undefined = question.score_row(explainer, judge, MetricResult(float(np.nan)))
    assert (undefined["status"], undefined["value"]) == ("done", None)


def test_preprocessing_is_described_without_its_sources(net: Net):
    assert describe_preprocessing(net) == {"size": (16, 16), "outputs": "probabilities"}

    class Described(Net):
        provenance = {"preprocessing": {"size": 9, "sources": {"size": "flag"}}}  # noqa: RUF012

    assert describe_preprocessing(Described(None, (9, 9))) == {"size": 9}
