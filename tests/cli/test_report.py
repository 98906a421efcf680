"""``onnxplain report``, and the page that ``onnxplain evaluate`` writes."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from onnxplain.results import Explanation, load_explanation
from tests.cli.conftest import Run, make_words

pytest.importorskip("jinja2")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with an explanation."""
    Explanation(
        image="cat.png",
        target=0,
        target_name="cat, kitty",
        score=0.75,
        heatmap=np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8),
        method="sp",
        fill="blur",
        parameters={"patch": 3},
        fill_parameters={"sigma": 2.0},
        seed=0,
        evaluations=10,
        seconds=0.5,
        provenance={"classifier": {"model": "net.onnx"}, "image_size": [8, 8]},
        photo=np.zeros((8, 8, 3), np.uint8),
    ).save(tmp_path / "saved")
    return tmp_path / "saved"


def test_report_is_written_and_named(run: Run, saved: Path):
    done = run("report", saved, "-o", "out/page.html", "--title", "Cats & co")
    assert done.exit_code == 0
    assert done.stdout.startswith("out/page.html: 0.")
    assert "<title>Cats &amp; co</title>" in Path("out/page.html").read_text()
    assert run("report", saved, "-q").stdout == ""
    assert Path("report.html").exists()


def test_broken_file_is_named_and_the_rest_written(run: Run, saved: Path):
    (saved / "torn.npz").write_bytes(b"PK")
    done = run("report", saved)
    assert done.exit_code == 1
    assert "torn.npz: is not a complete explanation" in done.stderr
    assert "torn.npz" in Path("report.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["."], 1, "no results to report"),
        (["gone"], 1, "gone: no such file"),
        ([], 2, "Missing argument"),
        (["x", "--limit", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_is_wrong_is_said(run: Run, words: list[str], code: int, message: str):
    done = run("report", *words)
    assert done.exit_code == code
    assert message in done.stderr
    assert not Path("report.html").exists()


def test_evaluate_writes_a_report_where_jinja_is(
    run: Run, model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    words = (*make_words(photos, model), "--keep-heatmaps", "maps")
    done = run(*words, "-o", "out")
    assert "out/report.html: the photos, maps, curves and tables in one page" in done.stderr
    page = Path("out/report.html").read_text()
    for line in Path("out/means.csv").read_text().splitlines()[1:]:
        mean = line.split(",")[4]
        assert f'data-value="{mean}"' in page
    assert page.count('class="thumb"') == len(list(Path("maps").iterdir())) == 7 * 2
    monkeypatch.setattr("onnxplain.cli.evaluate.find_spec", lambda name: None)
    assert "report.html" not in run(*words, "-o", "without").stderr
    assert not Path("without/report.html").exists()


def test_what_describes_a_model_goes_with_live(run: Run, saved: Path):
    for words in (("--model", "net.onnx"), ("--runtime", "."), ("--head", "logits")):
        done = run("report", saved, *words)
        assert done.exit_code == 2
        assert "go with --live" in done.stderr


def test_live_page_needs_the_model(run: Run, saved: Path):
    done = run("report", saved, "--live")
    assert done.exit_code == 1
    assert "the classifier net.onnx is not here; give it with --model" in done.stderr
    assert not Path("report.html").exists()


def test_command_in_the_page_makes_the_same_map(run: Run, model: Path, photos: Path):
    photo = next(iter(sorted(photos.rglob("*.png"))))
    flags = ("--fit", "stretch", "--mean", "0.5,0.4,0.3", "--std", "0.25", "--resize", "20x24")
    words = ("--method", "rise:n_masks=30,grid=4", "--fill", "blur:sigma=3.5", "--seed", "3")
    done = run("explain", photo, "-m", model, *words, *flags, "-t", "1", "-o", "first")
    assert done.exit_code == 0, done.stderr
    run("report", "first")
    (command,) = re.findall("<code>(.*?)</code>", Path("report.html").read_text())
    again = shlex.split(html.unescape(command).replace(model.name, str(model)))
    assert again[0] == "onnxplain"
    assert run(*again[1:], "-o", "second").exit_code == 0
    first, second = (
        load_explanation(next(Path(folder).glob("*.npz"))) for folder in ("first", "second")
    )
    np.testing.assert_array_equal(first.heatmap, second.heatmap)
    for name in ("parameters", "fill_parameters", "target", "seed"):
        assert getattr(first, name) == getattr(second, name)
    assert first.provenance["preprocessing"] == second.provenance["preprocessing"]


def test_wrong_ending_and_wrong_folders_are_refused(run: Run, saved: Path):
    photo = saved / "photo.jpg"
    photo.write_bytes(b"a photo")
    refused = run("report", saved, "-o", photo)
    assert refused.exit_code == 2
    assert "the report is a .html; give a path with this ending" in refused.stderr
    assert photo.read_bytes() == b"a photo"
    for option in ("--images", "--heatmaps"):
        refused = run("report", saved, option, "nowhere")
        assert refused.exit_code == 2
        assert "nowhere: is not a folder" in refused.stderr
        assert not Path("report.html").exists()
