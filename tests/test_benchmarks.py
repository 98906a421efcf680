import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_all(*options: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-m", "benchmarks.all", *options)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(900)  # two minutes on two free cores
def test_all_benchmarks_run_small_and_print_figures_beside_their_aims():
    result = run_all("--quick")
    assert result.returncode == 0, result.stderr
    lines = re.findall(
        r"^\| (.+?) \| -?[\d.]+.* \| [<>]= [\d.]+.* \| (?:yes|NO) \|$", result.stdout, re.M
    )
    assert {name.split()[0].rstrip(",") for name in lines} == {
        *("sp", "lime", "rise", "banzhaf", "deletion", "all", "mp2", "agreement", "memory"),
        *("rows:", "startup"),
    }


@pytest.mark.slow
def test_the_beginning_of_a_name_chooses_checks():
    result = run_all("--quick", "--only", "startup")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("| startup, ") == 2
    result = run_all("--only", "nothing")
    assert result.returncode == 2
    assert "no check begins with nothing" in result.stderr
