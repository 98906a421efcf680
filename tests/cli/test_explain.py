"""``onnxplain explain`` on a small model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import onnx
import PIL.Image
import pytest
from numpy.testing import assert_allclose

import onnxplain
from onnxplain.cli import explain
from onnxplain.cli.reporting import Interrupted, format_failure, report_errors
from onnxplain.describe.normalisation import PRESETS
from onnxplain.registry import FILLS, METHODS
from tests.cli.conftest import ENVIRONMENT, Run
from tests.helpers import models, painters

KEYS = [
    "image",
    "target",
    "target_name",
    "score",
    "method",
    "parameters",
    "fill",
    "fill_parameters",
    "seed",
    "heatmap",
    "overlay",
    "record",
    "evaluations",
    "seconds",
    "inpaints",
    "inpaint_seconds",
    "inpaint_share",
    "model",
    "provider",
]


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_photo_is_explained_in_one_command(run: Run, model: Path, photo: Path, folder: Path):
    result = run("explain", photo, "-m", model, "--method", "sp", "--patch", 4)
    assert result.exit_code == 0
    assert result.stderr.startswith("tiny.onnx on cpu (CPUExecutionProvider), batches of ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout.startswith(f"{photo}: ")
    made = sorted(path.suffix for path in (folder / "explanations").iterdir())
    assert made == [".json", ".npz", ".png"]


def test_json_has_these_keys_and_the_files_are_there(run: Run, model: Path, photo: Path):
    result = run(
        "explain", photo, "-m", model, "--json", "--n-masks", 9, "-t", "kitty", "--seed", 2
    )
    (one,) = objects(result.stdout)
    assert list(one) == KEYS
    assert one["image"] == str(photo)
    assert (one["target"], one["target_name"]) == (0, "cat, kitty")
    assert (one["method"], one["evaluations"], one["seed"]) == ("rise", 9, 2)
    assert one["provider"] == "CPUExecutionProvider"
    assert one["parameters"]["n_masks"] == 9
    assert all(Path(one[key]).is_file() for key in ("heatmap", "overlay", "record"))


def test_files_hold_what_python_computes(run: Run, model: Path, photo: Path):
    (one,) = objects(
        run(
            *("explain", photo, "-m", model, "--json", "--method", "lime", "--n-samples", 40),
            *("--fill", "blur", "--fill-sigma", 2.5, "--seed", 3, "--target", "dog"),
        ).stdout
    )
    written = onnxplain.load_explanation(one["heatmap"])
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
    assert json.loads(Path(one["record"]).read_text()) == written.record()


# What makes each method quick.
FEW = {
    "fido": ("--n-steps", 3, "--grid", 8),
    "lime": ("--n-samples", 9),
    "mp": ("--n-steps", 3, "--grid", 8),
    "mp2": ("--grid", 4),
    "rise": ("--n-masks", 9),
    "sp": ("--patch", 8),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_from_the_shell(run: Run, model: Path, photo: Path, method: str):
    result = run("explain", photo, "-m", model, "--method", method, *FEW[method], "--json")
    assert result.exit_code == 0, result.stderr
    assert objects(result.stdout)[0]["method"] == method


def test_gradients_are_used_where_a_method_likes_them(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--method", "mp", *FEW["mp"], "--json")
    (one,) = objects(run(*words).stdout)
    assert one["parameters"]["estimator"] == "gradient"
    assert one["evaluations"] == 3
    (other,) = objects(run(*words, "--estimator", "spsa", "--n-pairs", 2).stdout)
    assert other["parameters"]["estimator"] == "spsa"
    assert other["evaluations"] == 3 * 2 * 2


@pytest.mark.parametrize("fill", sorted(set(FILLS) - {"inpaint"}))
def test_every_fill_runs_from_the_shell(run: Run, model: Path, photo: Path, fill: str):
    words = ("--method", "sp", "--patch", 8, "--stride", 4, "--fill", fill, "--json")
    result = run("explain", photo, "-m", model, *words)
    assert result.exit_code == 0, result.stderr
    assert objects(result.stdout)[0]["fill"] == fill


FEW_GENERATIVE = (
    ("lime-g", "--n-samples", 8),
    ("rise-g", "--n-masks", 8),
    ("sp-g", "--patch", 8),
    ("mp-g", "--n-steps", 2, "--grid", 4),
    ("mp-g", "--n-steps", 2, "--grid", 4, "--start", "circle", "--binary"),
    ("mp2-g", "--grid", 4, "--max-area", 0.3),
    ("fido-ca", "--n-steps", 2, "--grid", 4),
)


@pytest.mark.parametrize(("method", "words"), [(one[0], one[1:]) for one in FEW_GENERATIVE])
def test_generative_methods_take_an_inpainter(
    run: Run, model: Path, photo: Path, method: str, words: tuple[object, ...]
):
    onnx.save(models.inpainter(), "painter.onnx")
    words = ("--method", method, *words, "--inpainter", "painter.onnx", "--json")
    (one,) = objects(run("explain", photo, "-m", model, *words).stdout)
    assert (one["method"], one["fill"]) == (method, "inpaint")
    record = json.loads(Path(str(one["record"])).read_text())
    assert record["provenance"]["inpainter"]["inpainter"] == "painter.onnx"
    assert one["inpaints"] > 0
    assert 0 < one["inpaint_share"] < 1
    told = ("inpaints", "inpaint_seconds", "inpaint_share")
    assert [record[key] for key in told] == [one[key] for key in told]


def test_inpainter_of_another_convention_is_described_by_a_file_or_by_options(
    run: Run, model: Path, photo: Path
):
    onnx.save(painters.plain(), "plain.onnx")
    onnx.save(painters.deepfill_network(), "described.onnx")
    onnx.save(painters.deepfill_network(), "told.onnx")
    Path("described.toml").write_text('[inpainter]\npreset = "deepfill-v1-network"\n')
    maps = []
    for painter, *words in (
        ("plain.onnx",),
        ("described.onnx",),
        ("told.onnx", "--inpainter-preset", "deepfill-v1-network", "--inpainter-multiple", 1),
    ):
        asked = ("--method", "sp-g", "--patch", 8, "--inpainter", painter, *words, "--json")
        result = run("explain", photo, "-m", model, *asked, "-o", painter + "-out")
        assert result.exit_code == 0, result.stderr
        (one,) = objects(result.stdout)
        maps.append(np.load(str(one["heatmap"]))["heatmap"])
        told = json.loads(Path(str(one["record"])).read_text())["provenance"]["inpainter"]
        assert ("described" in painter or "told" in painter) == bool(told["described"])
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-4)
    np.testing.assert_array_equal(maps[2], maps[1])


def test_several_photos_and_targets_give_an_object_each(run: Run, model: Path, photo: Path):
    other = photo.with_name("other.png")
    PIL.Image.new("RGB", (40, 17), "red").save(other)
    result = run("explain", photo, other, "-m", model, "--n-masks", 5, "-t", "top-2", "--json")
    found = objects(result.stdout)
    assert len(found) == 4
    assert len({one["heatmap"] for one in found}) == 4
    assert len(list(Path("explanations").iterdir())) == 12


def test_photos_of_one_name_do_not_overwrite_each_other(run: Run, model: Path, photo: Path):
    Path("sub").mkdir()
    PIL.Image.new("RGB", (30, 20), "red").save("sub/photo.png")
    words = ("-m", model, "--n-masks", 5, "-t", 0, "--json")
    found = objects(run("explain", photo, "sub/photo.png", *words).stdout)
    assert {Path(str(one["heatmap"])).name for one in found} == {
        "photo-rise-cat.npz",
        "photo-rise-cat-2.npz",
    }
    again = objects(run("explain", "sub/photo.png", *words).stdout)
    # Which of the two is done first, and so printed first, is not settled.
    (same,) = (one for one in found if one["image"] == "sub/photo.png")
    assert again[0]["heatmap"] == same["heatmap"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_file_names_that_are_no_text_do_no_harm(run: Run, model: Path, photo: Path):
    odd = photo.with_name("odd\udcff.png")
    odd.write_bytes(photo.read_bytes())
    words = ("explain", odd, "-m", model, "--n-masks", 5)
    (one,) = objects(run(*words, "--json").stdout)
    assert one["image"] == str(odd)
    assert Path(str(one["record"])).is_file()
    assert run(*words, "-q").exit_code == 0


def test_plan_is_followed_and_options_win(run: Run, model: Path, photo: Path):
    Path("plan.toml").write_text(
        'target = ["dog", 0]\nseed = 5\n'
        '[method]\nname = "sp"\npatch = 5\nstride = 2\n'
        '[fill]\nname = "colour"\nrgb = [1, 0, 0]\n'
    )
    words = ("explain", photo, "-m", model, "--plan", "plan.toml", "--json")
    planned = objects(run(*words).stdout)
    assert [one["target"] for one in planned] == [1, 0]
    assert planned[0]["parameters"] == {"patch": 5, "stride": 2, "align": "center", "share": 0}
    assert planned[0]["fill_parameters"] == {"rgb": [1, 0, 0]}
    assert planned[0]["seed"] == 5
    (changed,) = objects(run(*words, "--stride", 4, "--seed", 6, "-t", "bird").stdout)
    assert changed["parameters"] == {"patch": 5, "stride": 4, "align": "center", "share": 0}
    assert (changed["seed"], changed["target"]) == (6, 2)
    (other,) = objects(run(*words, "--method", "rise", "--n-masks", 4, "-t", 0).stdout)
    assert (other["method"], other["fill"]) == ("rise", "colour")


def test_plans_say_parameters_in_words_too(run: Run, model: Path, photo: Path):
    Path("plan.toml").write_text(
        'method = "rise:n_masks=4,p_keep=0.3"\nfill = "colour:rgb=[1, 0, 0]"'
    )
    words = ("explain", photo, "-m", model, "--plan", "plan.toml", "--json")
    (planned,) = objects(run(*words).stdout)
    assert planned["method"] == "rise"
    assert planned["parameters"] == {**planned["parameters"], "n_masks": 4, "p_keep": 0.3}
    assert planned["fill_parameters"] == {"rgb": [1, 0, 0]}


def test_options_say_parameters_in_words_too_and_go_on_from_the_plan(
    run: Run, model: Path, photo: Path
):
    Path("plan.toml").write_text('method = "rise:n_masks=4,p_keep=0.3"\nfill = "blur:sigma=2"')
    words = ("explain", photo, "-m", model, "--plan", "plan.toml", "--json")
    options = ("--method", "rise:n_masks=5", "--grid", 4, "--fill", "blur")
    (one,) = objects(run(*words, *options).stdout)
    assert one["parameters"] == {**one["parameters"], "n_masks": 5, "p_keep": 0.3, "grid": 4}
    assert one["fill_parameters"] == {"sigma": 2}
    result = run(*words, "--method", "rise-g")
    assert result.exit_code == 2
    assert "has the fill 'inpaint', got the plan's fill blur" in " ".join(result.stderr.split())


def test_what_an_error_says_stays_on_one_line(folder: Path):
    assert (
        format_failure("a.jpg", RuntimeError("OpenCV:\n> bad\n"))
        == "a.jpg: RuntimeError: OpenCV: > bad"
    )


def test_a_result_that_cannot_be_written_leaves_the_others_alone(
    run: Run, model: Path, photo: Path, folder: Path
):
    other = folder / "other.png"
    _pixels(1).save(other)
    (folder / "explanations" / f"{photo.stem}-rise-dog.npz").mkdir(parents=True)
    words = ("-m", model, "-t", "dog", "--n-masks", 4, "--json")
    result = run("explain", photo, other, *words)
    assert result.exit_code == 1
    assert [Path(str(one["image"])).name for one in objects(result.stdout)] == ["other.png"]
    assert f"Error: {photo}: explanations: cannot be written (Is a directory)" in result.stderr


def test_interruption_while_a_model_loads_exits_130():
    with pytest.raises(Interrupted, match="interrupted") as caught, report_errors():
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130


def test_too_little_memory_is_a_message():
    with (
        pytest.raises(click.ClickException, match=r"not enough memory: Unable to allocate"),
        report_errors(),
    ):
        np.empty(2**60, np.uint8)


def test_model_flags_reach_the_model(run: Run, folder: Path, photo: Path, own_cache: None):
    onnx.save(models.additive(models.weights((16, 16)), colour="bgr"), "plain.onnx")
    Path("names.txt").write_text("one\ntwo\nthree\n")
    words = ("--range", "0,1", "--color", "bgr", "--labels", "names.txt", "--fit", "stretch")
    result = run("explain", photo, "-m", "plain.onnx", *words, "--n-masks", 3, "--json")
    (one,) = objects(result.stdout)
    assert one["target_name"] in ("one", "two", "three")
    preprocessing = json.loads(Path(str(one["record"])).read_text())["provenance"]["preprocessing"]
    assert (preprocessing["colour"], preprocessing["fit"]) == ("bgr", "stretch")
    assert preprocessing["sources"]["range"] == "flag --range"


def test_batch_size_is_taken(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--n-masks", 3, "--json", "--batch-size", 3)
    (one,) = objects(run(*words).stdout)
    record = json.loads(Path(str(one["record"])).read_text())
    assert record["provenance"]["classifier"]["batch_size"] == 3


USAGE = [
    (("--method", "rize"), "method 'rize' is unknown; did you mean 'rise'?"),
    (("--fill", "blurr"), "fill 'blurr' is unknown; did you mean 'blur'?"),
    (("-t", "kity"), "target 'kity' is unknown; did you mean 'kitty'?"),
    (("-t", "7"), "target must be a class from 0 to 2, got 7"),
    (("-t", "top-9"), "target top-N must ask for 1 to 3 classes, got 9"),
    (("--n-masks", "0"), "RISE: n_masks must be >= 1, got 0"),
    (("--n-masks", "many"), "'many' is not a valid integer"),
    (("--p-keep", "nan"), "RISE: p_keep must be > 0 and < 1, got nan"),
    (("--stride", "2"), "method rise takes no --stride, which belongs to sp"),
    (("--fill-sigma", "2"), "fill dataset-mean takes no --fill-sigma, which belongs to"),
    (("--method", "sp", "--patch", "17"), "SP: patch must fit in the image of 16 x 16"),
    (("--method", "lime", "--distance", "l3"), "distance 'l3' is unknown; did you mean 'l2'?"),
    (("--n-mask", "4"), "No such option '--n-mask'. (Did you mean"),
    (("--method", "sp-g", "--fill", "blur"), "has the fill 'inpaint', got --fill blur"),
    (("--inpainter", "x.onnx"), "--inpainter and its description are for the -g methods"),
    (("--inpainter-preset", "lama"), "--inpainter and its description are for the -g methods"),
    (("--seed", "-1"), "seed must be >= 0, got -1"),
    (("--device", "gpu"), "device is auto, cpu, cuda, cuda:N or tensorrt, got 'gpu'"),
    (("--batch-size", "0"), "batch_size must be >= 1, got 0"),
    (("--mean", "a,b"), "'a,b' is not a number, nor numbers separated by commas"),
    (("--size", "12by12"), "'12by12' is not a size"),
    (("--preprocessing", "torch"), "preprocessing: 'torch' is unknown; did you mean"),
    (("--layout", "nwhc"), "'nwhc' is not one of"),
    (("--max-pixels", "0"), "0 is not in the range x>=1"),
    (("--plan", "none.toml"), "none.toml: not a readable plan"),
]


@pytest.mark.parametrize(("words", "text"), USAGE, ids=lambda value: str(value)[:40])
def test_wrong_command_lines_exit_2_and_write_nothing(
    run: Run, model: Path, photo: Path, words: tuple[str, ...], text: str
):
    result = run("explain", photo, "-m", model, *words)
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert not any(Path().glob("explanations/*"))


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ("method = ", "not a readable plan"),
        ('methd = "rise"', "'methd' is unknown; did you mean 'method'?"),
        ("method = 3", "method: takes a name, or a table with a name; got 3"),
        ("[method]\nn_masks = 3", "method: takes a name, or a table with a name"),
        ('[method]\nname = "rise"\nn_mask = 3', "'n_mask' is unknown; did you mean 'n_masks'?"),
        ('[method]\nname = "rise"\nn_masks = "3"', "n_masks takes int, got '3'"),
        ('[fill]\nname = "blur"\nsigma = 0', "Blur: sigma must be > 0 and <= 1000, got 0"),
        ('method = "rise:n_masks"', "method: parameters are written key=value"),
        ("target = [0.5]", "target takes indices and names of classes"),
        ("target = true", "target takes indices and names of classes"),
        ('seed = "1"', "seed takes an integer"),
        ("seed = true", "seed takes an integer"),
    ],
)
def test_wrong_plans_exit_2(run: Run, model: Path, photo: Path, plan: str, text: str):
    Path("plan.toml").write_text(plan)
    result = run("explain", photo, "-m", model, "--plan", "plan.toml")
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


def test_no_image_is_a_usage_error(run: Run):
    assert run("explain").exit_code == 2


def _pixels(seed: int = 0) -> PIL.Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    return PIL.Image.fromarray(pixels)


def _bad_images(folder: Path) -> dict[str, str]:
    """Broken files, and what is said of each."""
    folder.mkdir()
    good = folder / "good.png"
    _pixels().save(good)
    content = good.read_bytes()
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    _pixels().save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:400])
    (folder / "text.jpg").write_text("this is no image")
    (folder / "folder.jpg").mkdir()
    PIL.Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")  # 50 kB, 400 megapixels
    return {
        "missing.jpg": "no such file",
        "empty.png": "is empty",
        "cut.png": "cannot be read as an image",
        "cut.jpg": "cannot be read as an image",
        "text.jpg": "not an image",
        "folder.jpg": "is a folder",
        "bomb.png": "exceeds the limit of 64000000; pass a higher --max-pixels",
    }


def test_bad_images_get_a_message_each_and_the_good_one_is_explained(
    run: Run, model: Path, folder: Path
):
    bad = _bad_images(folder / "in")
    paths = [folder / "in" / name for name in (*list(bad)[:3], "good.png", *list(bad)[3:])]
    result = run("explain", *paths, "-m", model, "--n-masks", 4, "--json")
    assert result.exit_code == 1
    assert [Path(str(one["image"])).name for one in objects(result.stdout)] == ["good.png"]
    lines = result.stderr.splitlines()
    assert len(lines) == len(bad)
    for name, text in bad.items():
        (line,) = (line for line in lines if line.startswith(f"Error: {folder / 'in' / name}: "))
        assert text in line
    assert len(list(Path("explanations").iterdir())) == 3


def test_larger_images_are_read_when_the_limit_is_raised(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--n-masks", 4, "--max-pixels")
    refused = run(*words, 599)
    assert refused.exit_code == 1
    assert "exceeds the limit of 599" in refused.stderr
    assert run(*words, 600).exit_code == 0


def test_alpha_deep_cmyk_and_turned_images_are_read_as_the_eye_sees_them(
    run: Run, model: Path, photo: Path
):
    image = PIL.Image.open(photo)
    turned = image.transpose(PIL.Image.Transpose.ROTATE_90)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned.save("turned.png", exif=exif)
    image.convert("RGBA").save("alpha.png")
    words = ("-m", model, "-t", 0, "--json", "--method", "sp", "--patch", 8)
    found = objects(run("explain", photo, "turned.png", "alpha.png", *words).stdout)
    assert len(found) == 3
    assert_allclose([one["score"] for one in found], found[0]["score"], atol=1e-6)
    image.convert("CMYK").save("cmyk.tif")
    image.convert("I;16").save("deep.png")
    assert run("explain", "cmyk.tif", "deep.png", *words).exit_code == 0


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
    ".": "is a folder",
}


def _bad_models(folder: Path) -> None:
    """Files that are no models, and models that are no classifiers."""
    folder.mkdir()
    good = models.additive(models.weights((16, 16))).SerializeToString()
    (folder / "empty.onnx").touch()
    (folder / "cut.onnx").write_bytes(good[: len(good) // 2])
    (folder / "text.onnx").write_text("this is no model")
    onnx.save(models.segmenter(), folder / "segmenter.onnx")
    onnx.save(models.text_model(), folder / "text_model.onnx")
    onnx.save(models.additive(models.weights((16, 16))), folder / "undescribed.onnx")
    _save_external(folder / "without_data.onnx", "weights.bin")
    (folder / "weights.bin").unlink()
    _save_external(folder / "linked_data.onnx", "linked.bin")
    (folder / "linked.bin").rename(folder.parent / "elsewhere.bin")
    (folder / "linked.bin").symlink_to(folder.parent / "elsewhere.bin")
    bomb = models.convnet((16, 16))
    bomb.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([2**31], np.int64), "shape")
    )
    bomb.graph.node.insert(0, onnx.helper.make_node("ConstantOfShape", ["shape"], ["large"]))
    onnx.save(bomb, folder / "bomb.onnx")


def _save_external(path: Path, location: str) -> None:
    made = models.convnet((16, 16))
    onnx.save_model(made, path, save_as_external_data=True, location=location, size_threshold=64)


@pytest.mark.parametrize("name", BAD_MODELS)
@pytest.mark.parametrize("command", ["explain", "inspect"])
@pytest.mark.usefixtures("own_cache")
def test_bad_models_exit_1_with_one_message(
    run: Run, photo: Path, folder: Path, name: str, command: str
):
    _bad_models(folder / "models")
    path = folder / "models" / name
    words = (photo, "-m", path) if command == "explain" else (path,)
    result = run(command, *words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert BAD_MODELS[name] in result.stderr
    assert not any(Path().glob("explanations/*"))


def test_scores_that_are_no_numbers_are_an_error_of_each_image(
    run: Run, folder: Path, photo: Path, own_cache: None
):
    onnx.save(models.constant((16, 16), [float("inf"), 0.0]), "inf.onnx")
    result = run("explain", photo, "-m", "inf.onnx", "--range", "0,1", "--n-masks", 4)
    assert result.exit_code == 1
    assert "infinite scores" in result.stderr
    assert not any(Path().glob("explanations/*"))


@pytest.mark.parametrize("method", ["rise", "mp", "mp2", "fido"])
def test_grid_finer_than_the_image_is_an_error_of_the_image(
    run: Run, model: Path, photo: Path, method: str
):
    result = run("explain", photo, "-m", model, "--method", method, "--grid", 17, "--quiet")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {photo}: {method.upper()}: grid must not exceed the pixels of a side, 16, got 17\n"
    )


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (("--method", "mp2", "--gain", "propose"), "gain=difference of mp2"),
        (("--method", "mp", "--estimator", "gradient"), "estimator=spsa of mp"),
        (("--method", "fido", "--estimator", "gradient"), "estimator=score-function of fido"),
    ],
)
def test_gradients_of_a_model_that_has_none_name_the_node_and_what_works(
    run: Run, folder: Path, photo: Path, own_cache: None, words: tuple[str, ...], instead: str
):
    made = models.convnet((16, 16))
    made.graph.node[1].op_type, made.graph.node[1].name = "Shrink", "no-slope"
    models.save(made, folder / "shrink.onnx")
    result = run("explain", photo, "-m", "shrink.onnx", "--range", "0,1", "--quiet", *words)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "no-slope" in line
    assert instead in line


def test_output_that_cannot_be_written_is_told_before_the_work(run: Run, photo: Path, folder: Path):
    (folder / "file").touch()
    for place in ("file", "file/deeper", "/proc/none"):
        result = run("explain", photo, "-m", "not-even-looked-for.onnx", "-o", place)
        assert result.exit_code == 1
        assert result.stderr == f"Error: {result.stderr[7:]}"
        assert f"{place}: cannot be written" in result.stderr


def test_zoo_name_gets_a_suggestion(run: Run, photo: Path):
    result = run("explain", photo, "-m", "efficientnet-lite")
    assert result.exit_code == 1
    assert "did you mean 'efficientnet-lite" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_interrupted_run_says_so_and_leaves_the_images_that_are_done(model: Path, folder: Path):
    copies = []
    for i in range(60):
        copies.append(folder / f"photo{i:02}.png")
        _pixels(i).save(copies[-1])
    words = [sys.executable, "-m", "onnxplain", "explain", *copies, "-m", model, "--json"]
    words += ["--method", "mp2", "--gain", "difference", "--sweep", "full", "--grid", 16]
    process = subprocess.Popen(
        [str(word) for word in (*words, "--chance", 1e-6)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # Whoever runs the tests in the background ignores it, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    told = [first, *map(json.loads, rest.splitlines())]
    assert len(told) < len(copies)
    assert f"Error: interrupted; {len(told)} explanations are in explanations" in errors
    assert "Traceback" not in errors
    assert len(list((folder / "explanations").glob("*.json"))) == len(told)
    assert not list((folder / "explanations").glob(".*"))
    for one in told:
        found = onnxplain.load_explanation(one["heatmap"])
        assert found.details["reason"] in ("chance", "exhausted")
        assert [found.details[k] for k in ("gain", "sweep")] == ["difference", "full"]
        assert found.details["trajectory"][-1][0] == len(found.details["gains"])
        assert found.order is not None
        assert found.coarse is not None
        assert sorted(found.order) == np.flatnonzero(found.coarse > 0).tolist()
        assert found.evaluations == one["evaluations"]


def test_registry_is_what_help_lists(run: Run):
    shown = " ".join(run("explain", "--help").stdout.split())
    for name in (*METHODS, *(set(FILLS) - {"inpaint"})):
        assert name in shown.replace("- ", "-")


def test_presets_are_what_help_and_docs_list():
    (option,) = (one for one in explain.command.params if one.name == "model_preprocessing")
    assert isinstance(option, click.Option)
    for name in PRESETS:
        assert name in str(option.help)
        assert f"``{name}``" in str(onnxplain.load.__doc__)
