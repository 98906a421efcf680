"""Explainers: the methods of a plan, each paired with a fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

from onnxplain import registry
from onnxplain.core.flow import NO_FILL, Method
from onnxplain.core.params import build, describe_others, get_values
from onnxplain.core.protocols import Fill, Inpainter
from onnxplain.fills import Inpaint
from onnxplain.metrics import RandomHeatmap
from onnxplain.registry import Entry
from onnxplain.study.given import Given
from onnxplain.study.plan import Plan

T = TypeVar("T")

# Methods that remove nothing: they run once, with their usual fill.
UNFILLED: Mapping[str, type[Method]] = {cls.name: cls for cls in (RandomHeatmap, Given)}


class NamedFill(NamedTuple):
    """A fill with the name and parameters that decide its pictures, for keys and tables."""

    fill: Fill
    name: str
    parameters: Mapping[str, Any]


class Explainer(NamedTuple):
    """A method with its fill, and the name of the pair.

    `others` are fields of a method from elsewhere that are no declared hyperparameters.
    """

    method: Method
    name: str
    fill: NamedFill
    others: Mapping[str, Any] = {}


def refuse_inpainter() -> NoReturn:
    """Raise the error for a fill that needs an inpainter where there is none."""
    raise ValueError("the fill 'inpaint' needs an inpainter, but there is none")


def make_explainers(
    plan: Plan, get_inpainter: Callable[[], Inpainter] = refuse_inpainter
) -> list[Explainer]:
    """Make every method of a plan with every fill.

    Parameters
    ----------
    plan : Plan
        Names the methods and fills.
    get_inpainter : callable
        Returns the inpainter; called only if a fill needs it.

    Raises
    ------
    ValueError, TypeError
        If a method, fill or parameter does not exist, or two explainers are the same.
    """
    explainers = []
    for wanted in plan.methods:
        method, name, implied = _make_method(wanted)
        fills: Sequence[Entry | Fill] = plan.fills or (Entry(method.usual_fill),)
        if name in UNFILLED or method.usual_fill == NO_FILL:
            fills = (Entry(method.usual_fill),)
        elif implied:
            fills = (Entry(implied),)
        for fill in fills:
            named = make_named_fill(fill, get_inpainter)
            painted = named.name == Inpaint.name and name not in UNFILLED
            full_name = registry.make_generative_name(name) if painted else name
            explainers.append(Explainer(method, full_name, named, describe_others(method)))
    check_distinct(
        [
            (pair.name, get_values(pair.method), pair.others, pair.fill.name, pair.fill.parameters)
            for pair in explainers
        ]
    )
    return explainers


def make_named_fill(wanted: Entry | Fill, get_inpainter: Callable[[], Inpainter]) -> NamedFill:
    """Make a fill from its name, with the inpainter if it needs one, or find the name of a fill."""
    if isinstance(wanted, Entry):
        inpainter = get_inpainter() if wanted.name == Inpaint.name else None
        fill = registry.make_fill(wanted.name, wanted.parameters, inpainter)
        return NamedFill(fill, wanted.name, _get_fill_parameters(fill))
    fill = registry.to_fill(wanted)
    names = (name for name, cls in registry.get_fills().items() if type(fill) is cls)
    return NamedFill(fill, next(names, type(fill).__name__), _get_fill_parameters(fill))


def check_distinct(identities: list[Any]) -> None:
    """Check that no two identities are equal; the first part of each names it in the error."""
    for position, identity in enumerate(identities):
        if identity in identities[:position]:
            raise ValueError(f"{identity[0]} is listed twice with the same parameters")


def _make_method(wanted: Entry | Method) -> tuple[Method, str, str | None]:
    """Return a method, its name without the suffix -g, and the fill that the suffix implies."""
    if not isinstance(wanted, Entry):
        method = registry.choose_method_and_fill(wanted).method
        return method, method.name, None
    if wanted.name in UNFILLED:
        return build(UNFILLED[wanted.name], wanted.parameters), wanted.name, None
    name, implied = registry.split_generative(wanted.name)
    return registry.make_method(name, wanted.parameters), name, implied


def _get_fill_parameters(fill: Fill) -> dict[str, Any]:
    """Return what determines the pictures of a fill: its parameters, or its inpainter."""
    if not isinstance(fill, Inpaint):
        return {**get_values(fill), **describe_others(fill)}
    ran = fill.inpainter.provenance
    parameters = {"inpainter": ran.get("inpainter"), "sha256": ran.get("sha256")}
    if described := ran.get("described"):  # a file described differently paints differently
        parameters["described"] = described
    return parameters
