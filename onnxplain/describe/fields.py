"""The fields of a spec as flags and files give them: checked, and brought to one form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from onnxplain.core.data import Fit, Interpolation
from onnxplain.core.params import describe_unknown, to_plain
from onnxplain.core.spec import Colour, DType, Head, Layout

MAX_SIDE = 4096  # pixels; what is larger takes gigabytes a batch before anything is known

# Options of the command line that are not spelled as the field.
OPTIONS = {"input": "--input-name", "output": "--output-name", "class_names": "--labels"}


def spell_option(name: str) -> str:
    """How the command line spells a field.

    >>> option("output"), option("head")
    ('--output-name', '--head')
    """
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")


def parse_field(name: str, value: Any) -> Any:
    """One field's value in the form that `ModelSpec` holds.

    Raises
    ------
    ValueError, TypeError
        If there is no such field, or the value is not one for it.

    Examples
    --------
    >>> parse("size", 224), parse("mean", [0.5]), parse("range", (0, 255))
    ((224, 224), (0.5,), (0.0, 255.0))
    >>> parse("colour", "gray")
    Traceback (most recent call last):
        ...
    ValueError: colour: 'gray' is unknown; did you mean 'grey'?
    """
    if name not in FIELDS:
        raise ValueError(f"field {describe_unknown(name, FIELDS)}")
    try:
        return FIELDS[name](to_plain(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = (value,)
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"needs one number or several, got {value!r}")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
        raise ValueError(f"needs numbers, got {value!r}")
    numbers = tuple(float(one) for one in value)
    if not all(math.isfinite(one) for one in numbers):
        raise ValueError(f"needs finite numbers, got {value!r}")
    return numbers


def _channels(value: Any) -> tuple[float, ...]:
    numbers = _numbers(value)
    if len(numbers) not in (1, 3):
        raise ValueError(f"needs one number a channel, 1 or 3, got {value!r}")
    return numbers


def _deviations(value: Any) -> tuple[float, ...]:
    numbers = _channels(value)
    if min(numbers) <= 0:
        raise ValueError(f"must be > 0, got {value!r}")
    return numbers


def _range(value: Any) -> tuple[float, float]:
    numbers = _numbers(value)
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise ValueError(f"needs a low and a higher number, got {value!r}")
    return numbers[0], numbers[1]


def _scale(value: Any) -> tuple[float, float]:
    numbers = _numbers(value)
    if len(numbers) != 2 or numbers[0] <= 0:
        raise ValueError(f"needs a scale > 0 and a zero point, got {value!r}")
    return numbers[0], numbers[1]


def _size(value: Any) -> tuple[int, int]:
    sides = (value, value) if isinstance(value, int) else tuple(value)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or not 1 <= min(sides) <= max(sides) <= MAX_SIDE:
        raise ValueError(f"needs rows and columns, 1 to {MAX_SIDE} pixels, got {value!r}")
    return sides


def _share(value: Any) -> float:
    (number,) = _numbers(value)
    if not 0 < number <= 1:
        raise ValueError(f"must be > 0 and <= 1, got {value!r}")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"needs a name, got {value!r}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(one, str) for one in value) or not value:
        raise ValueError(f"needs a list of names, got {value!r}")
    return tuple(value)


def _choice(alias: Any) -> Callable[[Any], str]:
    choices: tuple[str, ...] = get_args(alias)

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(describe_unknown(str(value), choices))
        return str(value)

    return check


FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "input": _text,
    "output": _text,
    "layout": _choice(Layout),
    "colour": _choice(Colour),
    "dtype": _choice(DType),
    "range": _range,
    "mean": _channels,
    "std": _deviations,
    "size": _size,
    "fit": _choice(Fit),
    "crop": _share,
    "interpolation": _choice(Interpolation),
    "head": _choice(Head),
    "output_scale": _scale,
    "class_names": _texts,
}
