"""ONNX Runtime for browsers: two files of the npm package onnxruntime-web.

npm fetches them once into the cache, and they are used only if they are the pinned ones.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from onnxplain.cache import get_cache_dir
from onnxplain.core.errors import LibraryMissing, OutputError, tell_reason
from onnxplain.core.files import open_regular, write_atomic

log = logging.getLogger(__name__)

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
MODULE, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
SHA256 = {
    MODULE: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
MAX_BYTES = 50_000_000  # of a file
SECONDS = 600  # for fetching
LICENCE = (Path(__file__).parent / "onnxruntime_web.licence.txt").read_text("utf-8")


@dataclass(frozen=True)
class OrtWeb:
    """The two files of the runtime.

    Parameters
    ----------
    module : bytes
        A JavaScript module with the interface of onnxruntime-web.
    binary : bytes
        What it runs, as WebAssembly.
    """

    module: bytes
    binary: bytes


def find_ort_web(folder: str | os.PathLike[str] | None = None) -> OrtWeb:
    """Find the runtime in a folder; else in the cache, where npm puts it on first use.

    Parameters
    ----------
    folder : path, optional
        A folder with the two files; or with the unpacked package, which has them in ``dist``.

    Raises
    ------
    OutputError
        If the folder does not hold the pinned files.
    LibraryMissing
        If they are not in the cache and cannot be fetched.
    """
    if folder is not None:
        return _read_folder(Path(folder))
    cached = get_cache_dir() / f"{PACKAGE}-{VERSION}"
    try:
        return _read(cached)
    except OutputError as error:
        if cached.is_dir():
            log.warning("%s; fetched again", error)
    files = _fetch()
    for name, content in files.items():
        _check(name, content, f"{PACKAGE} {VERSION}")
    try:
        cached.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomic(cached / name, content)
        write_atomic(cached / "LICENSE", LICENCE.encode())
    except (OSError, OutputError) as error:
        log.warning("%s %s is not kept: %s", PACKAGE, VERSION, error)
    return OrtWeb(files[MODULE], files[BINARY])


def _read_folder(folder: Path) -> OrtWeb:
    """Read the files of a folder that the user gave."""
    places = (folder, folder / "dist", folder / "package" / "dist")
    found = next((place for place in places if (place / BINARY).is_file()), folder)
    return _read(found)


def _read(folder: Path) -> OrtWeb:
    files = {}
    for name in SHA256:
        try:
            with open_regular(folder / name) as file:
                files[name] = file.read(MAX_BYTES)
        except OSError as error:
            raise OutputError(
                f"{folder / name}: cannot be read ({tell_reason(error)}); the folder of the "
                f"runtime holds {MODULE} and {BINARY} of npm's {PACKAGE} {VERSION}"
            ) from error
        _check(name, files[name], str(folder))
    return OrtWeb(files[MODULE], files[BINARY])


def _check(name: str, content: bytes, place: str) -> None:
    """Refuse a file that is not the pinned one."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise OutputError(
            f"{place}: {name} has sha256 {found}, not {SHA256[name]}: it is not that of npm's "
            f"{PACKAGE} {VERSION}, which is the only one that is taken"
        )


def _fetch() -> dict[str, bytes]:
    """Fetch the package with npm, as the user has configured it; nothing of it is run."""
    advice = (
        f"get it where npm is, with `npm pack {PACKAGE}@{VERSION}`, unpack it, and give its "
        f"folder with --runtime"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise LibraryMissing(
            f"a live report carries {PACKAGE} {VERSION}, and there is no npm to fetch it; {advice}"
        )
    log.info("fetching %s %s (33 MB)", PACKAGE, VERSION)
    with tempfile.TemporaryDirectory(prefix="onnxplain-") as folder:
        try:
            process = subprocess.run(
                [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LibraryMissing(f"{PACKAGE} {VERSION}: npm fails: {error}; {advice}") from error
        archive = next(Path(folder).glob("*.tgz"), None)
        if process.returncode or archive is None:
            lines = (process.stderr or process.stdout).strip().splitlines() or ["no reason given"]
            raise LibraryMissing(
                f"{PACKAGE} {VERSION} cannot be fetched ({lines[0]}); check the network and npm's "
                f"configuration, or {advice}"
            )
        return _unpack(archive)


def _unpack(archive: Path) -> dict[str, bytes]:
    """Read the two files of the package's archive."""
    files = {}
    try:
        with tarfile.open(archive) as package:
            for name in SHA256:
                member = package.extractfile(f"package/dist/{name}")
                files[name] = b"" if member is None else member.read(MAX_BYTES)
    except (KeyError, tarfile.TarError, OSError) as error:
        raise OutputError(f"{PACKAGE} {VERSION}: npm gave an archive without {error}") from error
    return files
