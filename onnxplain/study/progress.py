"""How far a study has got: counted as work is done, and told to a bar and to the caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from onnxplain.engine.progress_bar import Move
from onnxplain.study.classifier_study import Step
from onnxplain.study.preparation import Waiting, Work
from onnxplain.study.rows import Row


class StudyProgress(NamedTuple):
    """How far the study of one classifier has got.

    Parameters
    ----------
    model : str
        What the classifier is called.
    position : int
        Position of the classifier in the study, from 0.
    done, total : int
        Number of pairs of an image and a method: settled pairs, and all pairs.
    inpaints : int
        Number of pictures that fills have made for masks.
    rows : tuple of dict
        The rows that were written since the last call.
    workers : int
        Number of workers of a cluster that are ready; 0 without a cluster.
    """

    model: str
    position: int
    done: int
    total: int
    inpaints: int
    rows: tuple[Row, ...] = ()
    workers: int = 0


@dataclass
class WorkCounter:
    """Counts the work that is done on one classifier, and reports the counts."""

    model: str
    position: int
    total: int  # pairs of an image and a method
    on_progress: Callable[[StudyProgress], None]
    done: int = 0
    inpaints: int = 0
    workers: int = 0

    @classmethod
    def of(
        cls,
        waiting: Waiting,
        position: int,
        work: Work,
        on_progress: Callable[[StudyProgress], None],
    ) -> WorkCounter:
        """Make the counter of one classifier, and report that its study begins."""
        total = len(waiting.items) * len(work.explainers)
        counter = cls(waiting.name, position, total, on_progress)
        counter.report()
        return counter

    def add_work(self, evaluations: int, inpaints: int) -> None:
        """Count the pictures that fills have made; scored images are not counted."""
        if inpaints:
            self.inpaints += inpaints
            self.report()

    def add_step(self, step: Step) -> None:
        """Count the pairs that are settled."""
        self.done += step.units
        self.report(step.rows)

    def report(self, rows: tuple[Row, ...] = ()) -> None:
        """Report the counts, and the rows written since the last report."""
        self.on_progress(
            StudyProgress(
                self.model, self.position, self.done, self.total, self.inpaints, rows, self.workers
            )
        )


def join_reports(
    move: Move, on_progress: Callable[[StudyProgress], None] | None
) -> Callable[[StudyProgress], None]:
    """Make the function that moves the bar and tells the caller."""

    def report(progress: StudyProgress) -> None:
        inpaints = f", {progress.inpaints} inpaints" if progress.inpaints else ""
        workers = f", {progress.workers} workers" if progress.workers else ""
        move(progress.done, progress.total, f"{progress.model}{inpaints}{workers}")
        if on_progress:
            on_progress(progress)

    return report
