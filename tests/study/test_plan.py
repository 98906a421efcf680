"""Plans: from words, TOML and values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import onnxplain
from onnxplain.metrics import Deletion
from onnxplain.registry import Entry, parse_entry
from onnxplain.study.plan import Plan, make_plan, read_plan
from tests.helpers.nets import Net


def write_plan(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


def test_plan_in_toml_equals_the_plan_of_values(tmp_path: Path):
    path = write_plan(
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
def test_text_is_a_name_with_parameters(text: str, name: str, parameters: dict[str, Any]):
    assert parse_entry(text) == Entry(name, parameters)


@pytest.mark.parametrize("text", ["sp:patch", "sp:=3", "sp:patch=", "sp:patch=1,,stride=2"])
def test_parameter_without_a_value_is_an_error(text: str):
    with pytest.raises(ValueError, match="key=value"):
        parse_entry(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("methods = 3", "methods takes names, got 3"),
        ("methods = [3]", "takes a name, or a table with a name; got 3"),
        ("methods = []", "methods is empty"),
        ("metods = []", "did you mean 'methods'"),
        ("seed = true", "seed takes a whole number, got True"),
        ("seed = -1", "seed must be >= 0"),
        ("limit = 0", "limit must be >= 1"),
        ("held_out = 1.0", "held_out must be >= 0 and < 1"),
        ("=", "not a readable plan"),
    ],
)
def test_impossible_plan_is_an_error(tmp_path: Path, text: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        read_plan(write_plan(tmp_path, text))


def test_a_single_name_needs_no_list(tmp_path: Path):
    text = 'methods = "sp:patch=9"\nmetrics = "deletion"\nfills = { name = "blur", sigma = 5 }'
    lists = re.sub(r"^(\w+) = (.*)", r"\1 = [\2]", text, flags=re.MULTILINE)
    assert read_plan(write_plan(tmp_path, text)) == read_plan(write_plan(tmp_path, lists))
    assert read_plan(write_plan(tmp_path, text)).fills == (Entry("blur", {"sigma": 5}),)


def test_names_values_and_single_ones_become_tuples():
    plan = make_plan(
        None,
        {
            "models": Path("net.onnx"),
            "methods": ["sp:patch=9", onnxplain.RISE(n_masks=5), Entry("random")],
            "fills": {"name": "blur", "sigma": 5},
            "metrics": Deletion(step=9),
            "images": Path("photos"),
            "seed": None,
        },
    )
    assert plan == Plan(
        images="photos",
        models=(Entry("net.onnx"),),
        methods=(Entry("sp", {"patch": 9}), onnxplain.RISE(n_masks=5), Entry("random")),
        fills=(Entry("blur", {"sigma": 5}),),
        metrics=(Deletion(step=9),),
    )


def test_arguments_win_over_the_plan(tmp_path: Path):
    path = write_plan(tmp_path, 'images = "photos"\nseed = 4\nmethods = ["sp"]\nlimit = 9')
    arguments = {"seed": 0, "methods": ["lime"], "limit": None, "only_correct": False}
    expected = Plan(images="photos", seed=0, methods=(Entry("lime"),), limit=9, only_correct=False)
    assert make_plan(path, arguments) == make_plan(read_plan(path), arguments) == expected


def test_loaded_classifier_is_one_model(net: Net):
    assert make_plan(None, {"models": net}).models == (net,)
    assert make_plan(None, {"models": [net, "a.onnx"]}).models == (net, Entry("a.onnx"))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"methods": []}, "methods is empty"),
        ({"methods": "sp:patch"}, "key=value"),
        ({"held_out": 1.0}, "held_out must be"),
        ({"metrics": [{"step": 3}]}, "takes a name, or a table with a name"),
    ],
)
def test_impossible_arguments_are_errors(fields: dict[str, Any], problem: str):
    with pytest.raises(ValueError, match=problem):
        make_plan(None, fields)


@pytest.mark.parametrize("text", ["limit = 1e400", f"methods = {100_000 * '['}", "#" * (5 << 20)])
def test_plan_beyond_the_bounds_is_an_error_that_names_the_file(tmp_path: Path, text: str):
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(ValueError, match=r"plan\.toml: not a readable plan"):
        read_plan(tmp_path / "plan.toml")
