"""Random changes of bytes, texts and JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from onnxplain.core.errors import OnnxplainError

Rng = np.random.Generator

# Where parsers stumble: numbers at the ends of types, and odd texts.
WHOLE = [0, 1, -1, 2, 127, 255, 256, 65535, 65536, 2**30, 2**31 - 1, -(2**31), 2**32, 2**63 - 1]
TEXTS = [
    *("", " ", "0", "-1", "nan", "NaN", "inf", "1e400", "None", "null", "true", "[]", "{}"),
    *("../secret", "/dev/zero", "a\x00b", "\x1b[2J", "\u202e", "\ud800", "é", "名", "x" * 5000),
    *("%s", "{0}", "rise:n_masks=-1", "1,2,3", "\n", "\\", '"', "'", "#", "1" * 400),
]


def pick(rng: Rng, options: Any) -> Any:
    """Draw one of the options; `Generator.choice` would turn them into an array."""
    options = list(options)
    return options[int(rng.integers(len(options)))]


def mutate_bytes(rng: Rng, data: bytes, times: int | None = None) -> bytes:
    """Flip, replace, insert, remove, repeat and cut bytes, and write extreme numbers."""
    changed = bytearray(data)
    for _ in range(times or int(rng.integers(1, 9))):
        at = int(rng.integers(len(changed) + 1))
        length = int(rng.integers(1, 17))
        match int(rng.integers(7)):
            case 0 if at < len(changed):
                changed[at] ^= 1 << int(rng.integers(8))
            case 1:
                changed[at : at + length] = rng.bytes(length)
            case 2:
                changed[at:at] = rng.bytes(length)
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length] * int(rng.integers(1, 5))
            case 5 if rng.random() < 0.2:
                del changed[at:]
            case _:
                size = pick(rng, (2, 4, 8))
                number = pick(rng, WHOLE) % 2 ** (8 * size)
                changed[at : at + size] = number.to_bytes(size, pick(rng, ("big", "little")))
    return bytes(changed)


def mutate_text(rng: Rng, text: str) -> str:
    """Put odd pieces into a text, or remove, repeat or swap lines."""
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(text) + 1))
        length = int(rng.integers(1, 9))
        lines = text.splitlines(keepends=True) or [""]
        line = int(rng.integers(len(lines)))
        match int(rng.integers(6)):
            case 0:
                text = text[:at] + pick(rng, TEXTS) + text[at:]
            case 1:
                text = text[:at] + text[at + length :]
            case 2:
                text = text[:at] + pick(rng, TEXTS) + text[at + length :]
            case 3:
                text = "".join([*lines[: line + 1], *lines[line:]])
            case 4:
                text = "".join([*lines[:line], *lines[line + 1 :]])
            case _:
                text = text[:at] + str(pick(rng, WHOLE)) + text[at + length :]
    return text


def encode(rng: Rng, text: str) -> bytes:
    """Return a text in UTF-8, or sometimes in another encoding."""
    name = "utf-8" if rng.random() < 0.85 else pick(rng, ("utf-16", "latin-1", "utf-8-sig"))
    return text.encode(name, "surrogatepass" if name != "latin-1" else "replace")


def draw_value(rng: Rng, depth: int = 0) -> Any:
    """Draw a JSON value of any type."""
    makers: list[Callable[[], Any]] = [
        lambda: pick(rng, WHOLE),
        lambda: pick(rng, TEXTS),
        lambda: float(rng.normal() * 10.0 ** rng.integers(-5, 300)),
        lambda: pick(rng, (None, True, False, float("nan"), float("inf"), 10**400, 0.5)),
        lambda: [draw_value(rng, depth + 1) for _ in range(int(rng.integers(4)))],
        lambda: {
            str(pick(rng, TEXTS)): draw_value(rng, depth + 1) for _ in range(int(rng.integers(4)))
        },
    ]
    return pick(rng, makers[: 4 if depth > 3 else 6])()


def mutate_value(rng: Rng, value: Any) -> Any:
    """Replace, remove or add a part of a JSON value at a random place."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = pick(rng, value)
        match int(rng.integers(10)):
            case 0:
                return {name: part for name, part in value.items() if name != key}
            case 1:
                return {**value, str(pick(rng, TEXTS)): value[key]}
            case _:
                return {**value, key: mutate_value(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = int(rng.integers(len(value)))
        match int(rng.integers(6)):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[: at + 1] + value[at:]
            case _:
                return [*value[:at], mutate_value(rng, value[at]), *value[at + 1 :]]
    if rng.random() < 0.03:
        deep: Any = value
        for _ in range(int(rng.integers(1, 3000))):
            deep = [deep]
        return deep
    return draw_value(rng)


def to_json(value: Any) -> str:
    """Write a value as JSON, however deep it is, with numbers that are not finite."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 5000 + "]" * 5000


def check_refusal(error: Exception, *names: str, other: tuple[type[Exception], ...] = ()) -> str:
    """Check that an error is one of our own that names the file and can be read; return the word.

    Parameters
    ----------
    error : Exception
        What was raised.
    *names : str
        Texts of which the message must hold one, if any are given.
    other : tuple of type
        Further types that the function documents.
    """
    if not isinstance(error, (OnnxplainError, *other)) or isinstance(error, UnicodeError):
        raise error
    text = str(error)
    assert text.strip(), "an empty message"
    assert len(text) < 20_000, f"a message of {len(text)} characters"
    assert not names or any(name in text for name in names), f"names no file: {text[:300]}"
    return "refused"
