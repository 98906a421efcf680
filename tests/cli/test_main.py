"""The command itself: versions, help, start-up, completion."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import onnxplain
from onnxplain import zoo
from onnxplain.cli import COMMANDS, main
from tests.cli.conftest import ENVIRONMENT, Run


def list_commands(
    command: click.Command = main, name: str = "onnxplain"
) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            subcommand = command.get_command(context, child)
            assert subcommand is not None
            yield from list_commands(subcommand, f"{name} {child}")


ALL = dict(list_commands())


def run_process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )


def test_version_names_the_runtime_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from onnxplain.cli import main\n"
        "main(['--version'], standalone_mode=False)\n"
        "heavy = {'numpy', 'cv2', 'PIL', 'onnx', 'onnxruntime', 'skimage'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    shown = run_process("-c", code)
    first, *others, heavy = shown.stdout.splitlines()
    assert first == f"onnxplain {onnxplain.__version__}"
    assert any(line.startswith("onnxruntime") for line in others)
    assert heavy == "[]"


def test_python_m_is_the_command():
    shown = run_process("-m", "onnxplain", "--help")
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
def test_every_path_refuses_to_be_empty(name: str):
    """A variable of the shell that is not set must not mean the working folder."""
    command = ALL[name]
    for param in command.params:
        if isinstance(param.type, click.Path):
            with pytest.raises(click.BadParameter, match="empty"):
                param.type.convert("", param, None)


@pytest.mark.parametrize("name", ALL)
def test_help_is_shown(name: str, run: Run):
    shown = run(*name.split()[1:], "--help")
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"Usage: {name}")


def test_unknown_command_is_a_usage_error(run: Run):
    result = run("explian")
    assert result.exit_code == 2
    assert "command 'explian' is unknown; did you mean 'explain'?" in result.stderr


@pytest.mark.parametrize(
    ("option", "level"), [("-v", logging.INFO), ("-vv", logging.DEBUG), ("-q", logging.ERROR)]
)
def test_log_options_work_in_front_of_a_command_and_after_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str, level: int
):
    levels: list[int] = []
    list_models = zoo.list_models

    def list_and_note_the_level() -> object:
        levels.append(logging.getLogger().level)
        return list_models()

    monkeypatch.setattr(zoo, "list_models", list_and_note_the_level)
    before = logging.getLogger().level
    for words in ((option, "zoo", "list"), ("zoo", "list", option), ("zoo", "list")):
        assert run(*words).exit_code == 0
        assert logging.getLogger().level == before  # the process may not be ours
    assert levels == [level, level, logging.WARNING]


def test_quiet_in_front_of_explain_is_its_own(run: Run, model: Path, photo: Path):
    words = ("explain", photo, "-m", model, "--n-masks", 4)
    assert " on cpu " in run(*words).stderr
    assert run("-q", *words).stderr == run(*words, "-q").stderr == ""


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
        (("explain", "photo.png", "--method", "rise:p"), ["rise:p_keep="]),
        (("explain", "photo.png", "--method", "mp2:grid=7,sw"), ["mp2:grid=7,sweep="]),
        (("explain", "photo.png", "--method", "mp2:sweep=l"), ["mp2:sweep=lazy"]),
        (("explain", "photo.png", "--fill", "bl"), ["black", "blur"]),
        (("explain", "photo.png", "--preprocessing", "t"), ["torchvision", "timm"]),
        (("explain", "photo.png", "--device", "c"), ["cpu", "cuda"]),
        (("evaluate", "photos", "--metric", "de"), ["deletion"]),
        (("help", "mp2"), ["mp2", "mp2-g"]),
    ],
)
def test_shell_completes_files_and_names(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], offered: list[str]
):
    *before, last = ("onnxplain", *words) if "file" not in offered else ("onnxplain", *words, "ph")
    monkeypatch.setenv("COMP_WORDS", " ".join((*before, last)))
    monkeypatch.setenv("COMP_CWORD", str(len(before)))
    monkeypatch.setenv("_ONNXPLAIN_COMPLETE", "bash_complete")
    shown = run().stdout.split()
    assert shown == (["file,ph"] if offered == ["file"] else [f"plain,{name}" for name in offered])
