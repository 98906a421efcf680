"""Who may import whom: the contracts in pyproject.toml hold, and break where they must."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
WRAPPED = ("onnxruntime", "onnx", "cv2", "skimage", "click", "ray", "jinja2", "matplotlib")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in a folder."""
    program = "from importlinter.cli import lint_imports_command as main; main(['--no-cache'])"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "", "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contracts."""
    pytest.importorskip("importlinter")
    shutil.copytree(
        ROOT / "onnxplain", tmp_path / "onnxplain", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(copy: Path, module: str, line: str) -> None:
    """Add an import to a module of the copy."""
    path = copy / "onnxplain" / module
    path.write_text(f"{path.read_text()}\n{line}\n")


def test_the_copy_keeps_every_contract(copy: Path) -> None:
    report = lint(copy)
    assert report.returncode == 0, report.stdout + report.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in report.stdout


def test_a_wrapped_package_is_forbidden_in_every_core_module(copy: Path) -> None:
    modules = sorted(path.name for path in (copy / "onnxplain/core").glob("[a-z]*.py"))
    assert len(modules) >= 8
    for module in modules:
        plant(copy, f"core/{module}", f"import {', '.join(WRAPPED)}")
    report = lint(copy)
    assert report.returncode == 1
    for package in WRAPPED:
        for module in modules:
            name = f"onnxplain.core.{module.removesuffix('.py')}"
            assert f"{name} -> {package} " in report.stdout, (name, package)


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("api.py", "onnxruntime"),
        ("engine/run.py", "onnxruntime"),
        ("runtime/session.py", "onnx"),
        ("methods/scores/sp.py", "cv2"),
        ("study/plan.py", "click"),
        ("cli/explain.py", "ray"),
        ("plot/figure.py", "jinja2"),
        ("runtime/keras_model.py", "torch"),
        ("image/photo_files.py", "pydicom"),
    ],
)
def test_a_wrapped_package_is_forbidden_outside_its_wrapper(
    copy: Path, module: str, package: str
) -> None:
    plant(copy, module, f"import {package}")
    report = lint(copy)
    name = f"onnxplain.{module.removesuffix('.py').replace('/', '.')}"
    assert report.returncode == 1
    assert f"{name} -> {package} " in report.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core/data.py", "import onnxplain.image"),
        ("engine/run.py", "import onnxplain.metrics"),
        ("methods/scores/sp.py", "import onnxplain.engine.run"),
        ("metrics/base.py", "import onnxplain.api"),
        ("gradient/build.py", "import onnxplain.describe"),
    ],
)
def test_an_upward_import_breaks_the_layers(copy: Path, module: str, line: str) -> None:
    plant(copy, module, line)
    report = lint(copy)
    assert report.returncode == 1
    assert "Who may import whom BROKEN" in report.stdout


def test_a_new_module_must_be_given_a_layer(copy: Path) -> None:
    (copy / "onnxplain" / "attic.py").write_text("")
    report = lint(copy)
    assert report.returncode == 1
    assert "attic" in report.stdout


def test_the_map_stays_small() -> None:
    """There are at most 14 layers, and 12 modules beside packages; no import is excused."""
    (layers,) = (contract for contract in CONTRACTS if contract["type"] == "layers")
    assert len(layers["layers"]) <= 14
    assert "ignore_imports" not in layers
    assert len(list((ROOT / "onnxplain").glob("*.py"))) <= 12
