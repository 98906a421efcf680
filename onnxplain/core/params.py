"""Hyperparameters, declared once: a frozen dataclass whose fields carry a `Param`.

From the one declaration come the range checks, the command-line options, plan files,
the provenance of results, and the reference of the command line.

>>> @dataclasses.dataclass(frozen=True)
... class Blur(Parametrised):
...     sigma: Annotated[float, Param("standard deviation in pixels", gt=0)] = 10.0
>>> Blur(sigma=-1)
Traceback (most recent call last):
    ...
ValueError: Blur: sigma must be > 0, got -1
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Hashable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

T = TypeVar("T")
Scalar = bool | int | float | str


@dataclasses.dataclass(frozen=True, slots=True)
class Param:
    """What a hyperparameter means, and the range its value lies in.

    Parameters
    ----------
    help : str
        One line for the command line and the reference.
    ge, gt, le, lt : float, optional
        Bounds of the value, or of each element of a tuple.
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def bounds(self) -> str:
        """The range in words, as ``> 0 and <= 1``; empty if there is none."""
        signs = ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)

    def holds(self, value: float) -> bool:
        """Whether a number lies within the bounds (NaN never does)."""
        return (
            math.isfinite(value)
            and (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One declared hyperparameter, as the command line, plans and reports see it.

    `type` is ``bool``, ``int``, ``float`` or ``str``; `choices` lists the values of a
    ``Literal``; `length` is the number of elements of a tuple; `optional` allows None.
    """

    name: str
    type: type[Scalar]
    default: Any
    param: Param
    choices: tuple[str, ...] = ()
    length: int | None = None
    optional: bool = False

    def check(self, owner: str, value: object) -> None:
        """Refuse a value of the wrong type or outside the range."""
        if value is None and self.optional:
            return
        if self.length is not None:
            if not isinstance(value, tuple) or len(value) != self.length:
                raise TypeError(
                    f"{owner}: {self.name} takes a tuple of {self.length} values, got {value!r}"
                )
            for part in value:
                self._check_one(owner, part)
        else:
            self._check_one(owner, value)

    def _check_one(self, owner: str, value: object) -> None:
        accepts: tuple[type, ...] = (int, float) if self.type is float else (self.type,)
        is_bool = isinstance(value, bool)
        if not isinstance(value, accepts) or (is_bool and self.type is not bool):
            raise TypeError(
                f"{owner}: {self.name} takes {self.type.__name__}, got {value!r} "
                f"({type(value).__name__})"
            )
        if self.choices and value not in self.choices:
            raise ValueError(f"{owner}: {self.name} {describe_unknown(str(value), self.choices)}")
        if isinstance(value, int | float) and not is_bool and not self.param.holds(value):
            must = self.param.bounds() or "a finite number"
            raise ValueError(f"{owner}: {self.name} must be {must}, got {value!r}")


class Parametrised:
    """Mixin of methods, fills and metrics: checks every declared value when it is built."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for one in list_parameters(type(self)):
            value = to_plain(getattr(self, one.name))
            object.__setattr__(self, one.name, value)
            one.check(type(self).__name__, value)


def list_parameters(cls: type) -> tuple[Hyperparameter, ...]:
    """The hyperparameters that a dataclass declares, in the order of its fields."""
    return _declared(typing.cast(Hashable, cls))  # mypy takes a class for unhashable


@cache  # reading the annotations of a class takes 1 ms, and every row of a study asks
def _declared(cls: Any) -> tuple[Hyperparameter, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if typing.get_origin(hint) is not Annotated:
            continue
        kind, *marks = typing.get_args(hint)
        param = next((mark for mark in marks if isinstance(mark, Param)), None)
        if param is not None:
            found.append(
                Hyperparameter(field.name, default=field.default, param=param, **_shape(kind))
            )
    return tuple(found)


def _shape(kind: Any) -> dict[str, Any]:
    """The fields of `Hyperparameter` that follow from a type: its scalar, choices, length, None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (inner,) = (part for part in typing.get_args(kind) if part is not type(None))
        return {**_shape(inner), "optional": True}
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        return {"type": parts[0], "length": len(parts)}
    if typing.get_origin(kind) is Literal:
        return {"type": str, "choices": typing.get_args(kind)}
    return {"type": kind}


def to_plain(value: Any) -> Any:
    """Python's own numbers for NumPy's, and tuples for lists and arrays.

    Examples
    --------
    >>> import numpy as np
    >>> to_plain(np.int64(3)), to_plain([np.float32(0.5), 1])
    (3, (0.5, 1))
    """
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        value = value.tolist()
    return tuple(to_plain(one) for one in value) if isinstance(value, list | tuple) else value


def get_values(owner: object) -> dict[str, Any]:
    """The declared hyperparameters of a built value, ready for JSON; none if it declares none."""
    if not dataclasses.is_dataclass(owner):
        return {}
    return {one.name: getattr(owner, one.name) for one in list_parameters(type(owner))}


def build(cls: type[T], given: Mapping[str, Any]) -> T:
    """Build a method, fill or metric from named values; a wrong name gets a suggestion."""
    known = [one.name for one in list_parameters(cls)]
    for name in given:
        if name not in known:
            raise ValueError(f"{cls.__name__}: parameter {describe_unknown(name, known)}")
    return cls(**given)


def describe_unknown(name: str, known: Iterable[str]) -> str:
    """``'x' is unknown; did you mean 'y'?`` or what is known (the first of many)."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    listed = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {listed or 'none'}"
    return f"{name!r} is unknown; {hint}"
