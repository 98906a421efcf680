"""The options that say which model runs and what it takes."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import onnx
import pytest

import onnxplain
from onnxplain.cli import explain
from onnxplain.cli.models import check_output_is_not_model, parse_crop, parse_numbers, parse_size
from onnxplain.describe.normalisation import NORMALISATION_PRESETS
from tests.cli.conftest import Run, parse_lines
from tests.helpers import models


def test_model_options_reach_the_model(run: Run, folder: Path, photo: Path, own_cache: None):
    onnx.save(models.additive(models.weights((16, 16)), colour="bgr"), "plain.onnx")
    Path("names.txt").write_text("one\ntwo\nthree\n")
    words = ("--range", "0,1", "--color", "bgr", "--labels", "names.txt", "--fit", "stretch")
    result = run("explain", photo, "-m", "plain.onnx", *words, "--n-masks", 3, "--json")
    (explained,) = parse_lines(result.stdout)
    assert explained["target_name"] in ("one", "two", "three")
    preprocessing = json.loads(Path(str(explained["record"])).read_text())["provenance"][
        "preprocessing"
    ]
    assert (preprocessing["colour"], preprocessing["fit"]) == ("bgr", "stretch")
    assert preprocessing["sources"]["range"] == "flag --range"


def test_batch_size_reaches_the_model(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--n-masks", 3, "--json", "--batch-size", 3)
    (explained,) = parse_lines(run(*words).stdout)
    record = json.loads(Path(str(explained["record"])).read_text())
    assert record["provenance"]["classifier"]["batch_size"] == 3


BAD_MODELS = {
    "missing.onnx": "no such file",
    "empty.onnx": "is empty",
    "cut.onnx": "cut.onnx",
    "text.onnx": "text.onnx",
    "segmenter.onnx": "no classifier",
    "text_model.onnx": "no image classifier",
    "undescribed.onnx": "pass --preprocessing",
    "without_data.onnx": "its external data 'weights.bin' is missing",
    "linked_data.onnx": "its external data 'linked.bin' is a link",
    "bomb.onnx": "makes a tensor of 2147483648 elements",
    ".": "holds several ONNX files",
}


def write_bad_models(folder: Path) -> None:
    """Write files that are not models, and models that are not classifiers."""
    folder.mkdir()
    good = models.additive(models.weights((16, 16))).SerializeToString()
    (folder / "empty.onnx").touch()
    (folder / "cut.onnx").write_bytes(good[: len(good) // 2])
    (folder / "text.onnx").write_text("this is not a model")
    onnx.save(models.segmenter(), folder / "segmenter.onnx")
    onnx.save(models.text_model(), folder / "text_model.onnx")
    onnx.save(models.additive(models.weights((16, 16))), folder / "undescribed.onnx")
    save_external(folder / "without_data.onnx", "weights.bin")
    (folder / "weights.bin").unlink()
    save_external(folder / "linked_data.onnx", "linked.bin")
    (folder / "linked.bin").rename(folder.parent / "elsewhere.bin")
    (folder / "linked.bin").symlink_to(folder.parent / "elsewhere.bin")
    bomb = models.convnet((16, 16))
    bomb.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([2**31], np.int64), "shape")
    )
    bomb.graph.node.insert(0, onnx.helper.make_node("ConstantOfShape", ["shape"], ["large"]))
    onnx.save(bomb, folder / "bomb.onnx")


def save_external(path: Path, location: str) -> None:
    network = models.convnet((16, 16))
    onnx.save_model(network, path, save_as_external_data=True, location=location, size_threshold=64)


@pytest.mark.parametrize("name", BAD_MODELS)
@pytest.mark.parametrize("command", ["explain", "inspect"])
@pytest.mark.usefixtures("own_cache")
def test_bad_models_exit_1_with_one_message(
    run: Run, photo: Path, folder: Path, name: str, command: str
):
    write_bad_models(folder / "models")
    path = folder / "models" / name
    words = (photo, "-m", path) if command == "explain" else (path,)
    result = run(command, *words)
    assert result.exit_code == 1
    # A file that can be read is described, whatever is missing.
    described = command == "inspect" and result.stdout.startswith(f"{name}  sha256 ")
    assert described or result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert BAD_MODELS[name] in result.stderr
    assert not any(Path().glob("explanations/*"))


def test_infinite_scores_are_an_error_of_each_image(
    run: Run, folder: Path, photo: Path, own_cache: None
):
    onnx.save(models.constant((16, 16), [float("inf"), 0.0]), "inf.onnx")
    result = run("explain", photo, "-m", "inf.onnx", "--range", "0,1", "--n-masks", 4)
    assert result.exit_code == 1
    assert "infinite scores" in result.stderr
    assert not any(Path().glob("explanations/*"))


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (("--method", "mp2", "--gain", "propose"), "mp2 with gain=difference"),
        (("--method", "mp", "--estimator", "gradient"), "mp with estimator=spsa"),
        (("--method", "fido", "--estimator", "gradient"), "fido with estimator=score-function"),
    ],
)
def test_error_of_a_model_without_gradients_names_the_node_and_an_alternative(
    run: Run, folder: Path, photo: Path, own_cache: None, words: tuple[str, ...], instead: str
):
    network = models.convnet((16, 16))
    network.graph.node[1].op_type, network.graph.node[1].name = "Shrink", "no-slope"
    models.save(network, folder / "shrink.onnx")
    result = run("explain", photo, "-m", "shrink.onnx", "--range", "0,1", "--quiet", *words)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "no-slope" in line
    assert instead in line


def test_misspelt_zoo_name_gets_a_suggestion(run: Run, photo: Path):
    result = run("explain", photo, "-m", "efficientnet-lite")
    assert result.exit_code == 1
    assert "did you mean 'efficientnet-lite" in result.stderr


def test_help_and_docs_list_all_presets():
    (option,) = (param for param in explain.command.params if param.name == "model_preprocessing")
    assert isinstance(option, click.Option)
    for name in NORMALISATION_PRESETS:
        assert name in str(option.help)
        assert f"``{name}``" in str(onnxplain.load.__doc__)


def test_numbers_and_sizes_are_parsed():
    assert parse_numbers("1") == (1.0,)
    assert parse_numbers("0.5,-1,2e3") == (0.5, -1.0, 2000.0)
    assert parse_size("224") == 224
    assert parse_size("240x320") == (240, 320)
    assert parse_crop("224") == 224
    assert parse_crop("240x320") == (240, 320)
    assert parse_crop("0.875") == 0.875


@pytest.mark.parametrize("text", ["", "1,", "a", "1;2"])
def test_text_that_is_not_numbers_is_an_error(text: str):
    with pytest.raises(click.BadParameter, match="is neither a number nor numbers separated by"):
        parse_numbers(text)


@pytest.mark.parametrize("text", ["", "x", "1x2x3", "1.5", "2 by 3"])
def test_text_that_is_not_a_size_is_an_error(text: str):
    with pytest.raises(click.BadParameter, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "x", "0.5x2", "87 %"])
def test_text_that_is_neither_size_nor_share_is_an_error(text: str):
    with pytest.raises(click.BadParameter, match=r"neither a size, such as .* nor a share"):
        parse_crop(text)


def test_resize_and_crop_are_options_that_the_written_spec_keeps(
    run: Run, folder: Path, photo: Path, own_cache: None
):
    """The paper's own Resize((256, 256)) and CenterCrop, at 20 and 16 pixels."""
    onnx.save(models.additive(models.weights((16, 16))), "plain.onnx")
    words = ("--range", "0,1", "--resize", "20x20", "--crop", "16", "--border", "114")
    run("inspect", "plain.onnx", *words, "--interpolation", "hamming", "--write-spec", "plain.toml")
    written = Path("plain.toml").read_text()
    for line in ('fit = "stretch"', "resize = [20, 20]", "border = [114, 114, 114]"):
        assert line in written
    result = run("explain", photo, "-m", "plain.onnx", "--n-masks", 3, "--json")
    (explained,) = parse_lines(result.stdout)
    record = json.loads(Path(str(explained["record"])).read_text())
    preprocessing = record["provenance"]["preprocessing"]
    assert (preprocessing["fit"], preprocessing["resize"]) == ("stretch", [20, 20])
    rows, columns = record["provenance"]["image_size"]
    assert record["window"] == {  # 2 of 20 pixels are cut off each side
        "top": rows * 0.1,
        "left": columns * 0.1,
        "bottom": pytest.approx(rows * 0.9),
        "right": pytest.approx(columns * 0.9),
    }
    failed = run("explain", photo, "-m", "plain.onnx", "--resize", 20, "--crop", "0.8")
    assert failed.exit_code == 1
    assert "resize = 20 (flag --resize) contradicts crop = 0.8" in failed.stderr


def test_output_must_not_be_the_model_under_any_name(tmp_path: Path):
    model, link = tmp_path / "net.onnx", tmp_path / "link.onnx"
    model.write_text("net")
    link.symlink_to(model)
    check_output_is_not_model(model, tmp_path / "new.onnx")
    for output in (model, link):
        with pytest.raises(ValueError, match="is the model itself"):
            check_output_is_not_model(model, output)
