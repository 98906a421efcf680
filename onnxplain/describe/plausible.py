"""Every plausible way to feed a classifier, to compare its answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.interface import read_interface
from onnxplain.describe.normalisation import DESCRIBED, NORMALISATION_FIELDS, NORMALISATION_PRESETS
from onnxplain.describe.own_normalisation import find_doubt
from onnxplain.describe.resolve import resolve_spec, settle_spec
from onnxplain.graph.load import ModelFile

PLAUSIBLE_COLOURS = ("rgb", "bgr")


def list_plausible_specs(model: ModelFile, flags: Mapping[str, Any]) -> list[tuple[str, ModelSpec]]:
    """List every plausible way to feed a classifier, each with a name, to compare the answers.

    The first is what flags and files say, if that is enough; then comes each preset, in RGB
    and BGR where neither flags nor the graph tell the order. Presets of equal effect appear
    once, under all their names.
    """
    described: list[tuple[str, ModelSpec]] = []
    with contextlib.suppress(ModelError):  # the presets fill in what is missing
        described.append((DESCRIBED, resolve_spec(model, flags)))
    free = {name: value for name, value in flags.items() if name not in NORMALISATION_FIELDS}
    names: dict[Any, list[str]] = {}
    specs: dict[Any, ModelSpec] = {}
    for preset, colour in _list_preset_colours(model, free):
        spec = settle_spec(model, {**free, "preprocessing": preset, "colour": colour})
        if (doubt := find_doubt(model, spec)) and doubt.certain:
            continue
        key = (spec.range, spec.mean, spec.std, spec.colour)
        label = "bytes" if spec.dtype == "uint8" else preset
        names.setdefault(key, [])
        if label not in names[key]:
            names[key].append(label)
        specs[key] = spec
    return described + [(f"{' / '.join(names[key])}, {key[-1]}", specs[key]) for key in specs]


def _list_preset_colours(model: ModelFile, flags: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    facts = read_interface(model, input=flags.get("input"), output=flags.get("output"))
    fixed = flags.get("colour") or facts.colour
    if facts.dtype == "int8":  # presets are of real numbers
        return
    for preset in NORMALISATION_PRESETS:
        for colour in (fixed,) if fixed else PLAUSIBLE_COLOURS:
            yield preset, colour
