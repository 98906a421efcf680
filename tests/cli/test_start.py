"""What the process does before and beside the commands: interrupted imports, too little memory."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ENVIRONMENT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX")

# Stands for any library that takes long to import.
SLOW = 'import time\nprint("ready", flush=True)\ntime.sleep(20)\n'
# Little room for addresses, as `ulimit -v` sets it, from when everything is imported.
LITTLE = """
import resource, sys
import onnxplain.cli.explain, onnxplain.api, onnxplain.loading
from onnxplain.__main__ import run
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {more}, used + {more}))
sys.argv = ["onnxplain", *sys.argv[1:]]
run()
"""


def test_interruption_of_the_imports_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(SLOW)
    place = {"PYTHONPATH": f"{tmp_path}:{ENVIRONMENT['PYTHONPATH']}"}
    with subprocess.Popen(
        [sys.executable, "-m", "onnxplain", "--version"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, **place},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "Error: interrupted\n"
    assert process.returncode == 130


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what is used from /proc")
@pytest.mark.parametrize("more", [1 << 20, 8 << 20])
def test_too_little_memory_is_one_message(model: Path, photo: Path, more: int) -> None:
    words = ["explain", photo.name, "-m", model.name, "--n-masks", "4", "--size", "16"]
    process = subprocess.run(
        [sys.executable, "-c", LITTLE.format(more=more), *words],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("Error: not enough memory: ")
