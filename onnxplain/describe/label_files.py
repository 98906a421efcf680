"""Class names: read from a text, CSV or JSON file, and fitted to the number of scores."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxplain.core.errors import ModelError
from onnxplain.core.text_files import TextError, parse_json, read_text

NAME_COLUMNS = ("class_name", "clean_name", "name", "label", "class", "names")
INDEX_COLUMNS = ("class_index", "index", "class_id", "id")
BACKGROUND = "background"


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names in the order of the scores.

    Text files hold one name per line, which may be followed by the number of the class or
    preceded by a WordNet id. CSV files have a column ``class_name`` (or another of
    `NAME_COLUMNS`) and may have ``class_index``. JSON files hold a list, or an object from
    number to name.

    Raises
    ------
    ModelError
        If the file cannot be read, or is in none of these forms.
    """
    try:
        text = read_text(path)
    except (OSError, TextError) as error:
        raise ModelError(f"{path}: class names cannot be read: {error}") from error
    if path.suffix.lower() == ".json":
        try:
            return parse_class_names(parse_json(text), path.name)
        except TextError as error:
            raise ModelError(f"{path.name}: {error}") from error
    if path.suffix.lower() == ".csv":
        return _parse_csv(text, path.name)
    return _parse_text(text, path.name)


def parse_class_names(value: Any, where: str) -> tuple[str, ...]:
    """Return the class names of a list, or of an object from number to name.

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
    """
    if isinstance(value, Mapping) and isinstance(value.get("id2label"), Mapping):
        value = value["id2label"]
    if isinstance(value, Mapping):
        try:
            by_index = {int(index): name for index, name in value.items()}
        except ValueError as error:
            raise ModelError(
                f"{where}: the keys of class names must be their numbers: {error}"
            ) from error
        value = _sort_by_index(by_index, where)
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


def _sort_by_index(by_index: Mapping[int, Any], where: str) -> list[Any]:
    if sorted(by_index) != list(range(len(by_index))):
        raise ModelError(
            f"{where}: class numbers must run from 0 to {len(by_index) - 1} without a gap"
        )
    return [by_index[index] for index in range(len(by_index))]


def _parse_csv(text: str, where: str) -> tuple[str, ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = list(reader.fieldnames or ())
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ModelError(f"{where}: line {reader.line_num}: {error}") from error
    name_column = next((column for column in NAME_COLUMNS if column in columns), None)
    if name_column is None:
        raise ModelError(f"{where}: needs a column {' or '.join(NAME_COLUMNS)}, has {columns}")
    index_column = next((column for column in INDEX_COLUMNS if column in columns), None)
    rows = []
    for line, row in lines:
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
        by_index = {int(row[index_column]): row[name_column] for row in rows}
        return tuple(_sort_by_index(by_index, where))
    except ValueError as error:
        raise ModelError(
            f"{where}: column {index_column} must hold whole numbers: {error}"
        ) from error


def _parse_text(text: str, where: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not any(lines):
        raise ModelError(f"{where}: holds no class names")
    if all(re.search(rf"\s{index}$", line) for index, line in enumerate(lines)):
        bare = [line.rsplit(maxsplit=1)[0] for line in lines]
        if len(set(bare)) == len(bare):  # else the number is a part of the name, as in "digit 0"
            lines = bare
    if all(re.match(r"n\d{8}\s+\S", line) for line in lines):
        lines = [line.split(maxsplit=1)[1] for line in lines]
    return tuple(lines)
