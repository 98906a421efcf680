"""Class names: read from a text, CSV or JSON file, and fitted to the number of scores."""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxplain.core.errors import ModelError, tell_reason
from onnxplain.core.text_files import TextError, parse_json, read_text

NAME_COLUMNS = ("class_name", "clean_name", "name", "label", "class", "names")
INDEX_COLUMNS = ("class_index", "index", "class_id", "id")
BACKGROUND = "background"

# A number in front of a name: "0: red", "0,red", "0<tab>red", or "0 red", which is less certain.
_NUMBER_IN_FRONT = re.compile(r"(\d+)(\s*[:,;\t]\s*|\s+)(\S.*)")
_NUMBER_BEHIND = re.compile(r"(.*\S)\s*[,;\t]\s*(\d+)")
# With other marks it is the class's only if the lines have all numbers, once each: "0. red",
# "0 - red", "0_red", "red 0", "red: 0".
_MARKED_IN_FRONT = re.compile(r"(?P<number>\d+)\s*[.)=_-]\s*(?P<name>[^\W\d].*)")
_MARKED_BEHIND = re.compile(r"(?P<name>.*[^\d\s:=])(?:\s*[:=]\s*|\s+)(?P<number>\d+)")


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names in the order of the scores.

    Text files hold one name per line, which may be followed or preceded by the number of the
    class, in any order of the lines, and preceded by a WordNet id; or a list or dictionary as
    Python or JSON writes it. CSV files have a column ``class_name`` (or another of
    `NAME_COLUMNS`) and may have ``class_index``. JSON files hold a list, or an object from
    number to name or from name to number.

    Raises
    ------
    ModelError
        If the file cannot be read, is in none of these forms, or numbers classes with a gap
        or twice.
    """
    try:
        text = read_text(path)
    except (OSError, TextError) as error:
        raise ModelError(f"{path}: class names cannot be read: {tell_reason(error)}") from error
    if path.suffix.lower() == ".json":
        try:
            return parse_class_names(_load_json(text, path.name), path.name)
        except TextError as error:
            raise ModelError(f"{path.name}: {error}") from error
    if path.suffix.lower() == ".csv":
        return _parse_csv(text, path.name)
    return _parse_text(text, path.name)


def parse_class_text(text: str, where: str) -> tuple[str, ...]:
    """Return the class names of a text: a list or dictionary, or names separated by lines.

    Names in one line are separated by commas. Numbers of the classes may stand in front of
    the names, or behind them.

    Parameters
    ----------
    text : str
        As JSON or Python writes a value, or plain.
    where : str
        Where the text comes from, for messages.

    Raises
    ------
    ModelError
        If it is in none of these forms, or numbers classes with a gap or twice.

    Examples
    --------
    >>> parse_class_text("{1: 'dog', 0: 'cat'}", "metadata")
    ('cat', 'dog')
    >>> parse_class_text("cat, dog", "metadata")
    ('cat', 'dog')
    """
    names = _parse_literal(text, where)
    if names is not None:
        return names
    if len(text.strip().splitlines()) == 1:
        text = "\n".join(part.strip() for part in text.split(","))
    return _parse_lines(text, where)


def parse_class_names(value: Any, where: str) -> tuple[str, ...]:
    """Return the class names of a list, or of an object from number to name or back.

    Parameters
    ----------
    value : object
        As JSON gives it. A name may be a list whose last entry is the name, and an object may
        hold the names under ``id2label``.
    where : str
        Where the value comes from, for messages.

    Examples
    --------
    >>> parse_class_names({"1": "dog", "0": "cat"}, "labels.json")
    ('cat', 'dog')
    >>> parse_class_names({"0": ["n02123045", "tabby"]}, "imagenet_class_index.json")
    ('tabby',)
    >>> parse_class_names({"dog": 1, "cat": 0}, "class_indices.json")
    ('cat', 'dog')
    """
    if isinstance(value, Mapping) and isinstance(value.get("id2label"), Mapping):
        value = value["id2label"]
    if isinstance(value, Mapping):
        pairs = list(value.items())
        if pairs and all(type(index) is int for _, index in pairs):  # {name: index}
            pairs = [(index, name) for name, index in pairs]
        try:
            numbered = [(int(index), name) for index, name in pairs]
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{where}: the keys of class names must be their numbers: {error}"
            ) from error
        value = _sort_by_index(numbered, where)
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ModelError(f"{where}: class names must be a list, or an object from number to name")
    names = [name[-1] if isinstance(name, list) and name else name for name in value]
    if not all(isinstance(name, str) for name in names):
        raise ModelError(f"{where}: class names must be texts")
    return tuple(names)


def fit_class_names(names: Sequence[str], classes: int, where: str) -> tuple[str, ...]:
    """Return class names for `classes` scores.

    ImageNet's 1000 names serve models of 1001 scores, whose first is the background; a single
    score is the probability of the second of two classes.

    Raises
    ------
    ModelError
        If there are too few or too many.
    """
    names = tuple(names)
    expected = 2 if classes == 1 else classes
    if len(names) == expected:
        return names
    if expected == 1001 and len(names) == 1000:
        return (BACKGROUND, *names)
    if expected == 1000 and len(names) == 1001 and names[0].lower() in (BACKGROUND, "dummy"):
        return names[1:]
    if expected == 2 and len(names) == 1:
        return (f"not {names[0]}", names[0])
    raise ModelError(f"{where}: holds {len(names)} class names, the model has {expected} classes")


def make_printable(name: str) -> str:
    r"""Return a name that is safe to print in a line of text, a title or a terminal.

    >>> make_printable("red\n\x1b[31mpanda")
    'red [31mpanda'
    """
    characters = (character if character.isprintable() else " " for character in name)
    return " ".join("".join(characters).split())


def _sort_by_index(numbered: Iterable[tuple[int, Any]], where: str) -> list[Any]:
    """Return the names in the order of their numbers, which run from 0 without a gap."""
    by_index: dict[int, Any] = {}
    for index, name in numbered:
        if by_index.setdefault(index, name) != name:
            raise ModelError(
                f"{where}: the class number {index} is given twice, for {by_index[index]!r} and "
                f"for {name!r}"
            )
    missing = next(index for index in range(len(by_index) + 1) if index not in by_index)
    if missing < len(by_index):
        raise ModelError(
            f"{where}: class numbers must run from 0 to {len(by_index) - 1} without a gap; "
            f"{missing} is missing"
        )
    return [by_index[index] for index in range(len(by_index))]


def _load_json(text: str, where: str) -> Any:
    """Read JSON; a key that stands twice is an error, as one of its values would be lost."""

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ModelError(f"{where}: the key {twice!r} is given twice")
        return content

    return parse_json(text, make_object=make_object)


def _parse_literal(text: str, where: str) -> tuple[str, ...] | None:
    """Return the names of a list or dictionary of JSON or Python; None if it is neither."""
    text = text.strip()
    if text[:1] + text[-1:] not in ("{}", "[]", "()"):
        return None
    try:
        return parse_class_names(_load_json(text, where), where)
    except (ValueError, RecursionError):
        pass
    try:
        tree = ast.parse(text, mode="eval").body
        value = ast.literal_eval(tree)
        if isinstance(tree, ast.Dict) and len(value) < len(tree.keys):
            raise ModelError(f"{where}: a key is given twice")
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return parse_class_names(list(value) if isinstance(value, tuple) else value, where)


def _parse_csv(text: str, where: str) -> tuple[str, ...]:
    head = text.partition("\n")[0]
    separator = next((mark for mark in (",", ";", "\t") if mark in head), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        columns = list(reader.fieldnames or ())
        numbered_rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ModelError(f"{where}: line {reader.line_num}: {error}") from error
    name_column = next((column for column in NAME_COLUMNS if column in columns), None)
    if name_column is None and _NUMBER_IN_FRONT.fullmatch(head.strip()):
        cells = csv.reader(io.StringIO(text), delimiter=separator)  # no columns are named
        lines = [f"{line[0]}: {separator.join(line[1:])}" for line in cells if line]
        return _parse_lines("\n".join(lines), where)
    if name_column is None:
        raise ModelError(f"{where}: needs a column {' or '.join(NAME_COLUMNS)}, has {columns}")
    index_column = next((column for column in INDEX_COLUMNS if column in columns), None)
    rows = []
    for line, row in numbered_rows:
        for column in (name_column, index_column):
            if column and row[column] is None:  # the row is too short
                raise ModelError(
                    f"{where}: line {line} has nothing in column {column}; write "
                    f"{', '.join(columns)}"
                )
        rows.append(row)
    if not rows:
        raise ModelError(f"{where}: holds no class names")
    if index_column is None:
        return tuple(row[name_column] for row in rows)
    try:
        numbered = [(int(row[index_column]), row[name_column]) for row in rows]
        return tuple(_sort_by_index(numbered, where))
    except ValueError as error:
        raise ModelError(
            f"{where}: column {index_column} must hold whole numbers: {error}"
        ) from error


def _parse_text(text: str, where: str) -> tuple[str, ...]:
    names = _parse_literal(text, where)
    return _parse_lines(text, where) if names is None else names


def _parse_lines(text: str, where: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    filled = [line for line in lines if line]
    if not filled:
        raise ModelError(f"{where}: holds no class names")
    if numbered := _split_numbers(filled):
        lines = _sort_by_index(numbered, where)
    if all(re.match(r"n\d{8}\s+\S", line) for line in lines):
        lines = [line.split(maxsplit=1)[1] for line in lines]
    return tuple(_strip_quotes(lines))


def _split_numbers(lines: Sequence[str]) -> list[tuple[int, str]] | None:
    """Split class numbers from names, if every line has one in front, or behind.

    Behind a colon, comma, semicolon or tab, what follows is the name. With a space alone, the
    number may be a part of the name, as in "2 euro": it is if names without it were equal,
    unless the numbers are those of all classes. With other marks, and behind the name, the numbers
    have to be those of all classes, and names without them must differ.
    """
    if len(lines) < 2:
        return None
    for pattern in (_MARKED_IN_FRONT, _MARKED_BEHIND):
        if marked := _match_all(pattern, lines):
            pairs = [(int(match["number"]), match["name"]) for match in marked]
            n_bare = len({name.casefold() for _, name in pairs})
            if n_bare == len(lines) and _are_all_numbers(pairs):
                return pairs
    if matches := _match_all(_NUMBER_BEHIND, lines):
        return [(int(match[2]), match[1]) for match in matches]
    matches = _match_all(_NUMBER_IN_FRONT, lines)
    if matches is None:
        return None
    numbered = [(int(match[1]), match[3]) for match in matches]
    if any(match[2].isspace() and "\t" not in match[2] for match in matches):
        n_bare = len({name.casefold() for _, name in numbered})
        is_number = _are_all_numbers(numbered) and 2 * n_bare > len(lines)
        if n_bare < len(lines) and not is_number:
            return None
    return numbered


def _are_all_numbers(numbered: Sequence[tuple[int, str]]) -> bool:
    """Return whether the numbers are those of all classes, once each."""
    return sorted(index for index, _ in numbered) == list(range(len(numbered)))


def _match_all(pattern: re.Pattern[str], lines: Sequence[str]) -> list[re.Match[str]] | None:
    matches = [match for line in lines if (match := pattern.fullmatch(line))]
    return matches if len(matches) == len(lines) else None


def _strip_quotes(names: Sequence[str]) -> list[str]:
    """Return the names without quotes, if all are quoted."""
    for quote in "'\"":
        if all(len(name) > 2 and name[0] == name[-1] == quote for name in names):
            return [name[1:-1] for name in names]
    return list(names)
