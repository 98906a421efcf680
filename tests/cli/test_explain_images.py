"""Images of all sorts, good and bad, in ``onnxplain explain``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

import onnxplain
from onnxplain.cli import main
from tests.cli.conftest import Run, make_noise, parse_lines


def test_every_photo_and_target_gives_an_object(run: Run, model: Path, photo: Path):
    other = photo.with_name("other.png")
    PIL.Image.new("RGB", (40, 17), "red").save(other)
    result = run("explain", photo, other, "-m", model, "--n-masks", 5, "-t", "top-2", "--json")
    explanations = parse_lines(result.stdout)
    assert len(explanations) == 4
    assert len({explained["heatmap"] for explained in explanations}) == 4
    assert len(list(Path("explanations").iterdir())) == 12


def test_empty_text_is_not_the_working_folder(run: Run, model: Path, photo: Path):
    for words in (("", "-m", model), (photo, "-m", ""), (photo, "-m", model, "-o", "")):
        result = run("explain", *words, "--n-masks", 5, "-t", 0)
        assert result.exit_code == 2
        assert "the path is empty" in result.stderr
    assert not list(Path().glob("*.npz"))


def test_photos_with_the_same_name_do_not_overwrite_each_other(run: Run, model: Path, photo: Path):
    Path("sub").mkdir()
    PIL.Image.new("RGB", (30, 20), "red").save("sub/photo.png")
    words = ("-m", model, "--n-masks", 5, "-t", 0, "--json")
    explanations = parse_lines(run("explain", photo, "sub/photo.png", *words).stdout)
    assert {Path(str(explained["heatmap"])).name for explained in explanations} == {
        "photo-rise-cat.npz",
        "photo-rise-cat-2.npz",
    }
    again = parse_lines(run("explain", "sub/photo.png", *words).stdout)
    # Either of the two may be done first.
    (same,) = (entry for entry in explanations if entry["image"] == "sub/photo.png")
    assert again[0]["heatmap"] == same["heatmap"]


def test_image_that_is_given_twice_is_counted_once(run: Run, model: Path, photo: Path):
    result = run("explain", photo, f"./{photo.name}", "-m", model, "--n-masks", 5)
    assert len(result.stdout.splitlines()) == 2
    assert "explanations: 1 x .png, .npz and .json" in result.stderr
    assert len(list(Path("explanations").glob("*.npz"))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_file_names_that_are_not_text_work(run: Run, model: Path, photo: Path):
    odd = photo.with_name("odd\udcff.png")
    odd.write_bytes(photo.read_bytes())
    words = ("explain", odd, "-m", model, "--n-masks", 5)
    (explained,) = parse_lines(run(*words, "--json").stdout)
    assert explained["image"] == str(odd)
    assert Path(str(explained["record"])).is_file()
    assert run(*words, "-q").exit_code == 0


def write_bad_images(folder: Path) -> dict[str, str]:
    """Write broken files, and return what is said of each."""
    folder.mkdir()
    good = folder / "good.png"
    make_noise().save(good)
    content = good.read_bytes()
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    make_noise().save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:400])
    (folder / "text.jpg").write_text("this is not an image")
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
    bad = write_bad_images(folder / "in")
    paths = [folder / "in" / name for name in (*list(bad)[:3], "good.png", *list(bad)[3:])]
    result = run("explain", *paths, "-m", model, "--n-masks", 4, "--json")
    assert result.exit_code == 1
    printed = {Path(str(line["image"])).name: line for line in parse_lines(result.stdout)}
    assert printed.keys() == {"good.png", *bad}
    assert printed.pop("good.png")["status"] == "done"
    for name, line in printed.items():
        assert line["status"] == "error"
        assert bad[name] in line["error"]
    lines = result.stderr.splitlines()
    assert len(lines) == len(bad)
    for name, text in bad.items():
        (line,) = (line for line in lines if line.startswith(f"Error: {folder / 'in' / name}: "))
        assert text in line
    assert len(list(Path("explanations").iterdir())) == 3


def test_wrong_paths_are_reported_before_a_model_is_loaded(run: Run, folder: Path):
    """The model does not exist either, and loading it would end with its own error."""
    result = run("explain", "missing.jpg", "*.jpg", "-m", "missing.onnx")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: missing.jpg: no such file; check the path\n"
        "Error: *.jpg: no file fits this pattern; check the path\n"
    )
    (folder / "in").mkdir()
    result = run("explain", "in", "-m", "missing.onnx")
    assert "in: is a folder without photos; --recursive" in result.stderr


def test_folders_patterns_and_files_are_explained(run: Run, model: Path, folder: Path):
    for name in ("a.png", "b.PNG", ".hidden.png", "in/c.jpg", ".git/d.png"):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_noise().save(path)
    (folder / "photos" / "notes.txt").write_text("no photo")

    def explain(*words: object) -> list[str]:
        result = run("explain", *words, "-m", model, "--n-masks", 3, "--json")
        assert result.exit_code == 0, result.stderr
        return sorted(str(line["image"]) for line in parse_lines(result.stdout))

    assert explain("photos") == ["photos/a.png", "photos/b.PNG"]
    everything = ["photos/a.png", "photos/b.PNG", "photos/in/c.jpg"]
    assert explain("photos", "--recursive") == everything
    assert explain("photos/*.png") == ["photos/a.png"]
    assert explain("photos/**/*.[jp]*g") == ["photos/a.png", "photos/in/c.jpg"]
    make_noise().save("odd[1].png")
    assert explain("odd[1].png", "./photos/a.png") == ["./photos/a.png", "odd[1].png"]


def test_photo_comes_from_standard_input(model: Path, photo: Path):
    words = ["explain", "-", "-m", str(model), "--n-masks", "5", "--json"]
    result = CliRunner().invoke(main, words, input=photo.read_bytes())
    (piped,) = parse_lines(result.stdout)
    assert piped["image"] == "standard input"
    computed = onnxplain.explain(onnxplain.load(model), photo, "rise:n_masks=5")
    assert piped["score"] == pytest.approx(computed.score)
    assert CliRunner().invoke(main, words, input=b"").exit_code == 1
    refused = CliRunner().invoke(main, [*words, "-"], input=photo.read_bytes())
    assert (refused.exit_code, "read once only" in refused.stderr) == (2, True)


def test_twelve_bits_in_sixteen_are_noticed_and_can_be_said(
    run: Run, model: Path, caplog: pytest.LogCaptureFixture
):
    values = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.uint16)
    PIL.Image.fromarray(values).save("scan.png")
    PIL.Image.fromarray((values * 16).astype(np.uint16)).save("same.png")
    words = ("-m", model, "-t", 0, "--n-masks", 3, "--json")
    dark = run("explain", "scan.png", *words)
    assert ", as if 4095 were white, and it is read as nearly black" in caplog.text
    caplog.clear()
    scaled = run("explain", "scan.png", *words, "--white", 4095)
    assert "16-bit" not in caplog.text
    bright = run("explain", "same.png", *words)
    dark_score, score, expected = (
        parse_lines(result.stdout)[0]["score"] for result in (dark, scaled, bright)
    )
    assert score == pytest.approx(expected, abs=1e-3)
    assert abs(dark_score - expected) > 1e-2


def test_larger_images_are_read_if_the_limit_is_raised(run: Run, model: Path, photo: Path):
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
    explanations = parse_lines(run("explain", photo, "turned.png", "alpha.png", *words).stdout)
    assert len(explanations) == 3
    assert_allclose(
        [explained["score"] for explained in explanations], explanations[0]["score"], atol=1e-6
    )
    image.convert("CMYK").save("cmyk.tif")
    image.convert("I;16").save("deep.png")
    assert run("explain", "cmyk.tif", "deep.png", *words).exit_code == 0


@pytest.mark.parametrize("method", ["rise", "mp", "mp2", "fido"])
def test_grid_finer_than_the_image_is_an_error_of_the_image(
    run: Run, model: Path, photo: Path, method: str
):
    result = run("explain", photo, "-m", model, "--method", method, "--grid", 17, "--quiet")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {photo}: {method}: grid must be at most 16, the image's shorter side, got 17\n"
    )
