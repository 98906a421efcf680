"""The command itself: versions, help, start-up."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import onnxplain
from onnxplain.cli import COMMANDS, main
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SECTIONS
from tests.cli.conftest import ENVIRONMENT, Run


def every_command(
    command: click.Command = main, name: str = "onnxplain"
) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from every_command(found, f"{name} {child}")


ALL = dict(every_command())


def new_process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )


def test_version_tells_of_the_runtime_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from onnxplain.cli import main\n"
        "main(['--version'], standalone_mode=False)\n"
        "heavy = {'numpy', 'cv2', 'PIL', 'onnx', 'onnxruntime', 'skimage'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    shown = new_process("-c", code)
    first, *others, heavy = shown.stdout.splitlines()
    assert first == f"onnxplain {onnxplain.__version__}"
    assert any(line.startswith("onnxruntime") for line in others)
    assert heavy == "[]"


def test_python_m_is_the_command():
    shown = new_process("-m", "onnxplain", "--help")
    assert shown.stdout.startswith("Usage: onnxplain ")
    assert all(command in shown.stdout for command in COMMANDS)


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_has_help(name: str):
    command = ALL[name]
    assert command.help
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, (name, param.opts)


@pytest.mark.parametrize("name", ALL)
def test_no_two_options_share_a_flag_or_a_name(name: str):
    params = ALL[name].params
    flags = [flag for param in params for flag in (*param.opts, *param.secondary_opts)]
    assert len(flags) == len(set(flags))
    assert len({param.name for param in params}) == len(params)


@pytest.mark.parametrize("name", ALL)
def test_help_is_shown(name: str, run: Run):
    shown = run(*name.split()[1:], "--help")
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"Usage: {name}")


def test_explain_lists_parameters_by_what_they_are_about(run: Run):
    shown = run("explain", "--help").stdout
    places = [shown.index(f"\n{title}:\n") for title in ("Options", *SECTIONS.values())]
    assert places == sorted(places)
    assert places[2] < shown.index("--n-masks") < places[3] < shown.index("--fill-sigma")


def test_unknown_command_is_a_usage_error(run: Run):
    result = run("explian")
    assert result.exit_code == 2
    assert "explian" in result.stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("explain",), ["file"]),
        (("explain", "photo.png", "-m"), ["file"]),
        (("explain", "photo.png", "--labels"), ["file"]),
        (("explain", "photo.png", "--inpainter"), ["file"]),
        (("inspect",), ["file"]),
        (("inspect", "m.onnx", "--image"), ["file"]),
        (("export-gradient",), ["file"]),
        (("explain", "photo.png", "--method", "ri"), ["rise", "rise-g"]),
        (("explain", "photo.png", "--fill", "bl"), ["black", "blur"]),
    ],
)
def test_the_shell_completes_files_and_names(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], offered: list[str]
):
    *before, last = ("onnxplain", *words) if "file" not in offered else ("onnxplain", *words, "ph")
    monkeypatch.setenv("COMP_WORDS", " ".join((*before, last)))
    monkeypatch.setenv("COMP_CWORD", str(len(before)))
    monkeypatch.setenv("_ONNXPLAIN_COMPLETE", "bash_complete")
    shown = run().stdout.split()
    assert shown == (["file,ph"] if offered == ["file"] else [f"plain,{one}" for one in offered])


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
def test_a_name_that_no_file_can_have_is_one_message(run: Run, words: tuple[str, ...]):
    result = run(*words)
    assert result.exit_code == 1
    assert LONG in result.stderr
    assert "File name too long" in result.stderr.splitlines()[-1]


def test_what_the_system_refuses_is_one_message_and_a_reader_that_left_is_none():
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
def test_output_without_room_is_one_message(words: tuple[str, ...]):
    environment = {**ENVIRONMENT}
    environment.pop("PYTHONUNBUFFERED", None)  # what is buffered is tried again at the end
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "onnxplain", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    assert done.returncode == 1
    assert done.stderr == f"Error: a file or the output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_photo_is_explained_though_stderr_is_closed(model: Path, photo: Path):
    words = [sys.executable, "-m", "onnxplain", "explain", photo, "-m", model, "--n-masks", "4"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *words], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    assert done.returncode == 0
    assert done.stdout.startswith(os.fsencode(photo))
