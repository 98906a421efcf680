"""Decide the input of a classifier: type, axes, colour order, size, and how photos reach it."""

from __future__ import annotations

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.describe.decisions import Decisions
from onnxplain.describe.normalisation import NORMALISATION_PRESETS
from onnxplain.describe.refusals import WAYS


def decide_input(decisions: Decisions) -> None:
    """Decide the type, the layout, the colour order, the size, and the way to the size.

    Raises
    ------
    ModelError
        If a source contradicts the graph or another source.
    """
    _decide_dtype(decisions)
    _decide_layout(decisions)
    _decide_colour(decisions)
    if "layout" in decisions.values:
        _decide_size(decisions)
    if "size" in decisions.values:
        _decide_geometry(decisions)


def _decide_dtype(decisions: Decisions) -> None:
    dtype, source = decisions.find("dtype")
    if dtype not in (None, decisions.facts.dtype):
        decisions.contradict("dtype", dtype, source, decisions.facts.dtype)
    decisions.put("dtype", decisions.facts.dtype, "graph")


def _decide_layout(decisions: Decisions) -> None:
    decisions.take("layout", decisions.facts.layout, "graph")
    layout = decisions.values.get("layout")
    if layout and decisions.facts.channels(layout) not in (None, 1, 3):
        fact = f"the dimensions {decisions.facts.dims}"
        decisions.contradict("layout", layout, decisions.origins["layout"], fact)


def _decide_colour(decisions: Decisions) -> None:
    colour, source = decisions.find("colour")
    flagged = decisions.has_flag("colour")
    preset_colour = NORMALISATION_PRESETS[decisions.preset].colour if decisions.preset else None
    if preset_colour is not None and not flagged:
        colour, source = preset_colour, f"preset {decisions.preset}"
    if colour is None:
        colour = decisions.facts.colour or "rgb"
        source = "graph" if decisions.facts.colour else "default"
    layout = decisions.values.get("layout")
    channels = decisions.facts.channels(layout) if layout else None
    if channels is not None and (channels == 1) != (colour == "grey"):
        if flagged:
            decisions.contradict("colour", colour, source, f"{channels} channel(s)")
        colour, source = "grey" if channels == 1 else "rgb", "graph"
    decisions.put("colour", colour, source)


def _decide_size(decisions: Decisions) -> None:
    fixed = decisions.facts.size(decisions.values["layout"])
    name, wanted, source = _find_size(decisions)
    if wanted is None:
        if None in fixed:
            decisions.missing.append("size")
        else:
            decisions.put("size", fixed, "graph")
        return
    size = tuple(
        side if fixed_side is None else fixed_side
        for fixed_side, side in zip(fixed, wanted, strict=True)
    )
    if size != wanted and (name == "crop" or decisions.has_flag("size")):
        decisions.contradict(name, wanted, source, fixed)
    decisions.put("size", size, source if size == wanted and None in fixed else "graph")


def _find_size(decisions: Decisions) -> tuple[str, Size | None, str]:
    """Return the field that gives the size, the size and its source; a crop is one, too."""
    size, source = decisions.find("size")
    crop, crop_source = decisions.geometry.crop, decisions.geometry.sources.get("crop", "")
    if crop is None:
        return "size", size, source
    if size not in (None, crop):
        raise ModelError(
            f"{decisions.name}: {crop_source} crops to {crop}, but {source} says size {size}; give "
            f"the size of the model's input as --size, or leave out one of them"
        )
    return "crop", crop, crop_source


def _decide_geometry(decisions: Decisions) -> None:
    sources = decisions.geometry.sources
    decisions.put("fit", decisions.geometry.fit, sources.get("fit", "default"))
    _check_size_of_geometry(decisions)
    resize = decisions.geometry.choose_resize(decisions.values["size"])
    decisions.put("resize", resize, sources.get("resize", "default"))


def _check_size_of_geometry(decisions: Decisions) -> None:
    """Refuse steps in pixels that a file gives for another size than the graph's."""
    origin, size = decisions.origins["fit"], decisions.values["size"]
    place = next((source for source in decisions.sources if source.name == origin), None)
    meant = size if place is None else place.values.get("size", size)
    in_pixels = decisions.geometry.resize is not None or decisions.geometry.fit == "keep"
    if in_pixels and meant != size:
        raise ModelError(
            f"{decisions.name}: {origin} prepares photos for an input of {meant}, but this model "
            f"takes {size}; {WAYS['geometry']}, as the model was trained"
        )
