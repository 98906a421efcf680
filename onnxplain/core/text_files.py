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
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from onnxplain.core.files import open_regular

CONFIG_BYTES = 4 << 20  # of a description, a plan, or a list of class names
ANNOTATION_BYTES = 64 << 20  # of what is known of a folder of images, and of one row of results
MAX_DEPTH = 64  # of lists in lists
MAX_WHOLE = 10**300  # larger whole numbers have no float

# Files of rows hold millions of values, so what is done for each is little.
_USUAL = 1e300  # numbers up to it need no second look
_NUMBER = (float, int)
_NESTED = (dict, list)


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
        raise TextError(f"it is not a text in UTF-8, as which it must be saved: {error}") from error


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
    return _parse(parse, text, "JSON", finite=finite)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Raises
    ------
    TextError
        If it is not TOML, nested too deep, or holds a number that is not finite.
    """
    content: dict[str, Any] = _parse(tomllib.loads, text, "TOML", finite=True)
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
    level = [root]
    for _ in range(MAX_DEPTH + 1):
        level = list(chain.from_iterable(level))
        if not level:
            return root
    raise TextError(f"it is nested deeper than {MAX_DEPTH} levels")


def _parse(parse: Callable[[Any], Any], text: str | bytes, form: str, *, finite: bool) -> Any:
    try:
        value = parse(text)
    except RecursionError as error:
        raise TextError(f"it is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise TextError(f"it is not valid {form}: {error}") from error
    _check_depth(value, finite=finite)
    return value


def _check_depth(value: Any, *, finite: bool) -> None:
    """Check how deep a value is nested, level by level: nothing recurses."""
    level: list[Iterable[Any]] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        parts = list(chain.from_iterable(level))
        if finite:
            for part in parts:
                if isinstance(part, _NUMBER) and not -_USUAL <= part <= _USUAL:
                    _check_number(part)
        level = [
            part.values() if isinstance(part, dict) else part
            for part in parts
            if isinstance(part, _NESTED)
        ]
        if not level:
            return
    raise TextError(f"it is nested deeper than {MAX_DEPTH} levels")


def _check_number(number: float) -> None:
    """Check a number that is large, or none."""
    if isinstance(number, float) and not math.isfinite(number):
        raise TextError(f"it holds the number {number}, which is not finite")
    if isinstance(number, int) and abs(number) > MAX_WHOLE:
        raise TextError("it holds a whole number of more than 300 digits")
