"""Plans: from words and TOML to methods, fills and metrics."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain
from onnxplain.core.data import Box
from onnxplain.fills import Black, Blur, DatasetMean, FoldedBlur
from onnxplain.metrics import ABPC, METRICS, Deletion, Insertion, SaliencyMetric
from onnxplain.metrics.judging import judge
from onnxplain.registry import Entry, parse_entry
from onnxplain.study.explainers import make_explainers
from onnxplain.study.judges import BY_MODEL, JUDGES, make_judges
from onnxplain.study.plan import Plan, read_plan
from tests.helpers import models
from tests.helpers.nets import Net, curved
from tests.study.conftest import reddish


def no_inpainter() -> Any:
    raise AssertionError("no fill here paints")


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


def test_plan_in_toml_says_what_words_say(tmp_path: Path):
    path = written(
        tmp_path,
        """
        images = "photos"
        annotations = "labels.csv"
        models = ["efficientnet-lite0", { name = "m.onnx", mean = [1, 2, 3] }]
        methods = ["random", "sp:patch=29", { name = "rise", n_masks = 2000 }]
        fills = ["black"]
        metrics = ["localisation", { name = "deletion", fill = { name = "blur", sigma = 5 } }]
        limit = 100
        seed = 1
        held_out = 0.5
        only_correct = false
        """,
    )
    assert read_plan(path) == Plan(
        images="photos",
        annotations="labels.csv",
        models=(Entry("efficientnet-lite0"), Entry("m.onnx", {"mean": (1, 2, 3)})),
        methods=(Entry("random"), parse_entry("sp:patch=29"), parse_entry("rise:n_masks=2000")),
        fills=(parse_entry("black"),),
        metrics=(
            parse_entry("localisation"),
            Entry("deletion", {"fill": {"name": "blur", "sigma": 5}}),
        ),
        limit=100,
        seed=1,
        held_out=0.5,
        only_correct=False,
    )


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("sp", "sp", {}),
        ("sp:patch=29, stride=2", "sp", {"patch": 29, "stride": 2}),
        ("rise:p_keep=0.3", "rise", {"p_keep": 0.3}),
        ("colour:rgb=[1, 0.5, 0]", "colour", {"rgb": (1, 0.5, 0)}),
        ("deletion:ties=random,fill=blur", "deletion", {"ties": "random", "fill": "blur"}),
        ("given:folder=../their/maps", "given", {"folder": "../their/maps"}),
        ("saliency:grid=false", "saliency", {"grid": False}),
        ("models/net.onnx", "models/net.onnx", {}),
        ("C:\\net.onnx", "C:\\net.onnx", {}),
    ],
)
def test_words_are_names_with_parameters(text: str, name: str, parameters: dict[str, Any]):
    assert parse_entry(text) == Entry(name, parameters)


@pytest.mark.parametrize("text", ["sp:patch", "sp:=3", "sp:patch=", "sp:patch=1,,stride=2"])
def test_parameter_without_a_value_is_an_error(text: str):
    with pytest.raises(ValueError, match="key=value"):
        parse_entry(text)


def test_every_method_runs_with_every_fill():
    plan = Plan(
        methods=(parse_entry("sp:patch=9"), parse_entry("mp2"), parse_entry("random")),
        fills=(parse_entry("black"), parse_entry("blur:sigma=3")),
    )
    found = make_explainers(plan, no_inpainter)
    assert [(one.name, one.fill.fill) for one in found] == [
        ("sp", Black()),
        ("sp", Blur(sigma=3)),
        ("mp2", Black()),
        ("mp2", Blur(sigma=3)),
        ("random", DatasetMean()),
    ]
    assert found[0].method == onnxplain.SP(patch=9)
    assert found[1].fill.parameters == {"sigma": 3}


def test_without_fills_each_method_has_its_papers():
    found = make_explainers(Plan(methods=(parse_entry("sp"), parse_entry("mp2"))), no_inpainter)
    assert [one.fill.name for one in found] == ["dataset-mean", "blur"]


class Painter:
    """An inpainter that changes nothing."""

    batch_size = 1
    provenance = {"inpainter": "painter.onnx", "sha256": "abc"}  # noqa: RUF012

    def inpaint(self, images, masks):
        return images


def test_a_metric_takes_the_inpainter_as_its_fill():
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
    owner = [inspect.getclosurevars(one.metric.recognise).nonlocals for one in (first, second)]
    assert owner[0]["classifier"] is owner[1]["classifier"]
    assert first.model == second.model
    assert first.model["model"] == "net.onnx"
    assert first.fill != second.fill


def test_what_paints_in_generative_methods_is_in_the_key():
    plan = Plan(
        methods=(parse_entry("sp-g"), parse_entry("lime"), parse_entry("fido-ca")),
        fills=(parse_entry("inpaint"), parse_entry("black")),
    )
    found = make_explainers(plan, Painter)
    assert [one.name for one in found] == ["sp-g", "lime-g", "lime", "fido-ca"]
    assert found[0].fill.parameters == {"inpainter": "painter.onnx", "sha256": "abc"}


def test_what_is_said_of_the_inpainter_is_in_the_key():
    painter = Painter()
    painter.provenance = {**Painter.provenance, "described": {"hole": 0.0}}
    (found,) = make_explainers(Plan(methods=(parse_entry("sp-g"),)), lambda: painter)
    assert found.fill.parameters == {**Painter.provenance, "described": {"hole": 0.0}}


def test_metrics_have_their_papers_fills_unless_told():
    words = ("deletion", "insertion", "abpc", "saliency", "deletion:fill=black,step=9")
    found = make_judges(Plan(metrics=tuple(map(parse_entry, words))))
    deletion, insertion, abpc, saliency, black = (one.metric for one in found)
    assert deletion == Deletion(fill=DatasetMean())
    assert insertion == Insertion(fill=FoldedBlur())
    assert isinstance(abpc, ABPC)
    assert found[2].fill is not None
    assert found[2].fill.name == "uniform-noise"
    assert (saliency, found[3].fill) == (SaliencyMetric(), None)
    assert black == Deletion(step=9, fill=Black())


@pytest.mark.parametrize("name", sorted(JUDGES.keys() - BY_MODEL.keys()))
def test_a_metric_takes_the_same_fill_in_a_study_and_alone(name: str):
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


@pytest.mark.parametrize("name", sorted(JUDGES.keys() - BY_MODEL.keys()))
def test_every_metric_can_be_asked_for_by_name(name: str):
    (found,) = make_judges(Plan(metrics=(Entry(name),)))
    assert type(found.metric) is METRICS[name]


def test_metrics_that_look_at_boxes_are_those_that_miss_them(net: Net):
    missing = set()
    for name in JUDGES.keys() - BY_MODEL.keys():
        (one,) = make_judges(Plan(metrics=(Entry(name),)))
        try:
            judge(one.metric, net, reddish(0), np.ones((16, 16)), 1)
        except ValueError as error:
            assert "needs a box" in str(error)  # noqa: PT017
            missing.add(name)
    looking = {name for name, metric in JUDGES.items() if metric.looks_at_boxes}
    assert missing | BY_MODEL.keys() == looking


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"methods": ("lyme",)}, "did you mean 'lime"),
        ({"methods": ("sp:pach=3",)}, "did you mean 'patch'"),
        ({"methods": ("sp:patch=0",)}, "patch must be >= 1"),
        ({"methods": ("sp", "sp")}, "asked for twice"),
        ({"methods": ("sp", "sp-g"), "fills": ("blurr",)}, "did you mean 'blur'"),
        ({"metrics": ("delation",)}, "did you mean 'deletion'"),
        ({"metrics": ("deletion:stp=3",)}, "did you mean 'step'"),
        ({"metrics": ("saliency:fill=black",)}, "takes no fill"),
        ({"metrics": ("deletion:fill=inpaint",)}, "needs an inpainter"),
        ({"metrics": ("deletion", "deletion:fill=dataset-mean")}, "asked for twice"),
        ({"metrics": ("still-recognised",)}, "another classifier; name it: still-recognised:model"),
        ({"metrics": ("filled-distance:size=128",)}, "an ONNX file; name it"),
        ({"metrics": ("filled-distance:model=a,sise=128",)}, "model a: .* did you mean 'size'"),
    ],
)
def test_what_does_not_exist_is_an_error(given: dict[str, Any], problem: str):
    plan = Plan(**{key: tuple(map(parse_entry, words)) for key, words in given.items()})
    with pytest.raises((ValueError, TypeError), match=problem):
        _ = make_explainers(plan, no_inpainter), make_judges(plan)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("methods = 3", "methods cannot be 3"),
        ("methods = [3]", "takes a name, or a table with a name; got 3"),
        ("methods = []", "methods is empty"),
        ("metods = []", "did you mean 'methods'"),
        ("seed = true", "seed cannot be True"),
        ("seed = -1", "seed must be >= 0"),
        ("limit = 0", "limit must be >= 1"),
        ("held_out = 1.0", "held_out must be >= 0 and < 1"),
        ("=", "not a readable plan"),
    ],
)
def test_plan_that_says_what_a_plan_cannot_is_an_error(tmp_path: Path, text: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        read_plan(written(tmp_path, text))
