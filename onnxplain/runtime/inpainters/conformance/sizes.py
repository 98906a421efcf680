"""Which sizes a graph takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from onnxplain.core.data import Size
from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.runtime.inpainters.conformance.probe import probe
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial
from onnxplain.runtime.session import Session

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def size(session: Session, spec: InpainterSpec) -> tuple[InpainterSpec, Trial, Check]:
    """Which sizes it takes, and a trial at one of them."""
    if spec.size is None:
        return _multiple(session, spec)
    trial = Trial(session, probe(spec.size))
    trial.first(spec)
    rows, columns = spec.size
    return spec, trial, Check("size", True, f"runs at {rows} x {columns}")


def _multiple(session: Session, spec: InpainterSpec) -> tuple[InpainterSpec, Trial, Check]:
    """What sides must be multiples of: as said, or the least number at which it runs."""
    silent = spec.is_silent("multiple")
    told = [spec.multiple] if not silent else []
    failures = dict[int, str]()
    for multiple in (*told, *MULTIPLES):
        trial = Trial(session, probe(sides(multiple)))
        tried = replace(spec, multiple=multiple)
        try:
            trial.first(tried)
            if failures:  # one fixed side would pass for a multiple, but not on the other
                rows, columns = sides(multiple)
                Trial(session, probe((columns, rows))).first(tried)
        except (ModelError, InpainterError) as error:
            if "NaN" in str(error):
                raise
            failures[multiple] = trial.why(error)
            continue
        if multiple != spec.multiple and not silent:
            raise trial.contradiction(spec, "multiple", failures[spec.multiple], multiple=multiple)
        text = f"runs at {_listed([multiple])}"
        if failures:
            text += f", and not at {_listed(failures)}"
        return spec.seen(multiple=multiple) if silent else spec, trial, Check("size", True, text)
    raise InpainterError(
        f"{session.name}: runs at none of the sizes that were tried, {_listed(failures)}; write "
        f"size = [ROWS, COLUMNS], or multiple = N if sides must be multiples of another "
        f"number. At the last: {list(failures.values())[-1]}"
    )


def sides(multiple: int) -> Size:
    """A size near 64 pixels that is a multiple of this number and of no larger power of two.

    >>> [sides(multiple) for multiple in (1, 2, 16, 64)]
    [(65, 67), (66, 70), (80, 112), (64, 192)]
    """
    times = max(64 // multiple, 1) | 1
    return times * multiple, (times + 2) * multiple


def _listed(multiples: Iterable[int]) -> str:
    return ", ".join("{} x {}".format(*sides(one)) for one in multiples)
