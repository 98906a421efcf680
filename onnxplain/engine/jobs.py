"""What the engine runs, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from onnxplain.core.data import Attribution, Case
from onnxplain.core.flow import Flow, Method, advise_scores_alone, start_flow
from onnxplain.core.protocols import Fill
from onnxplain.engine.slices import Effort

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Job(Generic[T]):
    """Flows over the targets of one image that ask the same queries, and their fill.

    An adaptive method has one flow per job. Other methods may have one flow per target: the
    first flow's queries are evaluated, and each flow gets the scores of its own target.

    Parameters
    ----------
    cases : tuple of Case
        The same image with one target each.
    flows : tuple of Flow
        One per case.
    fill : Fill
        What stands in for removed pixels.
    seed : int
        Seed of fills that draw random numbers.
    advice : str
        What to do if the classifier's gradients turn out to be unusable; ends the error's text.
    """

    cases: tuple[Case, ...]
    flows: tuple[Flow[T], ...]
    fill: Fill
    seed: int = 0
    advice: str = ""


@dataclass(frozen=True, eq=False)
class Outcome(Generic[T]):
    """How a job ended: the values of its flows in order, or the error that stopped it."""

    job: Job[T]
    values: tuple[T, ...]
    error: Exception | None
    evaluations: int
    seconds: float  # since the job was started
    effort: Effort  # of the workers


def make_jobs(
    method: Method, cases: Sequence[Case], fill: Fill, seed: int
) -> list[Job[Attribution]]:
    """Make one job for all targets of an image, or one per target if the method is adaptive."""
    groups = [(case,) for case in cases] if method.adaptive else [tuple(cases)]
    advice = advise_scores_alone(method)
    return [
        Job(group, tuple(start_flow(method, case, seed) for case in group), fill, seed, advice)
        for group in groups
    ]
