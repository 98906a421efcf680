"""``onnxplain explain`` on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from numpy.testing import assert_allclose

import onnxplain
from onnxplain.image import read_image
from onnxplain.registry import FILLS, METHODS
from tests.cli.conftest import SIZE, Run, parse_lines
from tests.helpers.transformers import make_net_for


def test_photo_is_explained_in_one_command(run: Run, model: Path, photo: Path, folder: Path):
    result = run("explain", photo, "-m", model, "--method", "sp", "--patch", 4)
    assert result.exit_code == 0
    assert result.stderr.startswith("tiny.onnx on cpu (CPUExecutionProvider), batches of ")
    assert result.stderr.splitlines()[1:] == ["explanations: 1 x .png, .npz and .json"]
    assert result.stdout.startswith(f"{photo}: ")
    suffixes = sorted(path.suffix for path in (folder / "explanations").iterdir())
    assert suffixes == [".json", ".npz", ".png"]


def test_files_hold_what_python_computes(run: Run, model: Path, photo: Path):
    (explained,) = parse_lines(
        run(
            *("explain", photo, "-m", model, "--json", "--method", "lime", "--n-samples", 40),
            *("--fill", "blur", "--fill-sigma", 2.5, "--seed", 3, "--target", "dog"),
        ).stdout
    )
    written = onnxplain.load_explanation(explained["heatmap"])
    computed = onnxplain.explain(
        onnxplain.load(model),
        photo,
        onnxplain.LIME(n_samples=40),
        fill=onnxplain.Blur(sigma=2.5),
        seed=3,
        target="dog",
    )
    assert_allclose(written.heatmap, computed.heatmap, atol=1e-6)
    assert_allclose(written.full_heatmap, computed.full_heatmap, atol=1e-6)
    assert written.full_heatmap.shape == (20, 30)
    assert written.provenance["classifier"]["sha256"]
    assert written.provenance["preprocessing"]["range"] == [0, 1]
    assert json.loads(Path(explained["record"]).read_text()) == written.record()


# Parameters that make a method quick; others run at their defaults.
FEW = {
    "fido": ("--n-steps", 3, "--grid", 8),
    "banzhaf": ("--grid", 4, "--n-replicates", 1),
    "kernel-shap": ("--grid", 4, "--n-replicates", 1),
    "lime": ("--n-samples", 9),
    "mp": ("--n-steps", 3, "--grid", 8),
    "mp2": ("--grid", 4),
    "pattern-attribution": ("--estimator", "filter"),
    "pattern-net": ("--estimator", "filter"),
    "rise": ("--n-masks", 9),
    "sp": ("--patch", 8),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_from_the_shell(run: Run, model: Path, photo: Path, method: str):
    onnx.save(make_net_for(method, SIZE, classes=3), model)
    result = run("explain", photo, "-m", model, "--method", method, *FEW.get(method, ()), "--json")
    assert result.exit_code == 0, result.stderr
    assert parse_lines(result.stdout)[0]["method"] == method


def test_methods_of_layers_record_what_they_looked_at(run: Run, convnet: Path, photo: Path):
    words = ("explain", photo, "-m", convnet, "--method", "grad-cam", "--json")
    (explained,) = parse_lines(run(*words, "--layer", "stage:1", "--score", "log-odds").stdout)
    record = json.loads(Path(explained["record"]).read_text())
    assert record["fill"] == "none"
    assert record["details"]["layers"] == [{"tensor": "r1", "shape": [4, 16, 16], "is_cut": True}]
    assert (record["details"]["score"], record["details"]["backwards"]) == ("log-odds", 1)
    result = run(*words, "--layer", "r3")
    assert result.exit_code == 1
    assert "no layer 'r3' between image and scores; the nearest names are 'r" in result.stderr
    result = run(*words, "--fill", "blur")
    assert result.exit_code == 2
    assert "grad-cam removes nothing, so it takes no fill, got blur" in result.stderr


def test_gradients_are_used_if_a_method_prefers_them(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--method", "mp", *FEW["mp"], "--json")
    (explained,) = parse_lines(run(*words).stdout)
    assert explained["parameters"]["estimator"] == "gradient"
    assert explained["evaluations"] == 3
    (other,) = parse_lines(run(*words, "--estimator", "spsa", "--n-pairs", 2).stdout)
    assert other["parameters"]["estimator"] == "spsa"
    assert other["evaluations"] == 3 * 2 * 2


@pytest.mark.parametrize("fill", sorted(set(FILLS) - {"inpaint"}))
def test_every_fill_runs_from_the_shell(run: Run, model: Path, photo: Path, fill: str):
    words = ("--method", "sp", "--patch", 8, "--stride", 4, "--fill", fill, "--json")
    result = run("explain", photo, "-m", model, *words)
    assert result.exit_code == 0, result.stderr
    assert parse_lines(result.stdout)[0]["fill"] == fill


USAGE = [
    (("--method", "rize"), "method 'rize' is unknown; did you mean 'rise'?"),
    (("--method", "sp", "--method", "rise"), "explain takes one --method, got 2; run it once"),
    (("--fill", "blur", "--fill=black"), "explain takes one --fill, got 2"),
    (("-m", "other.onnx"), "explain takes one --model, got 2"),
    (("--fill", "blurr"), "fill 'blurr' is unknown; did you mean 'blur'?"),
    (("-t", "kity"), "target 'kity' is unknown; did you mean 'kitty'?"),
    (("-t", "7"), "target must be a class from 0 to 2, got 7"),
    (("-t", "top-9"), "target top-N must ask for 1 to 3 classes, got 9"),
    (("--n-masks", "0"), "rise: n_masks must be >= 1, got 0"),
    (("--n-masks", "many"), "'many' is not a valid integer"),
    (("--p-keep", "nan"), "rise: p_keep must be > 0 and < 1, got nan"),
    (("--stride", "2"), "method rise takes no --stride, which belongs to sp"),
    (("--fill-sigma", "2"), "fill dataset-mean takes no --fill-sigma, which belongs to"),
    (("--method", "sp", "--patch", "17"), "sp: patch must fit in the image of 16 x 16"),
    (("--method", "lime", "--distance", "l3"), "distance 'l3' is unknown; choose from cosine, l2"),
    (("--n-mask", "4"), "No such option '--n-mask'. (Did you mean"),
    (("--method", "sp-g", "--fill", "blur"), "has the fill 'inpaint', but --fill is blur"),
    (("--inpainter", "x.onnx"), "--inpainter and the --inpainter- options need a -g method"),
    (
        ("--inpainter-preset", "lama"),
        "--inpainter and the --inpainter- options need a -g method",
    ),
    (("--seed", "-1"), "seed must be >= 0, got -1"),
    (("--device", "gpu"), "device is auto, cpu, cuda or cuda:N, got 'gpu'"),
    (("--batch-size", "0"), "batch_size must be >= 1, got 0"),
    (("--mean", "a,b"), "'a,b' is neither a number nor numbers separated by commas"),
    (("--size", "12by12"), "'12by12' is not a size"),
    (("--preprocessing", "torch"), "preprocessing: 'torch' is unknown; did you mean"),
    (("--layout", "nwhc"), "'nwhc' is not one of"),
    (("--max-pixels", "0"), "0 is not in the range x>=1"),
    (("--plan", "none.toml"), "none.toml: not a readable plan"),
]


QUESTIONS = (("-t", "kity"), ("-t", "7"), ("--method", "sp", "--patch", "17"), ("--seed", "-1"))


@pytest.mark.parametrize("words", [*QUESTIONS, ("--method", "sp-g", "-t", "kity")])
def test_wrong_questions_are_refused_before_a_model_runs(
    run: Run, model: Path, photo: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    def start(*_: object, **__: object) -> None:
        raise AssertionError("a session was opened")

    monkeypatch.setattr("onnxruntime.InferenceSession", start)
    assert run("explain", photo, "-m", model, *words).exit_code == 2


@pytest.mark.parametrize(("words", "text"), USAGE, ids=lambda value: str(value)[:40])
def test_wrong_command_lines_exit_2_and_write_nothing(
    run: Run, model: Path, photo: Path, words: tuple[str, ...], text: str
):
    result = run("explain", photo, "-m", model, *words)
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert not any(Path().glob("explanations/*"))


def test_no_image_is_a_usage_error(run: Run):
    assert run("explain").exit_code == 2


def test_output_that_cannot_be_written_is_an_error_before_the_work(
    run: Run, photo: Path, folder: Path
):
    (folder / "file").touch()
    for place in ("file", "file/deeper", "/proc/none"):
        result = run("explain", photo, "-m", "not-even-looked-for.onnx", "-o", place)
        assert result.exit_code == 1
        assert result.stderr == f"Error: {result.stderr[7:]}"
        assert f"{place}: cannot be written" in result.stderr


def test_help_lists_the_registry(run: Run):
    shown = " ".join(run("explain", "--help").stdout.split())
    for name in (*METHODS, *(set(FILLS) - {"inpaint"})):
        assert name in shown.replace("- ", "-")


def test_figures_take_style_colours_and_size(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--method", "sp:patch=4", "--json")
    (made,) = parse_lines(run(*words, "--figure-style", "panel", "--figure-size", 256).stdout)
    assert read_image(made["overlay"]).shape[1] == 3 * 256 + 2 * 14 + 2 * 20
    wanted = ("--figure-size", 700, "--figure-style", "map", "--figure-colormap", "viridis")
    (made,) = parse_lines(run(*words, *wanted).stdout)
    assert read_image(made["overlay"]).shape[1] == 700 + 2 * 20
    wrong = run(*words, "--figure-alpha", 2)
    assert wrong.exit_code == 2
    assert "alpha must be >= 0 and <= 1, got 2" in wrong.stderr


@pytest.mark.parametrize("command", ["explain", "evaluate"])
def test_workers_without_a_cluster_are_refused_before_the_model_is_looked_for(
    run: Run, photos: Path, command: str
):
    result = run(command, photos, "-m", "none.onnx", "--ray-workers", 2, "--ray-cores", 1)
    assert result.exit_code == 2
    assert "--ray-workers, --ray-cores is for work on a cluster; add --ray" in result.stderr


@pytest.mark.parametrize("command", ["explain", "evaluate"])
def test_model_that_cannot_be_read_leaves_no_folder(
    run: Run, photos: Path, folder: Path, command: str
):
    (folder / "broken.onnx").write_bytes(b"no model")
    result = run(command, photos, "-m", "broken.onnx", "-o", "deep/results")
    assert result.exit_code == 1
    assert not (folder / "deep").exists()
