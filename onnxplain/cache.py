"""The user's cache folder, for built models and measured facts; and how files are replaced."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from onnxplain.errors import OutputError

log = logging.getLogger(__name__)

VARIABLE = "ONNXPLAIN_CACHE"


def cache_dir() -> Path:
    r"""The folder for what can be made again; it need not exist yet.

    ``$ONNXPLAIN_CACHE`` if set, else where the platform keeps such things:
    ``$XDG_CACHE_HOME/onnxplain`` or ``~/.cache/onnxplain``, ``~/Library/Caches/onnxplain``
    on macOS, ``%LOCALAPPDATA%\onnxplain\Cache`` on Windows.

    Raises
    ------
    OutputError
        If a home folder that it names is not known.
    """
    try:
        return _cache_dir()
    except RuntimeError as error:  # of expanduser
        raise OutputError(
            f"no folder for the cache: {str(error).rstrip('.')}; set {VARIABLE} to one, without ~"
        ) from error


def _cache_dir() -> Path:
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
        return Path(local).expanduser() / "onnxplain" / "Cache"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/onnxplain").expanduser()
    # The XDG specification says that a relative path is to be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "onnxplain"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that then takes the place of `path`: whole or not at all.

    It has another name until it is whole. Whoever reads `path` meanwhile sees the old file
    or the new one, and two writers leave one of their files. Its folder must exist.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    part = path.with_name(f".{uuid.uuid4().hex}")  # `path` may be as long as names can be
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Tell the user where results could not be written: a file or a folder.

    Raises
    ------
    OutputError
        If the block meets an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{place}: cannot be written ({error.strerror or error}); give another place"
        ) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, as `replacing` does; folders are made as needed.

    Raises
    ------
    OSError
        If the folder cannot be made or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)


def remember(kind: str, key: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Keep facts that took time to find out; a folder that cannot be written is no error.

    Parameters
    ----------
    kind : str
        What the facts are about; names a folder.
    key : sequence of str
        All that they depend on.
    facts : mapping
        What JSON can hold.
    """
    content = json.dumps({**facts, "key": list(key)}, indent=1)
    try:
        write_atomic(_place(kind, key), content.encode())
    except (OSError, OutputError) as error:
        log.info("%s: not remembered: %s", kind, error)


def recall(kind: str, key: Sequence[str]) -> dict[str, Any] | None:
    """The facts remembered; None if there are none or they cannot be read."""
    try:
        facts = json.loads(_place(kind, key).read_bytes())
    except (OSError, OutputError, ValueError):
        return None
    return facts if isinstance(facts, dict) and facts.pop("key", None) == list(key) else None


def _place(kind: str, key: Sequence[str]) -> Path:
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()
    return cache_dir() / kind / f"{digest[:32]}.json"
