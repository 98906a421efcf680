"""Of the two packages of ONNX Runtime, one may be installed, and it has to be whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import onnxplain
from onnxplain.runtime.wheels import describe_clash, import_wheel, read_wheels
from tests.helpers.wheels import write_both_wheels, write_installed


def run_python(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new process that finds packages in these folders first."""
    path = os.pathsep.join(map(str, [*folders, Path(onnxplain.__file__).parents[1]]))
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


IMPORT = "from onnxplain.runtime.wheels import import_wheel; print(import_wheel().__version__)"


def test_the_installed_package_is_imported_without_a_word() -> None:
    import onnxruntime

    assert import_wheel() is onnxruntime
    assert describe_clash(read_wheels()) == ""


def test_both_packages_are_a_warning_that_says_which_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_both_wheels(tmp_path, monkeypatch)
    result = run_python(IMPORT, tmp_path)
    assert result.returncode == 0
    version = result.stdout.strip()
    assert "onnxruntime-gpu 1.31.1 and onnxruntime 1.32.0 are both installed" in result.stderr
    assert f"{version} is what runs: pip uninstall -y onnxruntime-gpu onnxruntime" in result.stderr


def test_a_folder_that_is_not_whole_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    # When one of two packages that share the folder is removed, hardly anything is left in it.
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    write_installed(tmp_path, "onnxruntime-gpu", "1.31.1")
    result = run_python(IMPORT, tmp_path)
    assert result.returncode == 1
    assert "LibraryMissing: the folder of onnxruntime is not whole" in result.stderr
    assert "then pip install onnxruntime-gpu" in result.stderr


def test_no_package_is_an_error_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError('No module onnxruntime')")
    result = run_python(IMPORT, tmp_path)
    assert result.returncode == 1
    assert "LibraryMissing: ONNX Runtime cannot be loaded" in result.stderr
    assert "pip install onnxruntime-gpu (for CUDA and CPU) or onnxruntime" in result.stderr
