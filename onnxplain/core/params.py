"""Hyperparameters, declared once: a frozen dataclass whose fields carry a `Param`.

The range checks, the command-line options and their help, the parameters in plan files and
the provenance of results all come from this one declaration.

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
import hashlib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np

from onnxplain.core.mistakes import describe_unknown

T = TypeVar("T")
Scalar = bool | int | float | str
TYPE_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
# The class that is being built from its name, and that name.
_ASKED_FOR: ContextVar[tuple[type, str] | None] = ContextVar("asked_for", default=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Param:
    """The meaning and the range of a hyperparameter.

    Parameters
    ----------
    help : str
        One line for the command line and the reference.
    ge, gt, le, lt : float, optional
        Bounds of the value, or of each element if it is a tuple.
    is_file : bool
        Whether the value is the path of a file, whose content decides results.
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    is_file: bool = False

    def bounds(self) -> str:
        """Return the range as text, such as ``> 0 and <= 1``; empty if there is none."""
        signs = ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)

    def holds(self, value: float) -> bool:
        """Return whether a number lies within the bounds (NaN never does)."""
        return (
            math.isfinite(value)
            and (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A declared hyperparameter, as the command line, plans and reports see it.

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
        """Raise an error unless a value has the right type and lies within the range."""
        if value is None and self.optional:
            return
        if self.length is not None:
            if not isinstance(value, tuple) or len(value) != self.length:
                raise TypeError(
                    f"{owner}: {self.name} takes a tuple of {self.length} values, got {value!r}"
                )
            for element in value:
                self._check_scalar(owner, element)
        else:
            self._check_scalar(owner, value)

    def _check_scalar(self, owner: str, value: object) -> None:
        accepts: tuple[type, ...] = (int, float) if self.type is float else (self.type,)
        is_bool = isinstance(value, bool)
        if not isinstance(value, accepts) or (is_bool and self.type is not bool):
            raise TypeError(
                f"{owner}: {self.name} takes {TYPE_WORDS.get(self.type, self.type.__name__)}, "
                f"got {value!r} ({type(value).__name__})"
            )
        if self.choices and value not in self.choices:
            raise ValueError(f"{owner}: {self.name} {describe_unknown(str(value), self.choices)}")
        if isinstance(value, int | float) and not is_bool and not self.param.holds(value):
            must = self.param.bounds() or "a finite number"
            raise ValueError(f"{owner}: {self.name} must be {must}, got {value!r}")


class _PlainSignature:
    """The signature of a class of hyperparameters with plain types, for `help`.

    The annotations themselves carry meaning and range, which the docstring tells too.
    """

    def __get__(self, value: object, owner: type) -> inspect.Signature:
        if not dataclasses.is_dataclass(owner):
            raise AttributeError(f"{owner.__name__} has no parameters")
        hints, declared = typing.get_type_hints(owner), {p.name for p in list_parameters(owner)}
        init: Any = owner.__init__
        parameters = [
            parameter.replace(annotation=hints[name]) if name in declared else parameter
            for name, parameter in inspect.signature(init).parameters.items()
        ]
        init.__signature__ = inspect.Signature(parameters)  # `help` shows it as well
        return inspect.Signature(parameters[1:])


class Parametrised:
    """Mixin for methods, fills and metrics; checks every declared value when one is built."""

    __slots__ = ()
    __signature__ = _PlainSignature()

    def __post_init__(self) -> None:
        for parameter in list_parameters(type(self)):
            value = to_plain(getattr(self, parameter.name))
            object.__setattr__(self, parameter.name, value)
            parameter.check(name_owner(self), value)


def name_owner(value: object) -> str:
    """Return what errors call a value that is being built: its class, or the name given to `build`.

    Later errors take the name that results have.
    """
    cls, asked_for = type(value), _ASKED_FOR.get()
    return asked_for[1] if asked_for is not None and asked_for[0] is cls else cls.__name__


def list_parameters(cls: type) -> tuple[Hyperparameter, ...]:
    """Return the hyperparameters that a dataclass declares, in the order of its fields."""
    return _read_parameters(typing.cast(Hashable, cls))  # mypy believes that classes are unhashable


@cache  # reading the annotations of a class takes 1 ms, and every row of a study needs them
def _read_parameters(cls: Any) -> tuple[Hyperparameter, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if typing.get_origin(hint) is not Annotated:
            continue
        hinted, *annotations = typing.get_args(hint)
        param = next((mark for mark in annotations if isinstance(mark, Param)), None)
        if param is not None:
            parameters.append(
                Hyperparameter(
                    field.name, default=field.default, param=param, **_describe_type(hinted)
                )
            )
    return tuple(parameters)


def _describe_type(hinted: Any) -> dict[str, Any]:
    """Return the fields of `Hyperparameter` that follow from a type hint."""
    if typing.get_origin(hinted) in (typing.Union, types.UnionType):
        (inner,) = (member for member in typing.get_args(hinted) if member is not type(None))
        return {**_describe_type(inner), "optional": True}
    if typing.get_origin(hinted) is tuple:
        elements = typing.get_args(hinted)
        return {"type": elements[0], "length": len(elements)}
    if typing.get_origin(hinted) is Literal:
        return {"type": str, "choices": typing.get_args(hinted)}
    return {"type": hinted}


def to_plain(value: Any) -> Any:
    """Convert NumPy's numbers to Python's own, and lists and arrays to tuples.

    Examples
    --------
    >>> import numpy as np
    >>> to_plain(np.int64(3)), to_plain([np.float32(0.5), 1])
    (3, (0.5, 1))
    """
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(to_plain(element) for element in value)
    return value


def get_values(owner: object) -> dict[str, Any]:
    """Return the declared hyperparameters of a built value by name, ready for JSON."""
    if not dataclasses.is_dataclass(owner):
        return {}
    return {
        parameter.name: getattr(owner, parameter.name) for parameter in list_parameters(type(owner))
    }


def describe_others(owner: object, *without: str) -> dict[str, Any]:
    """Return what tells a value from others of its class beside declared hyperparameters.

    Methods, fills and metrics from elsewhere may have fields without a meaning and a range. Of a
    dataclass, these are the fields that its `repr` shows; of another object, its attributes.

    Parameters
    ----------
    owner : object
        A method, fill or metric.
    without : str
        Names that are described elsewhere.

    Returns
    -------
    others : dict
        Values that JSON can hold; those that it cannot are described.
    """
    if dataclasses.is_dataclass(owner):
        names = [field.name for field in dataclasses.fields(owner) if field.repr]
    else:
        names = [name for name in getattr(owner, "__dict__", {}) if not name.startswith("_")]
    known = {*without, *get_values(owner)}
    return {name: _describe(getattr(owner, name)) for name in names if name not in known}


def _describe(value: Any) -> Any:
    """Return a value if JSON can hold it, else a text that is the same in every process."""
    if isinstance(value, np.ndarray) and value.ndim:
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return f"{value.dtype} {value.shape} {digest}"
    value = to_plain(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, tuple | list):
        return [_describe(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _describe(item) for key, item in value.items()}
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def list_files(owner: object) -> dict[str, Path]:
    """Return the files that a built value names, by parameter."""
    if not dataclasses.is_dataclass(owner):
        return {}
    return {
        parameter.name: Path(getattr(owner, parameter.name))
        for parameter in list_parameters(type(owner))
        if parameter.param.is_file and getattr(owner, parameter.name)
    }


def build(cls: type[T], given: Mapping[str, Any]) -> T:
    """Build a method, fill or metric, asked for by its name, from named values.

    Errors call it by that name, and suggest a parameter in place of a wrong one.
    """
    owner = getattr(cls, "name", cls.__name__)
    known = [parameter.name for parameter in list_parameters(cls)]
    for name in given:
        if name not in known:
            raise ValueError(f"{owner}: parameter {describe_unknown(name, known)}")
    before = _ASKED_FOR.set((cls, owner))
    try:
        return cls(**given)
    finally:
        _ASKED_FOR.reset(before)


def call_loader(load: Callable[..., T], model: str, parameters: Mapping[str, Any]) -> T:
    """Call a loading function with named values; suggest a name in place of a wrong one."""
    _, *known = inspect.signature(load).parameters
    for name in parameters:
        if name not in known:
            raise ValueError(f"model {model}: parameter {describe_unknown(name, known)}")
    return load(model, **parameters)


class Usual(int):
    """A default that is made for images of 224 pixels, and may be made smaller for others.

    It is the number itself; the type tells it from the same number given by somebody.
    """

    __slots__ = ()


def shrink_default(value: T, name: str, limit: int, smaller: int) -> T:
    """Return a value whose parameter is `smaller`, if it is a default above the limit.

    A parameter that somebody set stays, also if it was set to the number of the default.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Blur(Parametrised):
    ...     side: Annotated[int, Param("side in pixels")] = Usual(29)
    >>> shrink_default(Blur(), "side", 20, 3), shrink_default(Blur(29), "side", 20, 3)
    (Blur(side=3), Blur(side=29))
    """
    current = getattr(value, name)
    if not isinstance(current, Usual) or current <= limit:
        return value
    changed: Any = dataclasses.replace(typing.cast(Any, value), **{name: smaller})
    return typing.cast(T, changed)
