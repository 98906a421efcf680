"""The metrics of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxplain import runtime
from onnxplain.core.data import Box
from onnxplain.fills import Black, DatasetMean, FoldedBlur
from onnxplain.metrics import (
    ABPC,
    METRICS,
    Deletion,
    FilledDistance,
    Insertion,
    PointingGame,
    SaliencyMetric,
    StillRecognised,
)
from onnxplain.metrics.by_model import BY_MODEL
from onnxplain.metrics.judging import judge
from onnxplain.metrics.naming import NAMED_METRICS
from onnxplain.registry import Entry, parse_entry
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import make_explainers
from onnxplain.study.judges import check_boxes, check_same_classes, make_judges
from onnxplain.study.plan import Plan
from tests.helpers import models
from tests.helpers.nets import Net, curved
from tests.study.conftest import Painter, fail_to_load, reddish


def test_metric_takes_the_inpainter_as_its_fill():
    plan = Plan(metrics=(parse_entry("deletion:fill=inpaint"), parse_entry("deletion")))
    painted, grey = make_judges(plan, Painter)
    assert painted.fill is not None
    assert painted.fill.parameters == {"inpainter": "painter.onnx", "sha256": "abc"}
    assert painted.metric.fill == painted.fill.fill != grey.metric.fill


def test_metrics_that_judge_by_one_model_share_it(tmp_path: Path):
    path = models.save(models.additive(models.weights((8, 8))), tmp_path / "net.onnx")
    path.with_suffix(".toml").write_text("range = [0, 1]\n")
    metrics = [
        {"name": "still-recognised", "model": str(path), "batch_size": 1, "fill": fill}
        for fill in ("black", "white")
    ]
    first, second = make_judges(Plan(metrics=tuple(map(parse_entry, metrics))), device="cpu")
    assert first.metric.recognise.classifier is second.metric.recognise.classifier
    assert first.model == second.model
    assert first.model["model"] == "net.onnx"
    assert first.fill != second.fill


def test_metrics_have_the_fills_of_their_papers_unless_one_is_given():
    words = ("deletion", "insertion", "abpc", "saliency", "deletion:fill=black,step=9")
    judges = make_judges(Plan(metrics=tuple(map(parse_entry, words))))
    deletion, insertion, abpc, saliency, black = (studied.metric for studied in judges)
    assert deletion == Deletion(fill=DatasetMean())
    assert insertion == Insertion(fill=FoldedBlur())
    assert isinstance(abpc, ABPC)
    assert judges[2].fill is not None
    assert judges[2].fill.name == "uniform-noise"
    assert (saliency, judges[3].fill) == (SaliencyMetric(), None)
    assert black == Deletion(step=9, fill=Black())


@pytest.mark.parametrize("name", sorted(NAMED_METRICS.keys() - BY_MODEL.keys()))
def test_metric_takes_the_same_fill_in_a_study_and_alone(name: str):
    size = (170, 180) if name == "ms-ssim" else (64, 60)
    rng = np.random.default_rng(3)
    image, heatmap = rng.random((*size, 3), np.float32), rng.random(size)
    function = curved(rng.normal(0, 0.2, (*size, 3, 2)).astype(np.float32))
    (studied,) = make_judges(Plan(metrics=(Entry(name),)))
    both = [
        judge(metric, function, image, heatmap, 1, boxes=[Box(2, 3, 8, 9)])
        for metric in (METRICS[name](), studied.metric)
    ]
    assert both[0].value == both[1].value


@pytest.mark.parametrize("name", sorted(NAMED_METRICS.keys() - BY_MODEL.keys()))
def test_every_metric_has_a_name(name: str):
    (studied,) = make_judges(Plan(metrics=(Entry(name),)))
    assert type(studied.metric) is METRICS[name]


def test_exactly_the_metrics_that_use_boxes_fail_without_a_box(net: Net):
    missing = set()
    for name in NAMED_METRICS.keys() - BY_MODEL.keys():
        (studied,) = make_judges(Plan(metrics=(Entry(name),)))
        try:
            judge(studied.metric, net, reddish(0), np.ones((16, 16)), 1)
        except ValueError as error:
            assert "needs a box" in str(error)  # noqa: PT017
            missing.add(name)
    looking = {name for name, metric in NAMED_METRICS.items() if metric.looks_at_boxes}
    assert missing | BY_MODEL.keys() == looking


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"methods": ("lyme",)}, "did you mean 'lime"),
        ({"methods": ("sp:pach=3",)}, "did you mean 'patch'"),
        ({"methods": ("sp:patch=0",)}, "patch must be >= 1"),
        ({"methods": ("sp", "sp")}, "listed twice"),
        ({"methods": ("sp", "sp-g"), "fills": ("blurr",)}, "did you mean 'blur'"),
        ({"metrics": ("delation",)}, "did you mean 'deletion'"),
        ({"metrics": ("deletion:stp=3",)}, "did you mean 'step'"),
        ({"metrics": ("saliency:fill=black",)}, "takes no fill"),
        ({"metrics": ("deletion:fill=inpaint",)}, "needs an inpainter"),
        ({"metrics": ("deletion", "deletion:fill=dataset-mean")}, "listed twice"),
        ({"metrics": ("still-recognised",)}, "another classifier; name it: still-recognised:model"),
        ({"metrics": ("filled-distance:size=128",)}, "an ONNX file; name it"),
        ({"metrics": ("filled-distance:model=a,sise=128",)}, "model a: .* did you mean 'size'"),
    ],
)
def test_unknown_names_and_parameters_are_errors(given: dict[str, Any], problem: str):
    plan = Plan(**{key: tuple(map(parse_entry, words)) for key, words in given.items()})
    with pytest.raises((ValueError, TypeError), match=problem):
        _ = make_explainers(plan, fail_to_load), make_judges(plan)


def test_values_give_the_same_judges_as_names():
    words = ("deletion:step=9", "insertion:fill=black", "abpc", "saliency", "pointing")
    named = make_judges(Plan(metrics=tuple(map(parse_entry, words))))
    values = (
        Deletion(step=9),
        Insertion(fill=Black()),
        ABPC(),
        SaliencyMetric(),
        PointingGame(),
    )
    assert make_judges(Plan(metrics=values)) == named


def test_distance_has_the_same_description_as_a_value_and_by_name(tmp_path: Path):
    path = models.save(make_distance(), tmp_path / "distance.onnx")
    words = f"filled-distance:model={path},range=[0,1],fill=black"
    (named,) = make_judges(Plan(metrics=(parse_entry(words),)), device="cpu")
    distance = runtime.load_distance(path, range=(0, 1), device="cpu")
    (value,) = make_judges(Plan(metrics=(FilledDistance(distance, fill=Black()),)))
    assert value.model == named.model
    assert value.fill == named.fill


def make_distance() -> onnx.ModelProto:
    """Make a graph that computes the mean difference of two images."""
    nodes = [
        onnx.helper.make_node("Sub", ["a", "b"], ["c"]),
        onnx.helper.make_node("ReduceMean", ["c"], ["d"], axes=[1, 2, 3], keepdims=0),
    ]
    image = (onnx.TensorProto.FLOAT, ["N", 3, "H", "W"])
    return models.model(nodes, {"a": image, "b": image}, {"d": (onnx.TensorProto.FLOAT, ["N"])})


@pytest.mark.parametrize(
    ("metric", "error", "problem"),
    [
        (StillRecognised(recognise=lambda images: images), ValueError, "rows cannot name"),
        (FilledDistance(lambda first, second: first), ValueError, "rows cannot name"),
        (Deletion, TypeError, r"as Deletion\(\) or 'deletion'"),
        (3, TypeError, "a metric is a value or a name"),
    ],
)
def test_metric_that_rows_cannot_describe_is_an_error(
    metric: Any, error: type[Exception], problem: str
):
    with pytest.raises(error, match=problem):
        make_judges(Plan(metrics=(metric,)))


def test_metric_that_uses_boxes_needs_an_image_with_a_box(items: list[Item]):
    judges = make_judges(Plan(metrics=(Entry("pointing"),)))
    check_boxes(judges, items)
    without = [Item(item.file, item.path, 1) for item in items]
    check_boxes(judges, [*without, items[0]])
    with pytest.raises(ValueError, match="metric pointing needs boxes"):
        check_boxes(judges, without)
    check_boxes(make_judges(Plan(metrics=(Entry("deletion"),))), without)


def test_judge_with_other_classes_is_an_error_that_names_the_first_difference():
    (judge_by_itself,) = make_judges(Plan(metrics=(Entry("deletion"),)))
    other = judge_by_itself._replace(model={"model": "net.onnx"}, class_names=("cat", "dog"))
    check_same_classes([judge_by_itself, other], ["cat", "dog"])
    with pytest.raises(ValueError, match=r"its class 'dog' is 'bird' in the explained"):
        check_same_classes([other], ["cat", "bird"])
    with pytest.raises(ValueError, match="it has 2 classes, the explained classifier 3"):
        check_same_classes([other], ["cat", "dog", "bird"])
