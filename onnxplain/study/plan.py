"""Plans: which classifiers, methods, fills and metrics a study compares, from TOML or Python.

Example::

    images = "photos"
    annotations = "labels.csv"
    models = ["efficientnet-lite0"]
    methods = ["random", "sp", { name = "rise", n_masks = 2000 }]
    fills = ["dataset-mean", { name = "blur", sigma = 5 }]
    metrics = ["localisation", { name = "deletion", step = 500, fill = "black" }]
    limit = 100
    seed = 1

A name with parameters can also be written as one text: ``rise:n_masks=2000,p_keep=0.3``. In
Python, methods, fills, metrics and classifiers can also be objects.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, SupportsIndex, TypeAlias, TypeVar

from onnxplain.core.flow import Method
from onnxplain.core.protocols import Classifier, Fill, Inpainter
from onnxplain.metrics import Metric
from onnxplain.registry import Entry, parse_entry, read_plan_toml

T = TypeVar("T")

# A name with its parameters: a text, a table of TOML, or the entry that was read from either.
Name: TypeAlias = str | Mapping[str, Any] | Entry

_LISTS = ("models", "methods", "fills", "metrics")
_PATHS = ("images", "annotations", "wnids")


@dataclass(frozen=True)
class Plan:
    """What a study compares. Paths are as they were given.

    Parameters
    ----------
    images, annotations, wnids : str, optional
        As `onnxplain.study.dataset.read_items` takes them.
    models : tuple of Entry or Classifier
        Names or files with parameters of `onnxplain.load`, or loaded classifiers; the default
        classifier if empty.
    methods : tuple of Entry or Method
        Names with parameters, or values.
    fills : tuple of Entry or Fill
        Every method runs with every fill. If empty, each method runs with the fill of its
        paper.
    metrics : tuple of Entry or Metric
        Names with parameters, or values.
    inpainter : str, Entry or Inpainter, optional
        The inpainter of the ``-g`` methods: a name or file, an entry with the parameters that
        describe the inpainter, or a loaded inpainter.
    seed : int
        Decides every random draw, which images are taken, and which are held out.
    limit : int, optional
        Number of images to take, before wrongly classified images are left out.
    held_out : float in [0, 1)
        Share of the images on which thresholds are chosen.
    only_correct : bool
        Whether to leave out images whose label is not the predicted class.
    """

    images: str | None = None
    annotations: str | None = None
    wnids: str | None = None
    models: tuple[Entry | Classifier, ...] = ()
    methods: tuple[Entry | Method, ...] = (Entry("random"), Entry("rise"))
    fills: tuple[Entry | Fill, ...] = ()
    metrics: tuple[Entry | Metric, ...] = (Entry("deletion"), Entry("insertion"))
    inpainter: str | Entry | Inpainter | None = None
    seed: int = 0
    limit: int | None = None
    held_out: float = 1 / 3
    only_correct: bool = True

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be >= 1, got {self.limit}")
        if not isinstance(self.held_out, Real):
            raise TypeError(f"held_out must be a number, got {self.held_out!r}")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out must be >= 0 and < 1, got {self.held_out}")
        for field in ("methods", "metrics"):
            if not getattr(self, field):
                raise ValueError(f"{field} is empty; name at least one")


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds an unknown key or an impossible value.
    """
    types: dict[str, Any] = {
        **dict.fromkeys((*_PATHS, "inpainter"), str),
        **dict.fromkeys(("seed", "limit"), int),
        **dict.fromkeys(_LISTS, (list, str, dict)),
        "held_out": (int, float),
        "only_correct": bool,
    }
    fields: dict[str, Any] = {}
    for key, value in read_plan_toml(path, types).items():
        if not isinstance(value, types[key]) or (types[key] is int and isinstance(value, bool)):
            raise ValueError(f"{path}: {key} takes {_describe_types(types[key])}, got {value!r}")
        try:
            fields[key] = tuple(map(parse_entry, _list_values(value))) if key in _LISTS else value
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    return Plan(**fields)


def _describe_types(types: Any) -> str:
    """Name what a key of a plan file takes, in words of TOML."""
    words = {int: "a whole number", str: "a text", bool: "true or false"}
    return words.get(types) or ("names" if list in types else "a number")


def make_plan(plan: Plan | str | os.PathLike[str] | None, fields: Mapping[str, Any]) -> Plan:
    """Make a plan from arguments, which override a plan or plan file.

    Parameters
    ----------
    plan : Plan, path or None
        Supplies the fields that are not given.
    fields : mapping
        Fields of `Plan`; None means that a field is not given. Methods, fills, metrics and
        models may be texts, tables or objects, one or several.

    Raises
    ------
    ValueError, TypeError
        If the plan file cannot be read, or a field has an impossible value.
    """
    base = _get_base(plan)
    given = {name: value for name, value in fields.items() if value is not None}
    for name in _LISTS:
        if name in given:
            given[name] = tuple(map(_to_entry, _list_values(given[name])))
    for name in _PATHS:
        if name in given:
            given[name] = _to_path(name, given[name])
    if isinstance(given.get("inpainter"), os.PathLike):
        given["inpainter"] = os.fspath(given["inpainter"])
    for name in ("seed", "limit"):
        if name in given:
            given[name] = _to_integer(name, given[name])
    return replace(base, **given)


def _get_base(plan: Any) -> Plan:
    """Return a plan, read it from its file, or return the default plan."""
    if plan is None or isinstance(plan, Plan):
        return plan or Plan()
    return read_plan(Path(_to_path("plan", plan)))


def _to_path(name: str, value: str | os.PathLike[str]) -> str:
    """Return a path as a text."""
    try:
        return os.fspath(value)
    except TypeError:
        raise TypeError(f"{name} must be a path, got {type(value).__name__}") from None


def _to_integer(name: str, value: SupportsIndex) -> int:
    """Return an integer of any library as a Python integer, because rows are written as JSON."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def _list_values(given: T | Iterable[T]) -> Iterable[T]:
    """Return the values of a list, or a list of the single value."""
    single = isinstance(given, str | Mapping | os.PathLike) or not isinstance(given, Iterable)
    return [given] if single else given  # type: ignore[return-value, list-item] # by `single`


def _to_entry(given: Any) -> Any:
    """Return the entry of a name; return an object unchanged."""
    if isinstance(given, os.PathLike):
        return Entry(os.fspath(given))
    return parse_entry(given) if isinstance(given, str | Mapping) else given
