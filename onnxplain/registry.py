"""Which methods and fills there are, by name.

Other packages add theirs through the entry points ``onnxplain.methods`` and
``onnxplain.fills``: a frozen dataclass with the members of `Method` or `Fill`.
"""

from __future__ import annotations

import importlib.metadata
import logging
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from onnxplain import fills, methods
from onnxplain.core.flow import Method
from onnxplain.core.params import build, describe_unknown
from onnxplain.core.protocols import Fill, Inpainter

log = logging.getLogger(__name__)


def _exported(module: ModuleType) -> dict[str, Any]:
    """The classes that a package lists in ``__all__``, by their own names."""
    classes = [getattr(module, name) for name in module.__all__]
    return {cls.name: cls for cls in classes}


METHODS: Mapping[str, type[Method]] = _exported(methods)
FILLS: Mapping[str, type[Fill]] = _exported(fills)

DEFAULT_FILL = fills.DatasetMean.name  # where no method says which


def make_generative_name(method: str) -> str:
    """What a method is called with an inpainter as its fill: SP-G, LIME-G, ..., FIDO-CA."""
    return "fido-ca" if method == methods.FIDO.name else f"{method}-g"


GENERATIVE: Mapping[str, tuple[str, str]] = {
    make_generative_name(name): (name, fills.Inpaint.name) for name in METHODS
}


class Choice(NamedTuple):
    """A method and a fill, and what results call them."""

    method: Method
    fill: Fill
    method_name: str
    fill_name: str


@cache
def get_methods() -> Mapping[str, type[Method]]:
    """Methods by name, those of other packages included."""
    return {**_plugins("onnxplain.methods"), **METHODS}


@cache
def get_fills() -> Mapping[str, type[Fill]]:
    """Fills by name, those of other packages included."""
    return {**_plugins("onnxplain.fills"), **FILLS}


def split_generative(method: str) -> tuple[str, str | None]:
    """The method that a name stands for, and the fill that the name implies.

    Examples
    --------
    >>> split_generative("lime-g"), split_generative("lime")
    (('lime', 'inpaint'), ('lime', None))

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if method in GENERATIVE:
        return GENERATIVE[method]
    if method not in get_methods():
        raise ValueError(f"method {describe_unknown(method, [*get_methods(), *GENERATIVE])}")
    return method, None


def make_method(name: str, parameters: Mapping[str, Any]) -> Method:
    """A method of a name from `split_generative`, with parameters.

    Raises
    ------
    ValueError, TypeError
        If it takes no such parameter or value.
    """
    return build(get_methods()[name], parameters)


def make_fill(name: str, parameters: Mapping[str, Any], inpainter: Inpainter | None = None) -> Fill:
    """A fill by name, with parameters or an inpainter.

    Raises
    ------
    ValueError, TypeError
        If there is no such fill, it takes no such parameter or value, or it needs an
        inpainter and there is none.
    """
    if name not in get_fills():
        raise ValueError(f"fill {describe_unknown(name, get_fills())}")
    if name != fills.Inpaint.name:
        return build(get_fills()[name], parameters)
    if parameters:
        raise ValueError(
            f"the fill 'inpaint' takes no parameters, got {', '.join(parameters)}; the inpainter "
            f"is named by itself"
        )
    if inpainter is None:
        raise ValueError(
            "the fill 'inpaint' needs an inpainter: fill=Inpaint(load_inpainter()) takes the one "
            "that comes with onnxplain, load_inpainter(path) another; --inpainter on the command "
            "line"
        )
    return fills.Inpaint(inpainter)


def to_fill(fill: Fill | str) -> Fill:
    """A fill, by name if it is one.

    Raises
    ------
    ValueError, TypeError
        If there is no such fill, or it is none.
    """
    if isinstance(fill, str):
        asked = parse_entry(fill)
        return make_fill(asked.name, asked.parameters)
    if isinstance(fill, type) or not hasattr(fill, "prepare"):
        made_by = f"{fill.__name__}()" if isinstance(fill, type) else "Blur()"
        raise TypeError(
            f"a fill is a value or a name, as {made_by} or 'blur', got {type(fill).__name__}"
        )
    return fill


def choose_method_and_fill(method: Method | str, fill: Fill | str | None = None) -> Choice:
    """Values and names out of what a caller gives, either of which may be either.

    Raises
    ------
    ValueError
        If there is no such method or fill, or the two contradict each other.
    """
    implied = None
    if isinstance(method, str):
        asked = parse_entry(method)
        base, implied = split_generative(asked.name)
        made = make_method(base, asked.parameters)
    elif isinstance(method, type) or not hasattr(method, "flow"):
        made_by = f"{method.__name__}()" if isinstance(method, type) else "RISE()"
        raise TypeError(f"a method is a value or a name, as {made_by} or 'rise', got {method!r}")
    else:
        made = method
    if fill is None:
        fill = implied or made.usual_fill
    fill = to_fill(fill)
    painted = isinstance(fill, fills.Inpaint)
    if implied and not painted:
        raise ValueError(
            f"{method} is {made.name} with an inpainter as the fill, got {fill!r}; "
            f"ask for {made.name}, or leave the fill out"
        )
    return Choice(
        made, fill, make_generative_name(made.name) if painted else made.name, _fill_name(fill)
    )


def _fill_name(fill: Fill) -> str:
    names = (name for name, cls in get_fills().items() if type(fill) is cls)
    return next(names, type(fill).__name__)


def _plugins(group: str) -> dict[str, Any]:
    """What other packages offer; one that cannot be loaded is left out with a warning."""
    found = {}
    for point in importlib.metadata.entry_points(group=group):
        try:
            found[point.name] = point.load()
        except Exception as error:  # foreign code: it must not stop the others
            log.warning("%s %r of %s cannot be loaded: %s", group, point.name, point.value, error)
    return found


@dataclass(frozen=True)
class Entry:
    """Something by name, with parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read_plan_toml(path: Path, known: Collection[str]) -> dict[str, Any]:
    """What a plan file says, by its keys.

    Raises
    ------
    ValueError
        If it cannot be read, or has a key that is not known.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not a readable plan: {error}") from error
    for key in content:
        if key not in known:
            raise ValueError(f"{path}: {describe_unknown(key, known)}")
    return content


def parse_entry(given: str | Mapping[str, Any]) -> Entry:
    """A name with parameters, out of a text or a table of TOML.

    Examples
    --------
    >>> parse_entry("colour:rgb=[1, 0, 0.5]").parameters
    {'rgb': (1, 0, 0.5)}
    >>> parse_entry("deletion:step=500,fill=blur").parameters
    {'step': 500, 'fill': 'blur'}

    Raises
    ------
    ValueError
        If it has no name, or a parameter no value.
    """
    if isinstance(given, str):
        name, _, text = given.partition(":")
        if "=" not in text and ("/" in given or "\\" in given):  # a path: C:\model.onnx
            name, text = given, ""
        parameters = dict(_assignment(part) for part in _split(text)) if text else {}
        return Entry(name, parameters)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ValueError(f"takes a name, or a table with a name; got {given!r}")  # noqa: TRY004
    return Entry(
        given["name"], {key: _frozen(value) for key, value in given.items() if key != "name"}
    )


def _split(text: str) -> list[str]:
    """Parts between commas that stand in no brackets."""
    return re.split(r",(?![^\[]*\])", text)


def _assignment(part: str) -> tuple[str, Any]:
    key, sign, text = part.partition("=")
    if not (key.strip() and sign and text.strip()):
        raise ValueError(f"parameters are written key=value, parted by commas; got {part!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a text needs no quotes
    return key.strip(), _frozen(value)


def _frozen(value: Any) -> Any:
    """TOML has no tuples."""
    return tuple(value) if isinstance(value, list) else value
