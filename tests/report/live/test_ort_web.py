"""The runtime comes from a folder, the cache or npm, and only if it is the pinned one."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from onnxplain.core.errors import LibraryMissing, OutputError
from onnxplain.report.live import ort_web
from onnxplain.report.live.ort_web import BINARY, LICENCE, MODULE, VERSION, find_ort_web
from tests.helpers.ort_page import need_ort_web


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / f"onnxruntime-web-{VERSION}"


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Two small files, pinned for this test."""
    import hashlib

    files = {MODULE: b"export {}", BINARY: b"\0asm"}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(ort_web, "SHA256", hashes)
    return files


def make_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program npm in front of the path."""
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def pack_package(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_npm_fetches_once(
    cache: Path, pinned: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, log = tmp_path / "fetched.tgz", tmp_path / "log"
    pack_package(archive, pinned)
    make_npm(tmp_path / "bin", monkeypatch, f'echo "$@" >> {log}; cp {archive} ort.tgz')
    for _ in range(2):
        found = find_ort_web()
        assert (found.module, found.binary) == (pinned[MODULE], pinned[BINARY])
    assert log.read_text().splitlines() == [
        f"pack onnxruntime-web@{VERSION} --ignore-scripts --silent"
    ]
    assert (cache / "LICENSE").read_text() == LICENCE
    assert "Permission is hereby granted, free of charge" in LICENCE
    # What was changed in the cache is fetched again.
    (cache / BINARY).write_bytes(b"changed")
    assert find_ort_web().binary == pinned[BINARY]
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize("inside", ["", "dist", "package/dist"])
def test_folder_is_taken(pinned: dict[str, bytes], tmp_path: Path, inside: str) -> None:
    folder = tmp_path / "given" / inside
    folder.mkdir(parents=True)
    for name, content in pinned.items():
        (folder / name).write_bytes(content)
    assert find_ort_web(tmp_path / "given").binary == pinned[BINARY]


def test_other_files_are_refused(
    cache: Path, pinned: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match=rf"cannot be read .* holds {MODULE} and {BINARY} of npm"):
        find_ort_web(tmp_path)
    (tmp_path / MODULE).write_bytes(pinned[MODULE])
    (tmp_path / BINARY).write_bytes(b"other")
    with pytest.raises(OutputError, match=rf"{BINARY} has sha256 d9298a10.*not that of npm's"):
        find_ort_web(tmp_path)
    archive = tmp_path / "fetched.tgz"
    pack_package(archive, {**pinned, MODULE: b"other"})
    make_npm(tmp_path / "bin", monkeypatch, f"cp {archive} ort.tgz")
    with pytest.raises(OutputError, match=f"{MODULE} has sha256"):
        find_ort_web()
    assert not cache.exists()
    pack_package(archive, {MODULE: pinned[MODULE]})
    with pytest.raises(OutputError, match=r"npm gave an archive without .*\.wasm"):
        find_ort_web()


def test_what_to_do_without_npm_or_network(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_npm(tmp_path / "bin", monkeypatch, "echo 'npm error network' >&2; exit 1")
    with pytest.raises(LibraryMissing, match=r"npm error network.*npm pack .*--runtime"):
        find_ort_web()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(LibraryMissing, match=r"there is no npm to fetch it.*--runtime"):
        find_ort_web()


def test_real_package_is_the_pinned_one() -> None:
    found = need_ort_web()
    assert found.binary[:4] == b"\0asm"
    assert f"ONNX Runtime Web v{VERSION}".encode() in found.module[:200]
