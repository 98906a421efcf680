"""Plan files of ``onnxplain explain``."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.cli.explain_plan import ExplainPlan, read_explain_plan
from onnxplain.registry import Entry
from tests.cli.conftest import Run, parse_lines


def test_plan_is_followed_and_options_win(run: Run, model: Path, photo: Path):
    Path("plan.toml").write_text(
        'target = ["dog", 0]\nseed = 5\n'
        '[method]\nname = "sp"\npatch = 5\nstride = 2\n'
        '[fill]\nname = "colour"\nrgb = [1, 0, 0]\n'
    )
    words = ("explain", photo, "-m", model, "--plan", "plan.toml", "--json")
    planned = parse_lines(run(*words).stdout)
    assert [explained["target"] for explained in planned] == [1, 0]
    parameters = {"patch": 5, "stride": 2, "align": "center", "share": 0}
    parameters |= {"refine": 1.0, "incremental": False}
    assert planned[0]["parameters"] == parameters
    assert planned[0]["fill_parameters"] == {"rgb": [1, 0, 0]}
    assert planned[0]["seed"] == 5
    (changed,) = parse_lines(run(*words, "--stride", 4, "--seed", 6, "-t", "bird").stdout)
    assert changed["parameters"] == parameters | {"stride": 4}
    assert (changed["seed"], changed["target"]) == (6, 2)
    (other,) = parse_lines(run(*words, "--method", "rise", "--n-masks", 4, "-t", 0).stdout)
    assert (other["method"], other["fill"]) == ("rise", "colour")


def test_missing_plan_is_named_once(run: Run, photo: Path):
    for command in ("explain", "evaluate"):
        result = run(command, photo, "--plan", "none.toml")
        assert result.exit_code == 2
        text = " ".join(result.stderr.split())
        assert "none.toml: not a readable plan: No such file or directory" in text
        assert text.count("none.toml") == 1


def test_parameters_in_a_plan_may_be_one_text(run: Run, model: Path, photo: Path):
    Path("plan.toml").write_text(
        'method = "rise:n_masks=4,p_keep=0.3"\nfill = "colour:rgb=[1, 0, 0]"'
    )
    words = ("explain", photo, "-m", model, "--plan", "plan.toml", "--json")
    (planned,) = parse_lines(run(*words).stdout)
    assert planned["method"] == "rise"
    assert planned["parameters"] == {**planned["parameters"], "n_masks": 4, "p_keep": 0.3}
    assert planned["fill_parameters"] == {"rgb": [1, 0, 0]}


def test_options_with_parameters_in_one_text_add_to_the_plan(run: Run, model: Path, photo: Path):
    Path("plan.toml").write_text('method = "rise:n_masks=4,p_keep=0.3"\nfill = "blur:sigma=2"')
    words = ("explain", photo, "-m", model, "--plan", "plan.toml", "--json")
    options = ("--method", "rise:n_masks=5", "--grid", 4, "--fill", "blur")
    (explained,) = parse_lines(run(*words, *options).stdout)
    assert explained["parameters"] == {
        **explained["parameters"],
        "n_masks": 5,
        "p_keep": 0.3,
        "grid": 4,
    }
    assert explained["fill_parameters"] == {"sigma": 2}
    result = run(*words, "--method", "rise-g")
    assert result.exit_code == 2
    assert "has the fill 'inpaint', but the plan's fill is blur" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ("method = ", "not a readable plan"),
        ('methd = "rise"', "'methd' is unknown; did you mean 'method'?"),
        ("method = 3", "method: takes a name, or a table with a name; got 3"),
        ("[method]\nn_masks = 3", "method: takes a name, or a table with a name"),
        ('[method]\nname = "rise"\nn_mask = 3', "'n_mask' is unknown; did you mean 'n_masks'?"),
        ('[method]\nname = "rise"\nn_masks = "3"', "n_masks takes a whole number, got '3'"),
        ('[fill]\nname = "blur"\nsigma = 0', "blur: sigma must be > 0 and <= 1000, got 0"),
        ('method = "rise:n_masks"', "method: parameters are written key=value"),
        ("target = [0.5]", "target must be an index or a name of a class"),
        ("target = true", "target must be an index or a name of a class"),
        ('seed = "1"', "seed must be an integer"),
        ("seed = true", "seed must be an integer"),
    ],
)
def test_wrong_plans_exit_2(run: Run, model: Path, photo: Path, plan: str, text: str):
    Path("plan.toml").write_text(plan)
    result = run("explain", photo, "-m", model, "--plan", "plan.toml")
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


def test_plan_with_one_target_holds_a_tuple(tmp_path: Path):
    path = tmp_path / "plan.toml"
    path.write_text('target = "cat"\nfill = "blur:sigma=5"')
    assert read_explain_plan(path) == ExplainPlan(
        method=Entry("rise"), fill=Entry("blur", {"sigma": 5}), target=("cat",)
    )
