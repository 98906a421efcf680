"""Methods and fills by name.

Other packages add theirs through the entry points ``onnxplain.methods`` and
``onnxplain.fills``, each a frozen dataclass with the members of `Method` or `Fill`.
"""

from __future__ import annotations

import importlib.metadata
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from onnxplain import fills, methods
from onnxplain.core.errors import tell_reason
from onnxplain.core.flow import NO_FILL, Method
from onnxplain.core.mistakes import check_is_value, describe_unknown
from onnxplain.core.params import build, to_plain
from onnxplain.core.protocols import Fill, Inpainter
from onnxplain.core.text_files import TextError, parse_toml, read_text
from onnxplain.fills.nothing import Nothing

log = logging.getLogger(__name__)


def make_generative_name(method: str) -> str:
    """Return the name of a method with an inpainter as its fill: SP-G, LIME-G, ..., FIDO-CA."""
    return "fido-ca" if method == methods.FIDO.name else f"{method}-g"


def _list_exported(module: ModuleType) -> dict[str, Any]:
    """Return the classes that a package lists in ``__all__``, by their own names."""
    classes = [getattr(module, name) for name in module.__all__]
    return {cls.name: cls for cls in classes}


METHODS: Mapping[str, type[Method]] = _list_exported(methods)
FILLS: Mapping[str, type[Fill]] = _list_exported(fills)
# Names that stand for a method and an inpainter.
GENERATIVE: Mapping[str, tuple[str, str]] = {
    make_generative_name(name): (name, fills.Inpaint.name)
    for name, method in METHODS.items()
    if method.usual_fill != NO_FILL
}
DEFAULT_FILL = fills.DatasetMean.name  # where no method says which fill is usual


class Choice(NamedTuple):
    """A method and a fill, and the names they have in results."""

    method: Method
    fill: Fill
    method_name: str
    fill_name: str


@dataclass(frozen=True)
class Entry:
    """A name with parameters, as given in options and plan files."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@cache
def get_methods() -> Mapping[str, type[Method]]:
    """Return all methods by name, including those of other packages."""
    return {**_load_plugins("onnxplain.methods"), **METHODS}


@cache
def get_fills() -> Mapping[str, type[Fill]]:
    """Return all fills by name, including those of other packages."""
    return {**_load_plugins("onnxplain.fills"), **FILLS}


def choose_method_and_fill(method: Method | str, fill: Fill | str | None = None) -> Choice:
    """Make a method and its fill from values or names, and name both.

    Raises
    ------
    ValueError, TypeError
        If there is no such method or fill, if one of them is neither a name nor a value, or if
        the two contradict each other.
    """
    implied = None
    if isinstance(method, str):
        entry = parse_entry(method)
        base, implied = split_generative(entry.name)
        chosen = make_method(base, entry.parameters)
    else:
        check_is_value(method, "flow", "RISE()", noun="method", name="rise")
        chosen = method
    if fill is None:
        fill = implied or chosen.usual_fill
    fill = to_fill(fill)
    check_may_fill(chosen, _find_fill_name(fill))
    is_generative = isinstance(fill, fills.Inpaint)
    if implied and not is_generative:
        raise ValueError(
            f"{method} is {chosen.name} with an inpainter as its fill, got the fill {fill!r}; "
            f"ask for {chosen.name}, or leave the fill out"
        )
    method_name = make_generative_name(chosen.name) if is_generative else chosen.name
    return Choice(chosen, fill, method_name, _find_fill_name(fill))


def check_may_fill(method: Method, fill: str) -> None:
    """Check that a fill is given to a method exactly if it removes pixels.

    Raises
    ------
    ValueError
        If the method removes nothing and `fill` is one, or the other way round.
    """
    if method.usual_fill == NO_FILL != fill:
        raise ValueError(f"{method.name} removes nothing, so it takes no fill, got {fill}")
    if fill == NO_FILL != method.usual_fill:
        raise ValueError(f"{method.name} removes pixels, so it needs a fill, got {fill}")


def to_fill(fill: Fill | str) -> Fill:
    """Return a fill given as a value or by its name.

    Raises
    ------
    ValueError, TypeError
        If there is no such fill, or it is neither a name nor a value.
    """
    if isinstance(fill, str):
        entry = parse_entry(fill)
        return make_fill(entry.name, entry.parameters)
    check_is_value(fill, "prepare", "Blur()", noun="fill", name="blur")
    return fill


def make_method(name: str, parameters: Mapping[str, Any]) -> Method:
    """Make a method with parameters; `name` is not a generative name (see `split_generative`).

    Raises
    ------
    ValueError, TypeError
        If the method does not take such a parameter or value.
    """
    return build(get_methods()[name], parameters)


def make_fill(name: str, parameters: Mapping[str, Any], inpainter: Inpainter | None = None) -> Fill:
    """Make a fill by name, with parameters or an inpainter.

    Raises
    ------
    ValueError, TypeError
        If there is no such fill, if it does not take such a parameter or value, or if it needs
        an inpainter and none is given.
    """
    if name == NO_FILL:
        return build(Nothing, parameters)
    if name not in get_fills():
        raise ValueError(f"fill {describe_unknown(name, get_fills())}")
    if name != fills.Inpaint.name:
        return build(get_fills()[name], parameters)
    if parameters:
        raise ValueError(
            f"the fill 'inpaint' takes no parameters, got {', '.join(parameters)}; name the "
            f"inpainter separately"
        )
    if inpainter is None:
        raise ValueError(
            "the fill 'inpaint' needs an inpainter: fill=Inpaint(load_inpainter()) takes the one "
            "that comes with onnxplain, load_inpainter(path) another; use --inpainter on the "
            "command line"
        )
    return fills.Inpaint(inpainter)


def split_generative(method: str) -> tuple[str, str | None]:
    """Split the name of a method into a registered method and the fill that the name implies.

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


def parse_entry(given: str | Mapping[str, Any]) -> Entry:
    """Parse a name with parameters from text or from a TOML table.

    Examples
    --------
    >>> parse_entry("colour:rgb=[1, 0, 0.5]").parameters
    {'rgb': (1, 0, 0.5)}
    >>> parse_entry("deletion:step=500,fill=blur").parameters
    {'step': 500, 'fill': 'blur'}

    Raises
    ------
    ValueError
        If the name is missing, or a parameter has no value.
    """
    if isinstance(given, str):
        name, _, text = given.partition(":")
        if "=" not in text and ("/" in given or "\\" in given):  # a path: C:\model.onnx
            name, text = given, ""
        parameters = dict(map(_parse_assignment, _split_at_commas(text))) if text else {}
        return Entry(name, parameters)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ValueError(f"takes a name, or a table with a name; got {given!r}")  # noqa: TRY004
    return Entry(
        given["name"], {key: to_plain(value) for key, value in given.items() if key != "name"}
    )


def read_plan_toml(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Read the content of a plan file, by its keys.

    Raises
    ------
    ValueError
        If the file cannot be read, or has a key that is not among those `known`.
    """
    try:
        content = parse_toml(read_text(path))
    except (OSError, TextError) as error:
        raise ValueError(f"{path}: not a readable plan: {tell_reason(error)}") from error
    for key in content:
        if key not in known:
            raise ValueError(f"{path}: {describe_unknown(key, known)}")
    return content


def _find_fill_name(fill: Fill) -> str:
    known = {**get_fills(), NO_FILL: Nothing}
    names = (name for name, cls in known.items() if type(fill) is cls)
    return next(names, type(fill).__name__)


def _load_plugins(group: str) -> dict[str, Any]:
    """Load the plugins of other packages; leave out those that fail to load, with a warning."""
    plugins = {}
    for point in importlib.metadata.entry_points(group=group):
        try:
            plugins[point.name] = point.load()
        except Exception as error:  # foreign code, which must not stop the others
            log.warning("%s %r of %s cannot be loaded: %s", group, point.name, point.value, error)
    return plugins


def _split_at_commas(text: str) -> list[str]:
    """Split at commas outside brackets."""
    return re.split(r",(?![^\[]*\])", text)


def _parse_assignment(assignment: str) -> tuple[str, Any]:
    key, sign, text = assignment.partition("=")
    if not (key.strip() and sign and text.strip()):
        raise ValueError(
            f"parameters are written key=value and separated by commas; got {assignment!r}"
        )
    try:
        value = parse_toml(f"value = {text}")["value"]
    except TextError:
        value = text.strip()  # text needs no quotes
    return key.strip(), to_plain(value)
