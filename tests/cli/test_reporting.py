"""One message and the exit code, whatever goes wrong."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from onnxplain import zoo
from onnxplain.cli import main
from onnxplain.cli.reporting import format_failure, report_errors
from onnxplain.cli.terminal import TerminalFormatter
from onnxplain.core.errors import OutputError
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
        ("merge", "rows.jsonl", "-o", LONG),
        ("export-gradient", LONG, "-o", "gradient.onnx"),
        ("export-gradient", "tiny.onnx", "-o", LONG),
        ("export-explainer", LONG, "--method", "gradient", "-o", "explainer.onnx"),
        ("export-explainer", "tiny.onnx", "--method", "gradient", "-o", LONG),
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


def test_too_little_memory_is_a_message():
    with (
        pytest.raises(click.ClickException, match=r"not enough memory: Unable to allocate"),
        report_errors(),
    ):
        np.empty(2**60, np.uint8)


def break_zoo(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(zoo, "list_models", fail)


def test_bug_is_one_message_that_says_where_and_what_to_report(monkeypatch: pytest.MonkeyPatch):
    break_zoo(monkeypatch, KeyError("the\x1b[2J name"))
    result = CliRunner().invoke(main, ["zoo", "list"])
    assert result.exit_code == 70
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr
    first, second = result.stderr.splitlines()
    assert re.match(
        r"Error: this is a bug of onnxplain, at onnxplain/cli/zoo.py:\d+: KeyError: ", first
    )
    assert "report" in second
    assert "--debug" in second


def test_debug_shows_the_traceback_of_a_bug_and_of_an_error(monkeypatch: pytest.MonkeyPatch):
    break_zoo(monkeypatch, RecursionError("too deep"))
    result = CliRunner().invoke(main, ["--debug", "zoo", "list"])
    assert result.exit_code == 70
    assert "Traceback" in result.stderr
    assert "RecursionError: too deep" in result.stderr
    break_zoo(monkeypatch, OutputError("nothing here"))
    result = CliRunner().invoke(main, ["--debug", "zoo", "list"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("\nError: nothing here\n")


def test_log_shows_tracebacks_only_if_they_are_asked_for():
    with pytest.raises(OSError, match="room") as caught:
        raise OSError("no\x1b room")
    info = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("a", logging.DEBUG, "a.py", 1, "while %s", ("saving",), info)
    plain = TerminalFormatter(debug=False).format(record)
    assert plain == r"DEBUG: while saving (OSError('no\x1b room'))"
    assert "Traceback" in TerminalFormatter(debug=True).format(record)


SLOW = """
import sys, time, threading
from onnxplain import zoo
from onnxplain.__main__ import run

def wait():
    # A thread for which Python waits at its end, as a worker in a long call.
    threading.Thread(target=time.sleep, args=(20,)).start()
    print("ready", flush=True)
    time.sleep(20)

zoo.list_models = wait
sys.argv = ["onnxplain", "zoo", "list"]
run()
"""


# Interrupted as soon as nobody reads its messages any more.
STOPPED = """
import signal, sys
from onnxplain import zoo
from onnxplain.__main__ import run

def interrupt():
    signal.raise_signal(signal.SIGINT)

zoo.list_models = interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start some jobs without
sys.stdin.read()  # until the reader of stderr has gone
run()
"""


@pytest.mark.parametrize(
    ("reason", "text"),
    [("", "interrupted"), ("rows\x1b are kept", r"interrupted; rows\x1b are kept")],
)
def test_interruption_is_one_message(reason: str, text: str, monkeypatch: pytest.MonkeyPatch):
    break_zoo(monkeypatch, KeyboardInterrupt(reason))
    result = CliRunner().invoke(main, ["zoo", "list"])
    assert (result.exit_code, result.stderr) == (130, f"Error: {text}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX")
@pytest.mark.parametrize(("word", "code"), [("list", 130), ("nothing", 2)])
def test_exit_code_is_right_though_nobody_reads_the_message(word: str, code: int):
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, "zoo", word],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stderr.close()  # as `2>&1 | tee log`, which ends at the same Ctrl-C
        process.stdin.close()
    assert process.returncode == code


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX")
def test_second_interruption_ends_at_once_without_a_traceback():
    with subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # A shell that runs the tests in the background ignores SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        message = process.stderr.readline()  # it now waits for the thread
        process.send_signal(signal.SIGINT)
        assert message + process.stderr.read() == "Error: interrupted\n"
    assert process.returncode == -signal.SIGINT
