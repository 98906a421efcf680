"""Ctrl-C at moments at which Python alone loses it, or lets it become another error."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ENVIRONMENT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX")

BEGIN = """
import signal, sys, time
from onnxplain.core.interrupts import interruptible, own_interrupts

def interrupt():
    signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start some jobs without
own_interrupts()
"""
# As a library in C that begins with an import of NumPy.
CLUMSY = """
import signal
try:
    signal.raise_signal(signal.SIGINT)
except BaseException:
    raise ImportError("initialization failed")
"""
WAIT = """
try:
    with interruptible():
        {}
        time.sleep(20)
except KeyboardInterrupt:
    print("in order")
"""
IN_AN_IMPORT = WAIT.format("import clumsy; print(clumsy.__name__)")
WHERE_NOTHING_CAN_BE_RAISED = """
class Closing:
    def __del__(self):
        interrupt()
""" + WAIT.format("Closing()")


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        capture_output=True,
        text=True,
        cwd=folder,
        env=ENVIRONMENT,
        timeout=60,
    )


def test_interrupt_in_work_is_raised(tmp_path: Path) -> None:
    ended = run(WAIT.format("interrupt()"), tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("in order\n", "", 0)


def test_interrupt_waits_for_the_end_of_an_import(tmp_path: Path) -> None:
    (tmp_path / "clumsy.py").write_text(CLUMSY)
    ended = run(IN_AN_IMPORT, tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("clumsy\nin order\n", "", 0)


def test_interrupt_that_was_lost_is_raised_again(tmp_path: Path) -> None:
    ended = run(WHERE_NOTHING_CAN_BE_RAISED, tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("in order\n", "", 0)


@pytest.mark.parametrize("before", ["", "with interruptible(): print('done')"])
def test_interrupt_outside_of_work_is_a_message(before: str, tmp_path: Path) -> None:
    ended = run(f"{before}\ninterrupt()\ntime.sleep(20)", tmp_path)
    assert (ended.stderr, ended.returncode) == ("Error: interrupted\n", 130)
    assert ended.stdout == ("done\n" if before else "")


def test_second_interrupt_ends_the_process_at_once(tmp_path: Path) -> None:
    twice = "try: interrupt()\n        finally: interrupt()"
    ended = run(WAIT.format(twice), tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", -signal.SIGINT)


def test_where_interrupts_are_ignored_they_stay_so(tmp_path: Path) -> None:
    ignored = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nown_interrupts()\n"
    ended = run(ignored + "with interruptible(): interrupt()\ninterrupt()", tmp_path)
    assert (ended.stderr, ended.returncode) == ("", 0)
