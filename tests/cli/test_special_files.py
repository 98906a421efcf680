"""A pipe or a device in place of any file is one message, and never waits."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.cli.conftest import FEW, Run, make_words

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Fail after some seconds: opening a pipe that nobody writes to waits for ever."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "pipe", "-m", "tiny.onnx", "--n-masks", "4"),
        ("explain", "photo.png", "-m", "pipe"),
        ("explain", "photo.png", "-m", "tiny.onnx", "--labels", "pipe"),
        ("explain", "photo.png", "-m", "tiny.onnx", "--plan", "pipe"),
        ("explain", "photo.png", "-m", "tiny.onnx", "-o", "pipe", "--n-masks", "4"),
        ("explain", "photo.png", "-m", "tiny.onnx", "--method", "rise-g", "--inpainter", "pipe"),
        ("inspect", "pipe"),
        ("inspect", "tiny.onnx", "--image", "pipe"),
        ("inspect", "tiny.onnx", "--write-spec", "pipe", "--force"),
        ("export-gradient", "pipe", "-o", "gradient.onnx"),
        ("export-gradient", "tiny.onnx", "-o", "pipe"),
        ("export-explainer", "pipe", "--method", "gradient", "-o", "explainer.onnx"),
        ("export-explainer", "tiny.onnx", "--method", "gradient", "-o", "pipe"),
        ("compare", "pipe", "pipe"),
        ("draw", "pipe"),
        ("merge", "pipe", "-o", "all.jsonl"),
        ("merge", "rows.jsonl", "-o", "pipe"),
        ("evaluate", "photos", "--annotations", "pipe", "-m", "tiny.onnx"),
        ("evaluate", "photos", "--annotations", "labels.csv", "--wnids", "pipe", "-m", "tiny.onnx"),
        ("evaluate", "photos", "--annotations", "labels.csv", "-m", "pipe"),
        ("evaluate", "photos", "--plan", "pipe", "-m", "tiny.onnx"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("photos", "photo")
def test_pipe_is_one_message_and_stays(
    run: Run, pipe: str, folder: Path, words: tuple[str, ...]
) -> None:
    (folder / "rows.jsonl").write_text('{"key": "a", "status": "done"}\n')
    result = run(*words)
    assert result.exit_code in (1, 2)
    assert "pipe" in result.stderr.splitlines()[-1]
    assert (folder / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["rows.jsonl", "results.csv"])
def test_pipe_in_the_folder_of_a_study_is_an_error(
    run: Run, photos: Path, model: Path, folder: Path, name: str
) -> None:
    (folder / "out").mkdir()
    assert run(*make_words(photos, model, "-o", "out")).exit_code == 0
    written = [path.name for path in (folder / "out").iterdir()]
    name = name if name in written else sorted(written)[0]
    (folder / "out" / name).unlink()
    os.mkfifo(folder / "out" / name)
    result = run(*make_words(photos, model, "-o", "out"))
    assert result.exit_code == 1
    assert name in result.stderr
    assert "device or a pipe" in result.stderr


def test_pipe_beside_an_explanation_is_not_replaced(run: Run, photo: Path, model: Path) -> None:
    words = ("explain", photo, "-m", model, "--n-masks", "4", "-o", "out", "-t", "0")
    assert run(*words).exit_code == 0
    for path in sorted(Path("out").iterdir()):
        shutil.rmtree("again", ignore_errors=True)
        Path("again").mkdir()
        os.mkfifo(Path("again") / path.name)
        result = run(*words[:-3], "again", *words[-2:])
        assert Path("again", path.name).is_fifo(), path
        assert result.exit_code in (0, 1)  # a free name may be taken


def test_pipe_in_place_of_a_given_heatmap_is_a_failure(
    run: Run, photos: Path, model: Path, folder: Path
) -> None:
    (folder / "maps").mkdir()
    for photo in photos.iterdir():
        os.mkfifo(folder / "maps" / f"{photo.stem}.npy")
    words = ("evaluate", photos, "--annotations", "labels.csv", "-m", model, *FEW[4:])
    result = run(*words, "--method", "given:folder=maps")
    assert result.exit_code == 1
    assert "npy" in result.stderr
