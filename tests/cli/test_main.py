"""The command itself: versions, help, start-up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

import onnxplain
from onnxplain.cli import COMMANDS, main
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
