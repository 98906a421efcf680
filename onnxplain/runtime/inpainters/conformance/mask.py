"""What the mask holds in a hole and elsewhere, and whether the hole must go in blank.

In each function, `same` is the largest difference of two answers that is none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec, can_hold
from onnxplain.runtime.inpainters.conformance.readings import (
    CLEAR,
    READS,
    known_readings,
    new_pixels,
    read,
    readings,
)
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial, apart

SCALES = ((1.0, 0.0), (255.0, 0.0), (0.5, -0.5))  # of hole and known, either way round


def polarity(trial: Trial, spec: InpainterSpec, same: float) -> tuple[InpainterSpec, Check]:
    """What the mask holds in a hole and elsewhere, and whether the hole must go in blank."""
    if spec.pack == "image":
        return spec, Check("polarity", None, "takes no mask: holes go in blank")
    turned = _turned(spec)
    here, there = _change(trial, spec), _change(trial, turned)
    text = f"what is in the hole shows by {here:.1e}; by {there:.1e} if {_told(turned)}"
    tried = (spec, turned, *_scales(spec))
    good = next((one for one in tried if _is_good(trial, one, same)), None)
    if good is None and min(here, there) <= same < max(here, there):
        good = spec if here < there else turned
    if good is not None:
        if good not in (spec, turned):
            text += f"; by {_change(trial, good):.1e} if {_told(good)}"
        return _choose(trial, spec, good, text), Check("polarity", True, text)
    if _passes(trial, spec) and _passes(trial, turned):
        raise InpainterError(
            f"{trial.name}: the mask has no effect where {_told(spec)}: what goes into the hole "
            f"comes out of it; write hole and known as the graph takes them, as 255 and 0"
        )
    if here > same and not spec.premultiply:
        if not spec.is_silent("premultiply"):
            raise trial.contradiction(spec, "premultiply", text, premultiply=True)
        spec = spec.seen(premultiply=True)
    return _guess(trial, spec, text)


def _change(trial: Trial, spec: InpainterSpec) -> float:
    """How much pixels deep in the hole show in the answer, if they are not made blank."""
    bare = replace(spec, premultiply=False)
    return apart(trial.first(bare), trial.first(bare, changed=True))


def _is_good(trial: Trial, spec: InpainterSpec, same: float) -> bool:
    """Whether the hole is hidden, known pixels come back, and something is painted.

    A mask on a wrong scale may hide the hole as well: by numbers so large that what is
    painted ends at black or white.
    """
    try:
        if _change(trial, spec) > same:
            return False
        reading, error = read(trial, spec)
    except (ModelError, InpainterError):
        return False
    new = new_pixels(trial, spec, reading)
    ends = np.isclose(new, 0, atol=1e-6) | np.isclose(new, 1, atol=1e-6)
    return error < READS and not ends.all()


def _passes(trial: Trial, spec: InpainterSpec) -> bool:
    """Whether pixels deep in the hole come out as they go in."""
    raw = trial.first(replace(spec, premultiply=False), changed=True)[0]
    deep, went_in = trial.probe.deep[0], trial.probe.changed()[0]
    _, error = readings(spec, raw[deep], went_in[deep])[0]
    return error < READS


def _guess(trial: Trial, spec: InpainterSpec, text: str) -> tuple[InpainterSpec, Check]:
    """Where the hole's own pixels tell nothing: the polarity under which others come back."""
    turned = _turned(spec)
    (_, here), (_, there) = (known_readings(trial, one)[0] for one in (spec, turned))
    if max(here, there) < max(READS, CLEAR * min(here, there)):
        return spec, Check("polarity", None, f"{text}: taken as described, {_told(spec)}")
    text += f"; known pixels are {here:.1e} off, and {there:.1e} if {_told(turned)}"
    spec = _choose(trial, spec, turned if here > there else spec, text)
    return spec, Check("polarity", True, text)


def _choose(trial: Trial, spec: InpainterSpec, good: InpainterSpec, text: str) -> InpainterSpec:
    """The values of the mask that were seen, where nobody said others."""
    if (spec.hole, spec.known) == (good.hole, good.known):
        return spec
    if said := [name for name in ("hole", "known") if not spec.is_silent(name)]:
        raise trial.contradiction(spec, said[0], text, hole=good.hole, known=good.known)
    return spec.seen(hole=good.hole, known=good.known)


def _turned(spec: InpainterSpec) -> InpainterSpec:
    return replace(spec, hole=spec.known, known=spec.hole)


def _scales(spec: InpainterSpec) -> list[InpainterSpec]:
    """The same with other values that masks have in published graphs, which its type can hold."""
    pairs = [one for hole, known in SCALES for one in ((hole, known), (known, hole))]
    return [
        replace(spec, hole=hole, known=known)
        for hole, known in pairs
        if can_hold(spec.mask_dtype, hole) and can_hold(spec.mask_dtype, known)
    ]


def _told(spec: InpainterSpec) -> str:
    return f"{spec.hole:g} is a hole and {spec.known:g} is none"
