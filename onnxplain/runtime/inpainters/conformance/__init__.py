"""Does an inpainter behave as it is described? A few runs on two small pictures tell.

What they show decides where the description is silent; where both speak and differ, it is an
error that says what was said, what was seen and what to write. Nobody's word is taken for it
that a graph looks at each mask of a batch: several published ones use the first for all.

=====================  ==========================================================================
check                  what is done
=====================  ==========================================================================
size                   pictures whose sides are odd, even, multiples of 4, ... go in, until they
                       come out
determinism            the same goes in twice
polarity               pixels deep in the hole are changed, which must not show; and once more
                       with hole and known exchanged, where it must; if it shows both ways, other
                       scales of the mask are tried; if that tells nothing, known pixels are
                       closer to what went in than with hole and known exchanged
painted pixels         lie in about [0, 1] where known pixels come back; else other ranges of the
                       input are tried
range and colour       far from the hole, pixels come back under one reading of the output
known pixels           how far they are from what went in (the composite is made here anyway)
batch, mask a sample   two pictures with two masks go in together, and one by one
whole image a hole     is painted with finite numbers
=====================  ==========================================================================
"""

from __future__ import annotations

import numpy as np

from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.runtime.inpainters.conformance.mask import polarity
from onnxplain.runtime.inpainters.conformance.readings import known, painted, range_and_colour
from onnxplain.runtime.inpainters.conformance.sizes import size
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial, apart
from onnxplain.runtime.session import Session

__all__ = ["Check", "examine"]

SAME = 1e-3  # largest difference, relative to the span of the answer, that is none


def examine(session: Session, spec: InpainterSpec) -> tuple[InpainterSpec, tuple[Check, ...]]:
    """Run the checks.

    Parameters
    ----------
    session : Session
        The graph, on a device that computes with whole floats.
    spec : InpainterSpec
        What is said of it; what nobody said is its to show.

    Returns
    -------
    spec : InpainterSpec
        With what was seen.
    checks : tuple of Check

    Raises
    ------
    InpainterError
        If what is seen contradicts what is said, the graph runs at no size, or it paints
        another shape, or NaN.
    """
    spec, trial, sized = size(session, spec)
    same, repeated = determinism(trial, spec)
    spec, masked = polarity(trial, spec, same)
    spec, ranged = painted(trial, spec)
    spec, read = range_and_colour(trial, spec)
    kept = known(trial, spec)
    spec, batched = batch(trial, spec, same)
    filled = whole(trial, spec)
    return spec, (sized, repeated, masked, ranged, read, kept, *batched, filled)


def determinism(trial: Trial, spec: InpainterSpec) -> tuple[float, Check]:
    """Whether the same input gives the same answer, and the largest difference that is none."""
    name = "determinism"
    again = trial.run(spec, trial.probe.images[:1], trial.probe.holes[:1])
    differ = apart(trial.first(spec), again)
    if differ == 0:
        return SAME, Check(name, True, "the same input gives the same answer")
    text = f"two runs on the same input differ by {differ:.1e} of the answer's span"
    return SAME + 2 * differ, Check(name, differ <= SAME, text)


def batch(
    trial: Trial, spec: InpainterSpec, same: float
) -> tuple[InpainterSpec, tuple[Check, ...]]:
    """Whether it takes several images a call, each with its own mask."""
    if spec.batch == 1:
        why = "the graph takes no more" if spec.is_silent("batch") else "as described"
        return spec, (Check("batch", None, f"images go in one at a time, {why}"),)
    images, holes = trial.probe.images, trial.probe.holes
    alone = np.concatenate([trial.first(spec), trial.run(spec, images[1:], holes[1:])])
    try:
        together = trial.run(spec, images, holes)
    except (ModelError, InpainterError) as error:
        text = f"two images do not go in together: {trial.why(error)}"
        return _single(trial, spec, text), (Check("batch", False, text),)
    check = Check("batch", True, "two images go in together")
    differ = apart(together, alone)
    if differ <= same:
        text = f"two masks in a batch give what each gives alone, within {differ:.1e}"
        return spec, (check, Check("mask a sample", True, text))
    text = (
        f"two images with two masks give another answer together than alone, by {differ:.1e}, "
        f"as where the first mask is taken for all; they go in one at a time"
    )
    return _single(trial, spec, text), (check, Check("mask a sample", False, text))


def _single(trial: Trial, spec: InpainterSpec, text: str) -> InpainterSpec:
    """The same, one image a call."""
    if not spec.is_silent("batch"):
        raise trial.contradiction(spec, "batch", text, batch=1)
    return spec.seen(batch=1)


def whole(trial: Trial, spec: InpainterSpec) -> Check:
    """Whether it paints where nothing is known."""
    name = "whole image a hole"
    holes = np.ones_like(trial.probe.holes[:1])
    try:
        trial.run(spec, trial.probe.images[:1], holes)
    except (ModelError, InpainterError) as error:
        return Check(name, False, trial.why(error))
    return Check(name, True, "is painted with finite numbers")
