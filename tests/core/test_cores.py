"""The cores that a process may use are those that the system keeps it to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from onnxplain.core.cores import count_cores, list_cores
from tests.cli.conftest import ENVIRONMENT

LAST_CORE = """
import subprocess, sys
from onnxplain.core.cores import count_cores, keep_to_cores, list_cores

keep_to_cores(list_cores()[-1:])
print(count_cores(), list_cores()[0])
child = "from onnxplain.core.cores import list_cores; print(*list_cores())"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps processes to cores")
def test_process_and_its_children_keep_to_the_cores_they_were_given() -> None:
    words = [sys.executable, "-c", LAST_CORE]
    told = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT).stdout.split()
    last = str(list_cores()[-1])
    assert told == ["1", last, last]


def test_there_is_a_core() -> None:
    assert count_cores() == len(set(list_cores())) >= 1
