"""The one reader of small text files: JSON, TOML, XML, CSV and lists of names.

Such files come with models and data sets that somebody else made. So there are bounds on their
size, on how deep they are nested and on their numbers, and only regular files are read: no
device, and no pipe that never ends. Errors are `TextError`; who reads adds the file's name.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from onnxplain.core.files import open_regular

CONFIG_BYTES = 4 << 20  # of a description, a plan, or a list of class names
ANNOTATION_BYTES = 64 << 20  # of what is known of a folder of images, and of one row of results
MAX_DEPTH = 64  # of lists in lists
MAX_WHOLE = 10**300  # larger whole numbers have no float


class TextError(ValueError):
    """A text that is not read: too large, too deep, or not of its form."""


def read_bytes(path: Path, limit: int = CONFIG_BYTES) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Raises
    ------
    TextError
        If it is larger.
    OSError
        If it cannot be read, or is a device or a pipe.
    """
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise TextError(f"it is larger than {limit >> 20} MiB, which is more than such a file has")
    return content


def read_text(path: Path, limit: int = CONFIG_BYTES) -> str:
    """Read a text file in UTF-8, with or without a mark of that in front; see `read_bytes`.

    Ends of lines are as in the file.

    Raises
    ------
    TextError
        If it is too large, or not in UTF-8.
    OSError
        If it cannot be read.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"it is not a text in UTF-8: {error}") from error


def parse_json(
    text: str | bytes,
    *,
    finite: bool = True,
    make_object: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Return the value of a JSON text.

    Parameters
    ----------
    text : str or bytes
        The text, in UTF-8 if it is bytes.
    finite : bool
        Whether to refuse numbers that are not finite; false for who looks at each of them.
    make_object : callable, optional
        Makes the value of an object from its pairs of key and value; `dict` if not given.

    Raises
    ------
    TextError
        If it is not JSON, nested too deep, or holds a number that is not finite.
    """
    parse = partial(json.loads, object_pairs_hook=make_object)
    return _parse(parse, text, "JSON", _list_parts if finite else _list_any_parts)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Raises
    ------
    TextError
        If it is not TOML, nested too deep, or holds a number that is not finite.
    """
    content: dict[str, Any] = _parse(tomllib.loads, text, "TOML", _list_parts)
    return content


def parse_xml(content: bytes) -> ElementTree.Element:
    """Return the root of an XML text.

    Raises
    ------
    TextError
        If it is not XML, or nested too deep.
    """
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # also unknown encodings
        raise TextError(str(error)) from error
    _check_depth(root, iter)
    return root


def _parse(
    parse: Callable[[Any], Any],
    text: str | bytes,
    form: str,
    list_parts: Callable[[Any], Iterable[Any]],
) -> Any:
    try:
        value = parse(text)
    except RecursionError as error:
        raise TextError(f"it is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise TextError(f"it is not valid {form}: {error}") from error
    _check_depth(value, list_parts)
    return value


def _check_depth(value: Any, list_parts: Callable[[Any], Iterable[Any]]) -> None:
    """Check how deep a value is nested, level by level: nothing recurses."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [part for parent in level for part in list_parts(parent)]
        if not level:
            return
    raise TextError(f"it is nested deeper than {MAX_DEPTH} levels")


def _list_any_parts(value: Any) -> Iterable[Any]:
    """Return the parts of a list or an object."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _list_parts(value: Any) -> Iterable[Any]:
    """Return the parts of a list or an object; check what is a number."""
    if isinstance(value, float) and not math.isfinite(value):
        raise TextError(f"it holds the number {value}, which is not finite")
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        raise TextError("it holds a whole number of more than 300 digits")
    return _list_any_parts(value)
