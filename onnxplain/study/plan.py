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

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from onnxplain import registry
from onnxplain.fills import Inpaint
from onnxplain.flow import Method
from onnxplain.metrics import METRICS, FoldedBlur, Metric, RandomHeatmap
from onnxplain.params import build, unknown, values
from onnxplain.protocols import Fill, Inpainter
from onnxplain.study.given import Given

# The papers' where a metric brings a fill of its own; the others judge the method's.
METRIC_FILLS: Mapping[str, str] = {
    "deletion": "dataset-mean",
    "insertion": FoldedBlur.name,
    "morf": "uniform-noise",
    "lerf": "uniform-noise",
    "abpc": "uniform-noise",
}

# They remove nothing, so one fill is as good as all.
UNFILLED: Mapping[str, type[Method]] = {cls.name: cls for cls in (RandomHeatmap, Given)}

LOOK_AT_BOXES = frozenset(("localisation", "pointing", "ms-ssim", "off-object"))

# What recognises the filled image should be another classifier than the one explained.
JUDGES: Mapping[str, type[Metric]] = {
    name: cls for name, cls in METRICS.items() if name != "still-recognised"
}


@dataclass(frozen=True)
class Entry:
    """Something by name, with parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


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


class Named(NamedTuple):
    """A fill, and what decides its pictures, for keys and tables."""

    fill: Fill
    name: str
    parameters: Mapping[str, Any]


class Explainer(NamedTuple):
    """A method with its fill."""

    method: Method
    name: str
    fill: Named


class Judge(NamedTuple):
    """A metric; `fill` is its own one, None where it judges the method's or has none."""

    metric: Metric
    fill: Named | None


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises
    ------
    ValueError
        If it cannot be read, or says what a plan cannot.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not a readable plan: {error}") from error
    kinds: dict[str, Any] = {
        **dict.fromkeys(("images", "annotations", "wnids", "inpainter"), str),
        **dict.fromkeys(("seed", "limit"), int),
        **dict.fromkeys(("models", "methods", "fills", "metrics"), list),
        "held_out": (int, float),
        "only_correct": bool,
    }
    given: dict[str, Any] = {}
    for key, value in content.items():
        if key not in kinds:
            raise ValueError(f"{path}: {unknown(key, kinds)}")
        if not isinstance(value, kinds[key]) or (kinds[key] is int and isinstance(value, bool)):
            raise ValueError(f"{path}: {key} cannot be {value!r}")
        try:
            given[key] = tuple(map(entry, value)) if isinstance(value, list) else value
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    return Plan(**given)


def entry(given: str | Mapping[str, Any]) -> Entry:
    """A name with parameters, out of a text or a table of TOML.

    Examples
    --------
    >>> entry("colour:rgb=[1, 0, 0.5]").parameters
    {'rgb': (1, 0, 0.5)}
    >>> entry("deletion:step=500,fill=blur").parameters
    {'step': 500, 'fill': 'blur'}

    Raises
    ------
    ValueError
        If it has no name, or a parameter no value.
    """
    if isinstance(given, str):
        name, _, text = given.partition(":")
        if "=" not in text and ("/" in text or "\\" in text):  # a path: C:\model.onnx
            name, text = given, ""
        parameters = dict(_assignment(part) for part in _split(text)) if text else {}
        return Entry(name, parameters)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ValueError(f"takes names, or tables with a name; got {given!r}")  # noqa: TRY004
    return Entry(
        given["name"], {key: _frozen(value) for key, value in given.items() if key != "name"}
    )


def explainers(plan: Plan, inpainter: Callable[[], Inpainter]) -> list[Explainer]:
    """Every method of a plan with every fill.

    Parameters
    ----------
    plan : Plan
        Its methods and fills.
    inpainter : callable
        Loads the inpainter; called at most once, and only if a fill needs it.

    Raises
    ------
    ValueError, TypeError
        If there is no such method, fill or parameter, or two are the same.
    """
    painters: list[Inpainter] = []

    def fill_of(wanted: Entry) -> Named:
        painter = None
        if wanted.name == Inpaint.name:
            painters[:] = painters or [inpainter()]
            painter = painters[0]
        return _fill(wanted, painter)

    found = []
    for wanted in plan.methods:
        if wanted.name in UNFILLED:
            method = build(UNFILLED[wanted.name], wanted.parameters)
            found.append(Explainer(method, method.name, fill_of(Entry(method.usual_fill))))
            continue
        base, implied = registry.split(wanted.name)
        method = registry.make_method(base, wanted.parameters)
        fills = (Entry(implied),) if implied else plan.fills or (Entry(method.usual_fill),)
        for each in fills:
            name = f"{base}-g" if each.name == Inpaint.name else base
            found.append(Explainer(method, name, fill_of(each)))
    _check_distinct([(e.name, repr(e.method), e.fill.name, e.fill.parameters) for e in found])
    return found


def judges(plan: Plan) -> list[Judge]:
    """The metrics of a plan, with fills of their own where their papers have one.

    Raises
    ------
    ValueError, TypeError
        If there is no such metric, fill or parameter, or two are the same.
    """
    found = [_judge(wanted) for wanted in plan.metrics]
    _check_distinct([(judge.metric.name, repr(judge.metric)) for judge in found])
    return found


def _judge(wanted: Entry) -> Judge:
    if wanted.name not in JUDGES:
        raise ValueError(f"metric {unknown(wanted.name, JUDGES)}")
    parameters = dict(wanted.parameters)
    given = parameters.pop("fill", METRIC_FILLS.get(wanted.name))
    metric: Any = build(JUDGES[wanted.name], parameters)
    if given is None:
        return Judge(metric, None)
    if "fill" not in {one.name for one in fields(metric)}:
        raise ValueError(f"metric {wanted.name} removes nothing and takes no fill, got {given!r}")
    fill = _fill(entry(given), None)
    return Judge(replace(metric, fill=fill.fill), fill)


def _fill(wanted: Entry, painter: Inpainter | None) -> Named:
    fill: Fill
    if wanted.name == FoldedBlur.name:
        fill = build(FoldedBlur, wanted.parameters)
    else:
        fill = registry.make_fill(wanted.name, wanted.parameters, painter)
    parameters = values(fill)
    if painter is not None:
        ran = painter.provenance
        parameters = {"inpainter": ran.get("inpainter"), "sha256": ran.get("sha256")}
        if described := ran.get("described"):  # the same file, fed otherwise, paints otherwise
            parameters["described"] = described
    return Named(fill, wanted.name, parameters)


def _check_distinct(names: list[Any]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"{name[0]} is asked for twice with the same parameters")


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
