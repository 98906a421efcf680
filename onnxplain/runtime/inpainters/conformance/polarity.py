"""Which values of the mask mean hole and known, and whether the hole must go in blank.

In each function, `tolerance` is the largest difference of two outputs that counts as none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec, can_hold
from onnxplain.runtime.inpainters.conformance.readings import (
    CLEAR,
    READS,
    choose_reading,
    decode_new_pixels,
    rank_known_readings,
    rank_readings,
)
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial, measure_difference

SCALES = ((1.0, 0.0), (255.0, 0.0), (0.5, -0.5))  # of hole and known, tried either way round


def check_polarity(
    trial: Trial, spec: InpainterSpec, tolerance: float
) -> tuple[InpainterSpec, Check]:
    """Find the mask's values of hole and known, and whether the hole must go in blank."""
    if spec.pack == "image":
        return spec, Check("polarity", None, "takes no mask: holes go in blank")
    exchanged = _exchange(spec)
    here, there = _measure_leak(trial, spec), _measure_leak(trial, exchanged)
    text = f"what is in the hole shows by {here:.1e}; by {there:.1e} if {_describe(exchanged)}"
    candidates = (spec, exchanged, *_list_scales(spec))
    good = next((other for other in candidates if _is_good(trial, other, tolerance)), None)
    if good is None and min(here, there) <= tolerance < max(here, there):
        good = spec if here < there else exchanged
    if good is not None:
        if good not in (spec, exchanged):
            text += f"; by {_measure_leak(trial, good):.1e} if {_describe(good)}"
        return _adopt(trial, spec, good, text), Check("polarity", True, text)
    if _passes_hole_through(trial, spec) and _passes_hole_through(trial, exchanged):
        raise InpainterError(
            f"{trial.name}: the mask has no effect where {_describe(spec)}: what goes into the "
            f"hole comes out of it; write hole and known as the graph takes them, as 255 and 0"
        )
    if here > tolerance and not spec.premultiply:
        if not spec.is_silent("premultiply"):
            raise trial.make_contradiction(spec, "premultiply", text, premultiply=True)
        spec = spec.seen(premultiply=True)
    return _guess_by_known_pixels(trial, spec, text)


def _measure_leak(trial: Trial, spec: InpainterSpec) -> float:
    """Measure how much pixels deep in the hole show in the output, if they are not blanked."""
    bare = replace(spec, premultiply=False)
    return measure_difference(trial.run_first(bare), trial.run_first(bare, changed=True))


def _is_good(trial: Trial, spec: InpainterSpec, tolerance: float) -> bool:
    """Whether the hole is hidden, known pixels come back, and something is painted.

    A mask on a wrong scale may hide the hole as well: by numbers so large that every painted
    pixel ends at black or white.
    """
    try:
        if _measure_leak(trial, spec) > tolerance:
            return False
        reading, error = choose_reading(trial, spec)
    except (ModelError, InpainterError):
        return False
    new = decode_new_pixels(trial, spec, reading)
    at_ends = np.isclose(new, 0, atol=1e-6) | np.isclose(new, 1, atol=1e-6)
    return error < READS and not at_ends.all()


def _passes_hole_through(trial: Trial, spec: InpainterSpec) -> bool:
    """Whether pixels deep in the hole come out as they go in."""
    raw = trial.run_first(replace(spec, premultiply=False), changed=True)[0]
    deep, went_in = trial.probe.deep[0], trial.probe.change_holes()[0]
    _, error = rank_readings(spec, raw[deep], went_in[deep])[0]
    return error < READS


def _guess_by_known_pixels(
    trial: Trial, spec: InpainterSpec, text: str
) -> tuple[InpainterSpec, Check]:
    """Take the polarity under which known pixels come back: the hole's own decide nothing."""
    exchanged = _exchange(spec)
    here, there = (rank_known_readings(trial, either)[0][1] for either in (spec, exchanged))
    if max(here, there) < max(READS, CLEAR * min(here, there)):
        return spec, Check("polarity", None, f"{text}: taken as described, {_describe(spec)}")
    text += f"; known pixels are {here:.1e} off, and {there:.1e} if {_describe(exchanged)}"
    spec = _adopt(trial, spec, exchanged if here > there else spec, text)
    return spec, Check("polarity", True, text)


def _adopt(trial: Trial, spec: InpainterSpec, good: InpainterSpec, text: str) -> InpainterSpec:
    """Take over the mask's values that were seen, unless others were described."""
    if (spec.hole, spec.known) == (good.hole, good.known):
        return spec
    if said := [name for name in ("hole", "known") if not spec.is_silent(name)]:
        raise trial.make_contradiction(spec, said[0], text, hole=good.hole, known=good.known)
    return spec.seen(hole=good.hole, known=good.known)


def _exchange(spec: InpainterSpec) -> InpainterSpec:
    return replace(spec, hole=spec.known, known=spec.hole)


def _list_scales(spec: InpainterSpec) -> list[InpainterSpec]:
    """List descriptions with other mask values of published graphs that its type can hold."""
    pairs = [pair for hole, known in SCALES for pair in ((hole, known), (known, hole))]
    return [
        replace(spec, hole=hole, known=known)
        for hole, known in pairs
        if can_hold(spec.mask_dtype, hole) and can_hold(spec.mask_dtype, known)
    ]


def _describe(spec: InpainterSpec) -> str:
    return f"{spec.hole:g} is a hole and {spec.known:g} is none"
