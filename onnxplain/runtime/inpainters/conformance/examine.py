"""All checks of an inpainter in order, and those that compare whole outputs."""

from __future__ import annotations

import numpy as np

from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.runtime.inpainters.conformance.polarity import check_polarity
from onnxplain.runtime.inpainters.conformance.readings import (
    check_known_pixels,
    check_painted_pixels,
    check_range_and_colour,
)
from onnxplain.runtime.inpainters.conformance.sizes import check_size
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial, measure_difference
from onnxplain.runtime.session import Session

SAME = 1e-3  # largest difference, relative to the span of the output, that counts as none


def examine(session: Session, spec: InpainterSpec) -> tuple[InpainterSpec, tuple[Check, ...]]:
    """Run all checks of an inpainter.

    Parameters
    ----------
    session : Session
        The graph, on a device that computes in full float32.
    spec : InpainterSpec
        Its description; the graph's behaviour decides the fields that nobody described.

    Returns
    -------
    spec : InpainterSpec
        The description completed by what was seen.
    checks : tuple of Check

    Raises
    ------
    InpainterError
        If behaviour contradicts the description, the graph runs at no size, or it paints
        another shape, or NaN.
    """
    spec, trial, size = check_size(session, spec)
    tolerance, determinism = check_determinism(trial, spec)
    spec, polarity = check_polarity(trial, spec, tolerance)
    spec, painted = check_painted_pixels(trial, spec)
    spec, read = check_range_and_colour(trial, spec)
    known = check_known_pixels(trial, spec)
    spec, batch = check_batch(trial, spec, tolerance)
    whole = check_whole_hole(trial, spec)
    return spec, (size, determinism, polarity, painted, read, known, *batch, whole)


def check_determinism(trial: Trial, spec: InpainterSpec) -> tuple[float, Check]:
    """Check that the same input gives the same output; return the tolerance it leaves."""
    name = "determinism"
    again = trial.run(spec, trial.probe.images[:1], trial.probe.holes[:1])
    difference = measure_difference(trial.run_first(spec), again)
    if difference == 0:
        return SAME, Check(name, True, "the same input gives the same answer")
    text = f"two runs on the same input differ by {difference:.1e} of the answer's span"
    return SAME + 2 * difference, Check(name, difference <= SAME, text)


def check_batch(
    trial: Trial, spec: InpainterSpec, tolerance: float
) -> tuple[InpainterSpec, tuple[Check, ...]]:
    """Check that the graph takes several images per call, each with its own mask."""
    if spec.batch == 1:
        why = "the graph takes no more" if spec.is_silent("batch") else "as described"
        return spec, (Check("batch", None, f"images go in one at a time, {why}"),)
    images, holes = trial.probe.images, trial.probe.holes
    alone = np.concatenate([trial.run_first(spec), trial.run(spec, images[1:], holes[1:])])
    try:
        together = trial.run(spec, images, holes)
    except (ModelError, InpainterError) as error:
        text = f"two images do not go in together: {trial.describe_error(error)}"
        return _limit_to_single(trial, spec, text), (Check("batch", False, text),)
    check = Check("batch", True, "two images go in together")
    difference = measure_difference(together, alone)
    if difference <= tolerance:
        text = f"two masks in a batch give what each gives alone, within {difference:.1e}"
        return spec, (check, Check("mask a sample", True, text))
    text = (
        f"two images with two masks give another answer together than alone, by {difference:.1e}, "
        f"as where the first mask is taken for all; they go in one at a time"
    )
    return _limit_to_single(trial, spec, text), (check, Check("mask a sample", False, text))


def _limit_to_single(trial: Trial, spec: InpainterSpec, text: str) -> InpainterSpec:
    """Return the description with one image per call, unless it was described otherwise."""
    if not spec.is_silent("batch"):
        raise trial.make_contradiction(spec, "batch", text, batch=1)
    return spec.seen(batch=1)


def check_whole_hole(trial: Trial, spec: InpainterSpec) -> Check:
    """Check that the graph paints where nothing is known."""
    name = "whole image a hole"
    holes = np.ones_like(trial.probe.holes[:1])
    try:
        trial.run(spec, trial.probe.images[:1], holes)
    except (ModelError, InpainterError) as error:
        return Check(name, False, trial.describe_error(error))
    return Check(name, True, "is painted with finite numbers")
