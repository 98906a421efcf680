"""The help of methods, fills and metrics, and ``onnxplain help``."""

from __future__ import annotations

import re

import pytest

from onnxplain.cli.topics import find_papers, summarise
from onnxplain.core.params import list_parameters
from onnxplain.metrics.naming import NAMED_METRICS
from onnxplain.registry import GENERATIVE, get_fills, get_methods
from tests.cli.conftest import Run


def join(text: str) -> str:
    return " ".join(text.split())


def test_help_of_a_method_has_its_parameters_ranges_costs_and_paper(run: Run):
    shown = join(run("help", "rise").stdout)
    assert "Petsiuk, Das & Saenko, BMVC 2018" in shown
    assert "evaluations per image: 4,000 " in shown
    assert "Fill dataset-mean, or any other --fill; rise-g is this method with" in shown
    assert "--p-keep X Probability that a cell is kept. [default: 0.5; > 0 and < 1]" in shown
    assert "--normalise coverage|expectation" in shown
    assert "--patch" not in shown


def test_method_in_front_of_help_shows_the_same(run: Run):
    wanted = run("help", "lime").stdout
    for words in (("--method", "lime", "-h"), ("--help", "--method", "lime:alpha=1")):
        assert run("explain", *words).stdout == wanted
    shown = run("evaluate", "--method", "lime", "--method", "sp", "--help").stdout
    assert wanted.strip() in shown
    assert "--stride" in shown
    assert run("explain", "--fill", "blur", "--help").stdout == run("help", "blur").stdout


def test_unknown_name_in_front_of_help_is_a_usage_error(run: Run):
    result = run("explain", "--method", "rize", "--help")
    assert result.exit_code == 2
    assert "did you mean 'rise'" in result.stderr


@pytest.mark.parametrize("name", [*get_methods(), *GENERATIVE])
def test_every_method_has_help_with_all_its_parameters(name: str, run: Run):
    cls = get_methods()[GENERATIVE.get(name, (name,))[0]]
    shown = run("help", name).stdout
    assert shown.strip().startswith(f"{name}: ")
    flags = [f"--{declared.name.replace('_', '-')}" for declared in list_parameters(cls)]
    assert all(flag in shown for flag in flags)
    assert "Cost " in shown
    assert not {"`", "]_"}.intersection(shown)


@pytest.mark.parametrize("name", [*get_fills(), *NAMED_METRICS])
def test_every_fill_and_metric_has_help(name: str, run: Run):
    shown = run("help", name).stdout
    assert shown.strip().startswith(f"{name}: ")


def test_help_of_a_metric_has_the_fill_of_its_paper_and_its_model(run: Run):
    for metric, fill in (("deletion", "dataset-mean"), ("morf", "uniform-noise")):
        shown = join(run("help", metric).stdout)
        assert f"fill=NAME What stands in for removed pixels; {fill} if not given." in shown
    shown = join(run("help", "still-recognised").stdout)
    assert "model=NAME Another classifier: an ONNX file or a name in the zoo." in shown
    assert "fill=NAME What stands in for removed pixels; that of the method if not given." in shown
    assert "fill=NAME" not in run("help", "pointing").stdout


def test_costs_are_those_that_runs_count(run: Run):
    """SP's is a closed form: 66 x 66 places of a patch of 29 by steps of 3, and the image."""
    places = (224 - 29) // 3 + 1
    assert f"{places**2 + 1:,} (224 x 224 pixels)" in run("help", "sp").stdout
    assert "evaluations and gradients per image: 1\n" in run("help", "grad-cam").stdout
    assert "at most 393 with gradients, at most" in run("help", "mp2").stdout


def test_papers_are_those_of_the_class():
    assert find_papers(get_methods()["sp"]) == [
        "Sliding patch, or occlusion (Zeiler & Fergus, ECCV 2014)."
    ]
    (paper,) = find_papers(get_methods()["layer-cam"])
    assert paper.startswith("Jiang, Zhang, Hou, Cheng & Wei, LayerCAM")
    assert paper.endswith("doi:10.1109/TIP.2021.3089943")


def test_summary_has_no_markup():
    assert summarise(get_methods()["smoothgrad"]) == "Mean gradient of noisy copies of the image."


def test_every_summary_is_one_sentence():
    for classes in (get_methods(), get_fills(), NAMED_METRICS):
        for cls in classes.values():
            assert re.search(r"[\w)\]]\.$", summarise(cls)), cls


def test_help_shows_commands_and_groups_and_suggests(run: Run):
    assert run("help").stdout == run("--help").stdout
    assert run("help", "compare").stdout == run("compare", "--help").stdout
    assert "--inpainter-pack" in run("help", "inpainter").stdout
    assert "--std" in run("help", "model").stdout
    result = run("help", "inpanter")
    assert result.exit_code == 2
    assert "did you mean 'inpainter'" in result.stderr


@pytest.mark.parametrize(
    ("topic", "classes"),
    [("methods", get_methods()), ("fills", get_fills()), ("metrics", NAMED_METRICS)],
)
def test_lists_tell_all_of_the_first_sentence_of_each(topic: str, classes, run: Run):
    shown = join(run("help", topic).stdout)
    assert all(f" {name} {summarise(cls)}" in shown for name, cls in classes.items())


def test_explain_lists_methods_with_whole_sentences(run: Run):
    rows = [line.split(maxsplit=1) for line in run("explain", "--help").stdout.splitlines()]
    assert all([name, summarise(cls)] in rows for name, cls in get_methods().items())


def test_commands_are_listed_with_whole_sentences(run: Run):
    shown = run("help").stdout
    assert "..." not in shown.split("Commands:")[1]
    assert "SSIM, correlation of HOG features, rank correlation." in join(shown)
