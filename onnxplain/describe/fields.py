"""The fields of a spec as flags and files give them: checked, and brought to one form.

A spec (a classifier's or an inpainter's) has a table of `Field`, one per entry that flags,
TOML files and metadata may give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from onnxplain.core.data import Centre, Fit, Interpolation, Size
from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.params import to_plain
from onnxplain.core.spec import ChannelOrder, DType, Head, Layout

MAX_SIDE = 4096  # pixels; larger images take gigabytes per batch before anything is known

Parser: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """An entry of a spec.

    Parameters
    ----------
    name : str
        The spec's attribute, and the key in TOML and JSON.
    option : str
        The option on the command line.
    parse : callable
        Takes a plain value of Python and returns it in the form that the spec holds, or
        raises a ValueError or TypeError that names the field.
    """

    name: str
    option: str
    parse: Parser


FieldTable: TypeAlias = Mapping[str, Field]


Part: TypeAlias = Literal["geometry", "interpolation", "normalisation"]  # of a spec


@dataclass(frozen=True, slots=True)
class SpecSource:
    """Parsed fields of a spec, and the name of the place where they were found.

    `refusals` tells what the place asks for that a spec cannot say, by the part of the spec.
    """

    name: str
    values: Mapping[str, Any]
    refusals: Mapping[Part, str] = field(default_factory=dict)


def parse_field(fields: FieldTable, name: str, value: Any) -> Any:
    """Return the value of a field in the form that the spec holds.

    Raises
    ------
    ValueError, TypeError
        If there is no such field, or the value is not valid for it.

    Examples
    --------
    >>> parse_field(CLASSIFIER_FIELDS, "size", 224)
    (224, 224)
    >>> parse_field(CLASSIFIER_FIELDS, "colour", "gray")
    Traceback (most recent call last):
        ...
    ValueError: colour: 'gray' is unknown; did you mean 'grey'?
    """
    if name not in fields:
        raise ValueError(f"field {describe_unknown(name, fields)}")
    return fields[name].parse(to_plain(value))


def parse_fields(fields: FieldTable, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of several fields by name; see `parse_field`."""
    return {name: parse_field(fields, name, value) for name, value in values.items()}


def parse_flag(fields: FieldTable, name: str, value: Any) -> SpecSource:
    """Return a source that holds a single flag, so that the flag is recorded as the origin."""
    parsed = parse_field(fields, name, value)
    return SpecSource(f"flag {fields[name].option}", {name: parsed})


def _parse_numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = (value,)
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"needs one number or several, got {value!r}")
    if not all(isinstance(part, int | float) and not isinstance(part, bool) for part in value):
        raise ValueError(f"needs numbers, got {value!r}")
    numbers = tuple(float(part) for part in value)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"needs finite numbers, got {value!r}")
    return numbers


def _parse_channels(value: Any) -> tuple[float, ...]:
    numbers = _parse_numbers(value)
    if len(numbers) not in (1, 3):
        raise ValueError(f"needs one number per channel, 1 or 3, got {value!r}")
    return numbers


def _parse_deviations(value: Any) -> tuple[float, ...]:
    numbers = _parse_channels(value)
    if min(numbers) <= 0:
        raise ValueError(f"must be > 0, got {value!r}")
    return numbers


def _parse_range(value: Any) -> tuple[float, float]:
    numbers = _parse_numbers(value)
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise ValueError(f"needs a low and a higher number, got {value!r}")
    return numbers[0], numbers[1]


def _parse_scale(value: Any) -> tuple[float, float]:
    numbers = _parse_numbers(value)
    if len(numbers) != 2 or numbers[0] <= 0:
        raise ValueError(f"needs a scale > 0 and a zero point, got {value!r}")
    return numbers[0], numbers[1]


def _parse_size(value: Any) -> tuple[int, int]:
    sides = (value, value) if isinstance(value, int) else tuple(value)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or not 1 <= min(sides) <= max(sides) <= MAX_SIDE:
        raise ValueError(f"needs rows and columns, 1 to {MAX_SIDE} pixels, got {value!r}")
    return sides


def _parse_resize(value: Any) -> int | Size:
    """Return one side, which `fit` interprets, or rows and columns."""
    size = _parse_size(value)
    return size[0] if isinstance(value, int) else size


def _parse_crop(value: Any) -> float | Size:
    """Return the share of the resized side that is kept, or a size in pixels."""
    if isinstance(value, float) or (value == 1 and value is not True):
        if not 0 < value <= 1:
            raise ValueError(
                f"as a share it must be > 0 and <= 1, as pixels a whole number; got {value!r}"
            )
        return float(value)
    return _parse_size(value)


def _parse_border(value: Any) -> tuple[int, ...]:
    numbers = _parse_channels(value)
    if not all(number.is_integer() and 0 <= number <= 255 for number in numbers):
        raise ValueError(f"needs whole numbers from 0 to 255, one or red, green, blue; {value!r}")
    return tuple(map(int, numbers * 3))[:3]


def _parse_name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"needs a name, got {value!r}")
    return value


def _parse_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(name, str) for name in value) or not value:
        raise ValueError(f"needs a list of names, got {value!r}")
    return tuple(value)


def _parse_switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"is true or false, got {value!r}")
    return value


def _make_choice_parser(literal: Any) -> Parser:
    """Return a parser that accepts the values of a ``Literal``."""
    choices: tuple[str, ...] = get_args(literal)

    def parse_choice(value: Any) -> str:
        if value not in choices:
            raise ValueError(describe_unknown(str(value), choices))
        return str(value)

    return parse_choice


def _make_field(name: str, parse_value: Parser, option: str | None = None) -> Field:
    """Return a field whose errors begin with its name."""

    def parse(value: Any) -> Any:
        try:
            return parse_value(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error

    return Field(name, option or f"--{name.replace('_', '-')}", parse)


CLASSIFIER_FIELDS: FieldTable = {
    field.name: field
    for field in (
        _make_field("input", _parse_name, "--input-name"),
        _make_field("output", _parse_name, "--output-name"),
        _make_field("layout", _make_choice_parser(Layout)),
        _make_field("colour", _make_choice_parser(ChannelOrder)),
        _make_field("dtype", _make_choice_parser(DType)),
        _make_field("range", _parse_range),
        _make_field("mean", _parse_channels),
        _make_field("std", _parse_deviations),
        _make_field("size", _parse_size),
        _make_field("fit", _make_choice_parser(Fit)),
        _make_field("resize", _parse_resize),
        _make_field("crop", _parse_crop),
        _make_field("interpolation", _make_choice_parser(Interpolation)),
        _make_field("border", _parse_border),
        _make_field("centre", _make_choice_parser(Centre)),
        _make_field("head", _make_choice_parser(Head)),
        _make_field("output_scale", _parse_scale),
        _make_field("class_names", _parse_names, "--labels"),
        _make_field("allow_random", _parse_switch),
    )
}
