"""Plans: which classifiers, methods, fills and metrics a study compares, from TOML or words.

Example::

    images = "photos"
    annotations = "labels.csv"
    models = ["efficientnet-lite0"]
    methods = ["random", "sp", { name = "rise", n_masks = 2000 }]
    fills = ["dataset-mean", { name = "blur", sigma = 5 }]
    metrics = ["localisation", { name = "deletion", step = 500, fill = "black" }]
    limit = 100
    seed = 1

A name with parameters can also be one text: ``rise:n_masks=2000,p_keep=0.3``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

from onnxplain import registry
from onnxplain.core.flow import Method
from onnxplain.core.params import build, describe_unknown, get_values
from onnxplain.core.protocols import Fill, Inpainter
from onnxplain.fills import Inpaint
from onnxplain.metrics import RandomHeatmap
from onnxplain.registry import Entry, parse_entry, read_plan_toml
from onnxplain.study.given import Given

T = TypeVar("T")

# They remove nothing, so one fill is as good as all.
UNFILLED: Mapping[str, type[Method]] = {cls.name: cls for cls in (RandomHeatmap, Given)}


@dataclass(frozen=True)
class Plan:
    """What a study compares. Paths are as they were given.

    Parameters
    ----------
    images, annotations, wnids : str, optional
        As `onnxplain.study.dataset.read_items` takes them.
    models, methods, fills, metrics : tuple of Entry
        Every method runs with every fill; with its paper's where there are none. A model's
        parameters are those of `onnxplain.load`.
    inpainter : str, optional
        What fills in the ``-g`` methods.
    seed : int
        Decides every random draw, the sample and which images are held out.
    limit : int, optional
        Images to take, before those that are classified wrongly are left out.
    held_out : float in [0, 1)
        Share of the images on which thresholds are chosen.
    only_correct : bool
        Whether images are left out whose label is not the predicted class.
    """

    images: str | None = None
    annotations: str | None = None
    wnids: str | None = None
    models: tuple[Entry, ...] = ()
    methods: tuple[Entry, ...] = (Entry("random"), Entry("rise"))
    fills: tuple[Entry, ...] = ()
    metrics: tuple[Entry, ...] = (Entry("deletion"), Entry("insertion"))
    inpainter: str | None = None
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
        for what in ("methods", "metrics"):
            if not getattr(self, what):
                raise ValueError(f"{what} is empty; name at least one")


class NamedFill(NamedTuple):
    """A fill, and what decides its pictures, for keys and tables."""

    fill: Fill
    name: str
    parameters: Mapping[str, Any]


class Explainer(NamedTuple):
    """A method with its fill."""

    method: Method
    name: str
    fill: NamedFill


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    ValueError
        If it cannot be read, or says what a plan cannot.
    """
    kinds: dict[str, Any] = {
        **dict.fromkeys(("images", "annotations", "wnids", "inpainter"), str),
        **dict.fromkeys(("seed", "limit"), int),
        **dict.fromkeys(("models", "methods", "fills", "metrics"), list),
        "held_out": (int, float),
        "only_correct": bool,
    }
    given: dict[str, Any] = {}
    for key, value in read_plan_toml(path, kinds).items():
        if not isinstance(value, kinds[key]) or (kinds[key] is int and isinstance(value, bool)):
            raise ValueError(f"{path}: {key} cannot be {value!r}")
        try:
            given[key] = tuple(map(parse_entry, value)) if isinstance(value, list) else value
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    return Plan(**given)


def no_inpainter() -> NoReturn:
    """Refuse a fill that paints."""
    raise ValueError("the fill 'inpaint' needs an inpainter, and there is none")


def make_explainers(
    plan: Plan, inpainter: Callable[[], Inpainter] = no_inpainter
) -> list[Explainer]:
    """Every method of a plan with every fill.

    Parameters
    ----------
    plan : Plan
        Its methods and fills.
    inpainter : callable
        Gives the inpainter; called only if a fill needs it.

    Raises
    ------
    ValueError, TypeError
        If there is no such method, fill or parameter, or two are the same.
    """
    found = []
    for wanted in plan.methods:
        if wanted.name in UNFILLED:
            method = build(UNFILLED[wanted.name], wanted.parameters)
            usual = make_named_fill(Entry(method.usual_fill), inpainter)
            found.append(Explainer(method, method.name, usual))
            continue
        base, implied = registry.split_generative(wanted.name)
        method = registry.make_method(base, wanted.parameters)
        fills = (Entry(implied),) if implied else plan.fills or (Entry(method.usual_fill),)
        for each in fills:
            name = registry.make_generative_name(base) if each.name == Inpaint.name else base
            found.append(Explainer(method, name, make_named_fill(each, inpainter)))
    check_distinct([(e.name, repr(e.method), e.fill.name, e.fill.parameters) for e in found])
    return found


def call_loader(load: Callable[..., T], model: str, **parameters: Any) -> T:
    """What a loading function gives; a parameter that it does not take is told as a plan's.

    Raises
    ------
    ValueError
        If there is no such parameter.
    """
    _, *known = inspect.signature(load).parameters
    for name in parameters:
        if name not in known:
            raise ValueError(f"model {model}: parameter {describe_unknown(name, known)}")
    return load(model, **parameters)


def make_named_fill(wanted: Entry, inpainter: Callable[[], Inpainter]) -> NamedFill:
    """A fill, with the inpainter if it paints."""
    painter = inpainter() if wanted.name == Inpaint.name else None
    fill = registry.make_fill(wanted.name, wanted.parameters, painter)
    parameters = get_values(fill)
    if painter is not None:
        ran = painter.provenance
        parameters = {"inpainter": ran.get("inpainter"), "sha256": ran.get("sha256")}
        if described := ran.get("described"):  # the same file, fed otherwise, paints otherwise
            parameters["described"] = described
    return NamedFill(fill, wanted.name, parameters)


def check_distinct(names: list[Any]) -> None:
    """Refuse two that are the same, by the first of what names them."""
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"{name[0]} is asked for twice with the same parameters")
