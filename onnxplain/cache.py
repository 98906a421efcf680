"""The user's cache folder, for built models and measured facts."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxplain.core.errors import OutputError
from onnxplain.core.files import write_atomic

log = logging.getLogger(__name__)

VARIABLE = "ONNXPLAIN_CACHE"


def get_cache_dir() -> Path:
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
    return get_cache_dir() / kind / f"{digest[:32]}.json"
