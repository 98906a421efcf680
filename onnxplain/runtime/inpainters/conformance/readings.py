"""The meaning of a graph's numbers: black and white on both sides, and channel order.

Known pixels show it where the graph gives them back; painted pixels show it where known ones
come back whatever their range.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import ColourOrder, InpainterSpec, format_value
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial
from onnxplain.runtime.inpainters.encoding import Raw, decode_pixels

READS = 2 / 255  # mean error below which pixels count as those that went in
CLEAR = 4  # ratio of errors from which one reading of the output is clearly better
ABSURD = 0.5  # mean error of known pixels above which a reading is doubted
OUTSIDE = 0.1  # mean distance from [0, 1] above which painted pixels are no picture
RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))


class Reading(NamedTuple):
    """One way to read the output: the numbers of black and white, and the channel order."""

    output_range: tuple[float, float]
    output_colour: ColourOrder


def check_painted_pixels(trial: Trial, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
    """Check that painted pixels are on the scale of the known ones, which the input range decides.

    A composite gives known pixels back whatever range they went in with; new pixels have
    the range that the graph was made for.
    """
    name = "painted pixels"
    reading, error = choose_reading(trial, spec)
    if error >= READS:
        return spec, Check(name, None, "known pixels do not come back to be compared with")
    new = decode_new_pixels(trial, spec, reading)
    text = f"lie in [{new.min():.2g}, {new.max():.2g}] with range [{format_value(spec.range)}]"
    if _measure_excess(new) <= OUTSIDE:
        return spec, Check(name, True, text)
    span = _find_input_range(trial, spec)
    if span is None:
        return spec, Check(name, False, f"{text}, where known pixels lie in [0, 1]")
    ranged = replace(spec, range=span)
    reading, _ = choose_reading(trial, ranged)
    if not spec.is_silent("range"):
        seen = f"painted pixels {text}, where known pixels lie in [0, 1]"
        differing = _list_contradicted(spec, reading)
        raise trial.make_contradiction(spec, "range", seen, range=span, **differing)
    new = decode_new_pixels(trial, ranged, reading)
    text += f", and in [{new.min():.2g}, {new.max():.2g}] with range [{format_value(span)}]"
    return spec.seen(range=span), Check(name, True, text)


def check_range_and_colour(trial: Trial, spec: InpainterSpec) -> tuple[InpainterSpec, Check]:
    """Find the numbers of black and white in the output, and the order of its channels."""
    name = "range and colour"
    errors = dict(rank_known_readings(trial, spec))
    described_error = errors[_get_described(spec)]
    best, error = choose_reading(trial, spec)
    undescribed = spec.sources.get("output_range", "default") == "default"
    if error < READS or (not undescribed and described_error > CLEAR * error):
        if differing := _list_contradicted(spec, best):
            seen = f"known pixels are {described_error:.1e} off so, and {error:.1e} otherwise"
            raise trial.make_contradiction(spec, next(iter(differing)), seen, **differing)
        rest = min(other for reading, other in errors.items() if reading != best)
        text = f"known pixels come back within {error:.1e}; otherwise read, {rest:.1e}"
        silent = {field: value for field, value in best._asdict().items() if spec.is_silent(field)}
        return spec.seen(**silent), Check(name, True, text)
    if undescribed:
        raise InpainterError(
            f"{trial.name}: nobody says what its output means, and it cannot be seen: known "
            f"pixels are at least {error:.1e} off under every reading, as the graph does not "
            f"give them back; write output_range (0, 1 or 0, 255 or -1, 1), or the preset"
        )
    text = (
        f"known pixels are {described_error:.1e} off as described, and come back under no reading"
    )
    return spec, Check(name, None if described_error <= ABSURD else False, text)


def check_known_pixels(trial: Trial, spec: InpainterSpec) -> Check:
    """Check that known pixels are left alone."""
    far = trial.probe.far[0]
    came_out = decode_pixels(trial.run_first(spec), spec.output_range, spec.output_colour)[0]
    error = float(np.abs(came_out - trial.probe.images[0])[far].max())
    text = f"are at most {error:.1e} off"
    if error > READS:
        text += "; they are put back here"
    return Check("known pixels", True if error <= READS else None, text)


def choose_reading(trial: Trial, spec: InpainterSpec) -> tuple[Reading, float]:
    """Choose the described reading if known pixels come back under it, else the best one.

    Returns
    -------
    reading : Reading
    error : float
        Mean error of the known pixels under it.
    """
    ranked = rank_known_readings(trial, spec)
    described_error = dict(ranked)[_get_described(spec)]
    return (_get_described(spec), described_error) if described_error < READS else ranked[0]


def rank_known_readings(trial: Trial, spec: InpainterSpec) -> list[tuple[Reading, float]]:
    """Rank readings of the output by the mean error of the known pixels, the best first."""
    far = trial.probe.far[0]
    return rank_readings(spec, trial.run_first(spec)[0][far], trial.probe.images[0][far])


def rank_readings(
    spec: InpainterSpec, raw: Raw, pixels: NDArray[np.float32]
) -> list[tuple[Reading, float]]:
    """Rank readings of raw pixels by their mean difference from `pixels`, the best first."""
    ranked = []
    for span in dict.fromkeys((spec.output_range, *RANGES, spec.range)):
        for order in dict.fromkeys((spec.output_colour, "rgb", "bgr")):
            error = float(np.abs(decode_pixels(raw, span, order) - pixels).mean())
            ranked.append((Reading(span, order), error))
    return sorted(ranked, key=lambda pair: pair[1])


def decode_new_pixels(trial: Trial, spec: InpainterSpec, reading: Reading) -> NDArray[np.float32]:
    """Decode the pixels (n, 3) that are painted deep in the hole."""
    return decode_pixels(trial.run_first(spec)[0][trial.probe.deep[0]], *reading)


def _find_input_range(trial: Trial, spec: InpainterSpec) -> tuple[float, float] | None:
    """Find the input range under which new pixels are most like the known ones, if any."""
    image, far = trial.probe.images[0], trial.probe.far[0]
    candidates = []
    for span in RANGES if spec.dtype != "uint8" else ():
        ranged = replace(spec, range=span)
        try:
            reading, error = choose_reading(trial, ranged)
        except (ModelError, InpainterError):
            continue
        new = decode_new_pixels(trial, ranged, reading)
        if error < READS and _measure_excess(new) <= OUTSIDE:
            difference = np.abs(new.mean(axis=0) - image[far].mean(axis=0)).mean()
            candidates.append((float(difference), span))
    return min(candidates)[1] if candidates else None


def _get_described(spec: InpainterSpec) -> Reading:
    return Reading(spec.output_range, spec.output_colour)


def _list_contradicted(spec: InpainterSpec, reading: Reading) -> dict[str, Any]:
    """List the fields of a reading that differ from what somebody described."""
    return {
        name: value
        for name, value in reading._asdict().items()
        if value != getattr(spec, name) and not spec.is_silent(name)
    }


def _measure_excess(pixels: NDArray[np.float32]) -> float:
    """Measure the mean distance of pixels from [0, 1]."""
    return float(np.abs(pixels - np.clip(pixels, 0, 1)).mean())
