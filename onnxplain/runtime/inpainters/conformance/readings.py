"""What numbers mean: black and white in the image that goes in, and in the answer, and its colours.

Known pixels tell, where the graph gives them back; pixels that it painted tell where it does so
whatever their range.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import ChannelOrder, InpainterSpec, format_value
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial
from onnxplain.runtime.inpainters.encoding import Raw, decode

READS = 2 / 255  # mean error under which pixels count as those that went in
CLEAR = 4  # times the error at which another reading of the output is told apart
ABSURD = 0.5  # mean error of known pixels beyond which a reading is doubted
OUTSIDE = 0.1  # mean distance from [0, 1] beyond which no picture is painted
RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))


class Reading(NamedTuple):
    """What black and white are in the output, and the order of its channels."""

    output_range: tuple[float, float]
    output_colour: ChannelOrder


def painted(trial: Trial, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
    """Whether the hole is on the scale of the known pixels, which the range that goes in shows.

    A composite gives known pixels back whatever range they went in with; new pixels have
    the range that the graph was made for.
    """
    name = "painted pixels"
    reading, error = read(trial, spec)
    if error >= READS:
        return spec, Check(name, None, "known pixels do not come back to be compared with")
    new = new_pixels(trial, spec, reading)
    text = f"lie in [{new.min():.2g}, {new.max():.2g}] with range [{format_value(spec.range)}]"
    if _outside(new) <= OUTSIDE:
        return spec, Check(name, True, text)
    span = _fitting(trial, spec)
    if span is None:
        return spec, Check(name, False, f"{text}, where known pixels lie in [0, 1]")
    turned = replace(spec, range=span)
    instead, _ = read(trial, turned)
    if not spec.is_silent("range"):
        seen = f"painted pixels {text}, where known pixels lie in [0, 1]"
        raise trial.contradiction(spec, "range", seen, range=span, **_against(spec, instead))
    new = new_pixels(trial, turned, instead)
    text += f", and in [{new.min():.2g}, {new.max():.2g}] with range [{format_value(span)}]"
    return spec.seen(range=span), Check(name, True, text)


def range_and_colour(trial: Trial, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
    """What black and white are in the output, and the order of its channels."""
    name = "range and colour"
    errors = dict(known_readings(trial, spec))
    as_told = errors[_told(spec)]
    best, error = read(trial, spec)
    unsaid = spec.sources.get("output_range", "default") == "default"
    if error < READS or (not unsaid and as_told > CLEAR * error):
        if said := _against(spec, best):
            seen = f"known pixels are {as_told:.1e} off so, and {error:.1e} otherwise"
            raise trial.contradiction(spec, next(iter(said)), seen, **said)
        rest = min(other for reading, other in errors.items() if reading != best)
        text = f"known pixels come back within {error:.1e}; otherwise read, {rest:.1e}"
        silent = {one: value for one, value in best._asdict().items() if spec.is_silent(one)}
        return spec.seen(**silent), Check(name, True, text)
    if unsaid:
        raise InpainterError(
            f"{trial.name}: nobody says what its output means, and it cannot be seen: known "
            f"pixels are at least {error:.1e} off under every reading, as the graph does not "
            f"give them back; write output_range (0, 1 or 0, 255 or -1, 1), or the preset"
        )
    text = f"known pixels are {as_told:.1e} off as described, and come back under no reading"
    return spec, Check(name, None if as_told <= ABSURD else False, text)


def known(trial: Trial, spec: InpainterSpec) -> Check:
    """Whether known pixels are left alone."""
    far = trial.probe.far[0]
    came_out = decode(trial.first(spec), spec.output_range, spec.output_colour)[0]
    off = float(np.abs(came_out - trial.probe.images[0])[far].max())
    text = f"are at most {off:.1e} off"
    if off > READS:
        text += "; they are put back here"
    return Check("known pixels", True if off <= READS else None, text)


def read(trial: Trial, spec: InpainterSpec) -> tuple[Reading, float]:
    """The reading of the output: as described where known pixels come back so, or the best."""
    found = known_readings(trial, spec)
    as_told = (one for one in found if one[0] == _told(spec) and one[1] < READS)
    return next(as_told, found[0])


def known_readings(trial: Trial, spec: InpainterSpec) -> list[tuple[Reading, float]]:
    """Mean error of the known pixels under each reading of the output, the best first."""
    far = trial.probe.far[0]
    return readings(spec, trial.first(spec)[0][far], trial.probe.images[0][far])


def readings(
    spec: InpainterSpec, raw: Raw, pixels: NDArray[np.float32]
) -> list[tuple[Reading, float]]:
    """Mean error of pixels that may have come back under each reading, the best first."""
    found = []
    for span in dict.fromkeys((spec.output_range, *RANGES, spec.range)):
        for order in dict.fromkeys((spec.output_colour, "rgb", "bgr")):
            error = float(np.abs(decode(raw, span, order) - pixels).mean())
            found.append((Reading(span, order), error))
    return sorted(found, key=lambda one: one[1])


def new_pixels(trial: Trial, spec: InpainterSpec, reading: Reading) -> NDArray[np.float32]:
    """The pixels (n, 3) that are painted deep in the hole, under a reading of the output."""
    return decode(trial.first(spec)[0][trial.probe.deep[0]], *reading)


def _fitting(trial: Trial, spec: InpainterSpec) -> tuple[float, float] | None:
    """The range to go in with which new pixels are most like the known ones, if they can be."""
    image, far = trial.probe.images[0], trial.probe.far[0]
    found = []
    for span in RANGES if spec.dtype != "uint8" else ():
        other = replace(spec, range=span)
        try:
            reading, error = read(trial, other)
        except (ModelError, InpainterError):
            continue
        new = new_pixels(trial, other, reading)
        if error < READS and _outside(new) <= OUTSIDE:
            unlike = np.abs(new.mean(axis=0) - image[far].mean(axis=0)).mean()
            found.append((float(unlike), span))
    return min(found)[1] if found else None


def _told(spec: InpainterSpec) -> Reading:
    return Reading(spec.output_range, spec.output_colour)


def _against(spec: InpainterSpec, reading: Reading) -> dict[str, Any]:
    """What of a reading differs from what somebody said."""
    return {
        name: value
        for name, value in reading._asdict().items()
        if value != getattr(spec, name) and not spec.is_silent(name)
    }


def _outside(pixels: NDArray[np.float32]) -> float:
    """Mean distance from [0, 1]."""
    return float(np.abs(pixels - np.clip(pixels, 0, 1)).mean())
