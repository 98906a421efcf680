"""Decide the values that pixels have in a classifier's input."""

from __future__ import annotations

import logging

from onnxplain.core.errors import ModelError
from onnxplain.describe.decisions import Decisions
from onnxplain.describe.fields import CLASSIFIER_FIELDS, SpecSource
from onnxplain.describe.normalisation import (
    NORMALISATION_FIELDS,
    NORMALISATION_PRESETS,
    find_normalisation,
)

log = logging.getLogger(__name__)

INT8 = (-128.0, 127.0)
INT8_SLACK = 0.02  # of a range of pixels, by which a scale found on data may miss its ends
INT8_LEAST = 16  # steps between black and white; fewer were meant as real numbers
PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))


def decide_pixels(decisions: Decisions) -> None:
    """Decide range, mean and standard deviation, for each channel.

    Raises
    ------
    ModelError
        If a source contradicts the graph.
    """
    if decisions.facts.dtype == "uint8":
        _put_bytes(decisions)
    elif decisions.facts.dtype == "int8":
        _decide_int8(decisions)
    else:
        _decide_real(decisions)
    channels = 1 if decisions.values["colour"] == "grey" else 3
    for name in ("mean", "std"):
        if name in decisions.values:
            values = decisions.values[name]
            if len(values) not in (1, channels):
                fact = f"{channels} channel(s)"
                decisions.contradict(name, values, decisions.origins[name], fact)
            decisions.values[name] = values * channels if len(values) == 1 else values


def _decide_real(decisions: Decisions) -> None:
    """Put the normalisation that flags, the preset and files say."""
    sources = list(decisions.sources)
    if decisions.preset:
        fields = NORMALISATION_PRESETS[decisions.preset].fields(decisions.values["colour"])
        sources.insert(len(decisions.flags), SpecSource(f"preset {decisions.preset}", fields))
    normalisation = find_normalisation(sources, flags=len(decisions.flags))
    for name, (value, source) in normalisation.items():
        decisions.put(name, value, source)
    decisions.missing += [name for name in NORMALISATION_FIELDS if name not in normalisation]
    _warn_of_mixture(decisions)


def _decide_int8(decisions: Decisions) -> None:
    """Decide the values that int8 takes: as somebody says them, or all 256 of them.

    The latter where the graph's scale makes of them one of the usual ranges of pixels.
    """
    given = any(decisions.find(name)[1] for name in NORMALISATION_FIELDS)
    scale, zero = decisions.facts.input_scale or (0.0, 0.0)
    ends = [scale * (end - zero) for end in INT8]
    is_usual = any(
        max(abs(end - usual) for end, usual in zip(ends, pixels, strict=True))
        <= INT8_SLACK * (pixels[1] - pixels[0])
        for pixels in PIXEL_RANGES
    )
    if not given and not decisions.preset and is_usual:
        for name, value in (("range", INT8), ("mean", (0.0,)), ("std", (1.0,))):
            decisions.put(name, value, "graph")
        return
    _decide_real(decisions)
    if not set(NORMALISATION_FIELDS) <= set(decisions.values):
        return
    (low, high), mean, std = (decisions.values[name] for name in NORMALISATION_FIELDS)
    pairs = [(m, s) for m in mean for s in std]  # of any channel: they hardly differ
    reached = [((low - m) / s, (high - m) / s) for m, s in pairs]
    if any(a < INT8[0] - 1 or b > INT8[1] + 1 or b - a < INT8_LEAST for a, b in reached):
        black, white = reached[0]
        raise ModelError(
            f"{decisions.name}: the input takes int8, and {decisions.origins['range']} gives "
            f"pixels from {black:g} to {white:g}, where integers from -128 to 127 are meant; "
            f"pass --range -128,127, or the values that the graph takes for black and white"
        )


def _put_bytes(decisions: Decisions) -> None:
    """Put the only normalisation of uint8 pixels; the model's own sources must agree."""
    for name, value in (("range", (0.0, 255.0)), ("mean", (0.0,)), ("std", (1.0,))):
        wanted, source = decisions.find(name)
        own = source in decisions.own  # a folder's configuration may be of a float model
        if own and set(wanted) != set(value):
            decisions.contradict(name, wanted, source, "uint8 pixels from 0 to 255")
        decisions.put(name, value, "graph")


def _warn_of_mixture(decisions: Decisions) -> None:
    """Warn where a flag's mean goes with a std from elsewhere, or the reverse.

    Each alone is a legitimate correction, but more often half of a pair was forgotten.
    """
    flags = {source.name for source in decisions.flags}
    elsewhere = {source.name for source in decisions.sources} - flags
    for name, other in (("mean", "std"), ("std", "mean")):
        if decisions.origins.get(name) in flags and decisions.origins.get(other) in elsewhere:
            value = ", ".join(f"{number:g}" for number in decisions.values[other])
            log.warning(
                "%s: %s goes with the %s %s of %s; give %s too if they belong together",
                *(decisions.name, decisions.origins[name], other, value, decisions.origins[other]),
                CLASSIFIER_FIELDS[other].option,
            )
