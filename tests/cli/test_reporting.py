"""One message and the exit code, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from onnxplain.cli.reporting import Interrupted, format_failure, report_errors
from tests.cli.conftest import ENVIRONMENT, Run

LONG = "n" * 300


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "photo.png", "-m", LONG),
        ("explain", "photo.png", "--method", "rise-g", "--inpainter", LONG),
        ("explain", LONG, "-m", "tiny.onnx"),
        ("evaluate", LONG),
        ("inspect", LONG),
        ("merge", LONG, "rows.jsonl"),
        ("export-gradient", LONG, "-o", "gradient.onnx"),
        ("export-gradient", "tiny.onnx", "-o", LONG),
        ("compare", LONG, LONG),
    ],
)
@pytest.mark.usefixtures("model", "photo")
def test_impossible_file_name_is_one_message(run: Run, words: tuple[str, ...]):
    result = run(*words)
    assert result.exit_code == 1
    assert LONG in result.stderr
    assert "File name too long" in result.stderr.splitlines()[-1]


def test_system_error_is_one_message_and_a_closed_pipe_is_none():
    with pytest.raises(click.ClickException) as caught, report_errors(arguments=True):
        raise PermissionError(errno.EACCES, "Permission denied", "locked/model.onnx")
    assert (caught.value.message, caught.value.exit_code) == (
        "locked/model.onnx: Permission denied",
        1,
    )
    with pytest.raises(BrokenPipeError), report_errors():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [("--version",), ("zoo", "list"), ("compare", "--help")])
def test_full_disk_is_one_message(words: tuple[str, ...]):
    environment = {**ENVIRONMENT}
    environment.pop("PYTHONUNBUFFERED", None)  # buffered output is flushed again at the end
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "onnxplain", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    assert process.returncode == 1
    assert process.stderr == f"Error: a file or the output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_photo_is_explained_though_stderr_is_closed(model: Path, photo: Path):
    words = [sys.executable, "-m", "onnxplain", "explain", photo, "-m", model, "--n-masks", "4"]
    process = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *words], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    assert process.returncode == 0
    assert process.stdout.startswith(os.fsencode(photo))


def test_failure_is_described_in_one_line(folder: Path):
    assert (
        format_failure("a.jpg", RuntimeError("OpenCV:\n> bad\n"))
        == "a.jpg: RuntimeError: OpenCV: > bad"
    )


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
