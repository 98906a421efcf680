"""The user's cache folder, which holds built models and measured facts."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from onnxplain.core.errors import OutputError
from onnxplain.core.files import write_atomic
from onnxplain.core.text_files import TextError, parse_json, read_bytes

log = logging.getLogger(__name__)

T = TypeVar("T")

VARIABLE = "ONNXPLAIN_CACHE"


def get_cache_dir() -> Path:
    r"""Return the folder for files that can be made again; it need not exist yet.

    It is ``$ONNXPLAIN_CACHE`` if set, else where the platform keeps such files:
    ``$XDG_CACHE_HOME/onnxplain`` or ``~/.cache/onnxplain``, ``~/Library/Caches/onnxplain``
    on macOS, ``%LOCALAPPDATA%\onnxplain\Cache`` on Windows.

    Raises
    ------
    OutputError
        If it lies in the home folder and no home folder is known.
    """
    try:
        return _find_cache_dir()
    except RuntimeError as error:  # from expanduser
        raise OutputError(
            f"no folder for the cache: {str(error).rstrip('.')}; set {VARIABLE} to a folder, "
            f"without ~"
        ) from error


def _find_cache_dir() -> Path:
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
        return Path(local).expanduser() / "onnxplain" / "Cache"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/onnxplain").expanduser()
    # The XDG specification says that relative paths must be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "onnxplain"


def remember(kind: str, key: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Store facts that took time to find out; only log it if they cannot be written.

    Parameters
    ----------
    kind : str
        Subject of the facts; also the name of their folder.
    key : sequence of str
        Everything that the facts depend on.
    facts : mapping
        Values of types that JSON can hold.
    """
    content = json.dumps({**facts, "key": list(key), "sha256": _hash(facts, key)}, indent=1)
    try:
        write_atomic(_get_path(kind, key), content.encode())
    except (OSError, OutputError) as error:
        log.info("%s: not remembered: %s", kind, error)


def recall(kind: str, key: Sequence[str]) -> dict[str, Any] | None:
    """Return stored facts, or None if there are none, they cannot be read, or they were changed."""
    try:
        facts = parse_json(read_bytes(_get_path(kind, key)))
    except (OSError, OutputError, TextError):
        return None
    if not isinstance(facts, dict) or facts.pop("key", None) != list(key):
        return None
    stored = facts.pop("sha256", None)
    if stored != _hash(facts, key):
        if stored is not None:  # earlier versions wrote none
            _warn(kind, key, "it was changed")
        return None
    return facts


def recall_parsed(
    kind: str, key: Sequence[str], parse: Callable[[Mapping[str, Any]], T]
) -> T | None:
    """Return stored facts as `parse` makes them; None if there are none, or not such facts.

    Parameters
    ----------
    kind, key
        As for `remember`.
    parse : callable
        Takes what `recall` returns and raises any error if it is not what was remembered.
    """
    facts = recall(kind, key)
    if facts is None:
        return None
    try:
        return parse(facts)
    except Exception as error:  # whatever the file holds: it can be found out again
        _warn(kind, key, repr(error))
        return None


def _warn(kind: str, key: Sequence[str], reason: str) -> None:
    path = _get_path(kind, key)
    log.warning("%s: is not what onnxplain stored (%s) and is ignored", path, reason)


def _hash(facts: Mapping[str, Any], key: Sequence[str]) -> str:
    """Return a checksum of facts, as a changed value may still be a possible one."""
    text = json.dumps([list(key), dict(facts)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _get_path(kind: str, key: Sequence[str]) -> Path:
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()
    return get_cache_dir() / kind / f"{digest[:32]}.json"
