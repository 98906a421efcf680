"""Plans: which classifiers, methods, fills and metrics a study compares, from TOML or values.

Example::

    images = "photos"
    annotations = "labels.csv"
    models = ["efficientnet-lite0"]
    methods = ["random", "sp", { name = "rise", n_masks = 2000 }]
    fills = ["dataset-mean", { name = "blur", sigma = 5 }]
    metrics = ["localisation", { name = "deletion", step = 500, fill = "black" }]
    limit = 100
    seed = 1

A name with parameters can also be one text: ``rise:n_masks=2000,p_keep=0.3``. In Python a
method, fill, metric or classifier can be given as a value, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from onnxplain.core.flow import Method
from onnxplain.core.protocols import Classifier, Fill, Inpainter
from onnxplain.metrics import Metric
from onnxplain.registry import Entry, parse_entry, read_plan_toml

T = TypeVar("T")

# How something is named: as a text, as a table of TOML, or as either was read.
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
        Every method runs with every fill; with that of its paper if there are none.
    metrics : tuple of Entry or Metric
        Names with parameters, or values.
    inpainter : str, Entry or Inpainter, optional
        The inpainter of the ``-g`` methods: its name or file, with the parameters of its
        description, or a loaded one.
    seed : int
        Decides every random draw, the sample and which images are held out.
    limit : int, optional
        Number of images to take, before wrongly classified ones are left out.
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
        **dict.fromkeys(_LISTS, list),
        "held_out": (int, float),
        "only_correct": bool,
    }
    fields: dict[str, Any] = {}
    for key, value in read_plan_toml(path, types).items():
        if not isinstance(value, types[key]) or (types[key] is int and isinstance(value, bool)):
            raise ValueError(f"{path}: {key} cannot be {value!r}")
        try:
            fields[key] = tuple(map(parse_entry, value)) if isinstance(value, list) else value
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    return Plan(**fields)


def make_plan(plan: Plan | str | os.PathLike[str] | None, fields: Mapping[str, Any]) -> Plan:
    """Make a plan from arguments, which win over a plan or plan file.

    Parameters
    ----------
    plan : Plan, path or None
        Holds the fields that are not given.
    fields : mapping
        Fields of `Plan`; None stands for one that is not given. Methods, fills, metrics and
        models may be texts, tables or values, one or several.

    Raises
    ------
    ValueError, TypeError
        If the plan file cannot be read, or a field has an impossible value.
    """
    base = Plan() if plan is None else plan if isinstance(plan, Plan) else read_plan(Path(plan))
    given = {name: value for name, value in fields.items() if value is not None}
    for name in _LISTS:
        if name in given:
            given[name] = tuple(map(_to_entry, _list_values(given[name])))
    for name in _PATHS:
        if name in given:
            given[name] = os.fspath(given[name])
    if isinstance(given.get("inpainter"), os.PathLike):
        given["inpainter"] = os.fspath(given["inpainter"])
    return replace(base, **given)


def _list_values(given: T | Iterable[T]) -> Iterable[T]:
    """Return the values of a list, or the one value that stands for a list of itself."""
    single = isinstance(given, str | Mapping | os.PathLike) or not isinstance(given, Iterable)
    return [given] if single else given  # type: ignore[return-value, list-item] # by `single`


def _to_entry(given: Any) -> Any:
    """Return a name as an entry, and a value as it is."""
    if isinstance(given, os.PathLike):
        return Entry(os.fspath(given))
    return parse_entry(given) if isinstance(given, str | Mapping) else given
