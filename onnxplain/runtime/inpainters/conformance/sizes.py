"""Which sizes a graph takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from onnxplain.core.data import Size
from onnxplain.core.errors import InpainterError, ModelError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.runtime.inpainters.conformance.probe_pictures import make_probe
from onnxplain.runtime.inpainters.conformance.trial import Check, Trial
from onnxplain.runtime.session import Session

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def check_size(session: Session, spec: InpainterSpec) -> tuple[InpainterSpec, Trial, Check]:
    """Find out which sizes the graph takes, and make a trial at one of them."""
    if spec.size is None:
        return _find_multiple(session, spec)
    trial = Trial(session, make_probe(spec.size))
    trial.run_first(spec)
    rows, columns = spec.size
    return spec, trial, Check("size", True, f"runs at {rows} x {columns}")


def _find_multiple(session: Session, spec: InpainterSpec) -> tuple[InpainterSpec, Trial, Check]:
    """Find the number that sides must be multiples of: as described, or the least that runs."""
    silent = spec.is_silent("multiple")
    described = [spec.multiple] if not silent else []
    failures = dict[int, str]()
    for multiple in (*described, *MULTIPLES):
        trial = Trial(session, make_probe(choose_sides(multiple)))
        candidate = replace(spec, multiple=multiple)
        try:
            trial.run_first(candidate)
            if failures:  # one fixed side would pass for a multiple, but not on the other
                rows, columns = choose_sides(multiple)
                Trial(session, make_probe((columns, rows))).run_first(candidate)
        except (ModelError, InpainterError) as error:
            if "NaN" in str(error):
                raise
            failures[multiple] = trial.describe_error(error)
            continue
        if multiple != spec.multiple and not silent:
            seen = failures[spec.multiple]
            raise trial.make_contradiction(spec, "multiple", seen, multiple=multiple)
        text = f"runs at {_list_sides([multiple])}"
        if failures:
            text += f", and not at {_list_sides(failures)}"
        return spec.seen(multiple=multiple) if silent else spec, trial, Check("size", True, text)
    raise InpainterError(
        f"{session.name}: runs at none of the sizes that were tried, {_list_sides(failures)}; "
        f"write size = [ROWS, COLUMNS], or multiple = N if sides must be multiples of another "
        f"number. At the last: {list(failures.values())[-1]}"
    )


def choose_sides(multiple: int) -> Size:
    """Choose a size near 64 pixels: multiples of this number, and of no larger power of two.

    >>> [choose_sides(multiple) for multiple in (1, 2, 16, 64)]
    [(65, 67), (66, 70), (80, 112), (64, 192)]
    """
    times = max(64 // multiple, 1) | 1
    return times * multiple, (times + 2) * multiple


def _list_sides(multiples: Iterable[int]) -> str:
    return ", ".join("{} x {}".format(*choose_sides(multiple)) for multiple in multiples)
