"""A study whose questions are answered by the workers of a cluster.

A question is one image and one method, with all metrics. Workers do what one process does
(`onnxplain.study.classifier_study`); only this process writes rows. A question that a worker had
answered when it died is answered again: its rows are written once.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from onnxplain.cluster import Ray, WorkerLost
from onnxplain.cluster.connection import pack_work
from onnxplain.cluster.crew import RayCrew, gather_crew
from onnxplain.cluster.halving import halve_batches
from onnxplain.cluster.handing_out import Answer, hand_out
from onnxplain.core.files import write_atomic
from onnxplain.core.protocols import Classifier
from onnxplain.study.classifier_study import Rules, Step, settle_explainers, study_classifier
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import Explainer
from onnxplain.study.judges import Judge
from onnxplain.study.preparation import Waiting
from onnxplain.study.records import Question
from onnxplain.study.rows import Row, RowFile
from onnxplain.subjects import hash_photo

WORKERS_FILE = "workers.json"


class Assignment(NamedTuple):
    """A question for a worker.

    Parameters
    ----------
    position : int
        Of the classifier in the study.
    item : Item
        The image.
    explainer : int
        Position of the method and its fill.
    done : dict
        The status of each row of this image that is there already, by key.
    """

    position: int
    item: Item
    explainer: int
    done: dict[str, str]


class Findings(NamedTuple):
    """What a worker has done for a question."""

    steps: list[Step]
    inpaints: int


@dataclass(eq=False)
class _HeldRows:
    """The rows of one question, which are sent back with its steps."""

    done: dict[str, str]

    def append(self, rows: Iterable[Row]) -> None:
        """Note that rows were made."""
        self.done.update((row["key"], row["status"]) for row in rows)


@dataclass(frozen=True)
class StudyOpener:
    """What every worker needs: called there, it returns the function that answers questions.

    Parameters
    ----------
    classifiers : tuple of bytes
        The classifiers, packed one by one, so that a worker opens one at a time.
    explainers, judges : sequence
        Methods with fills, and metrics.
    rules : Rules
        How images are taken and judged.
    """

    classifiers: tuple[bytes, ...]
    explainers: Sequence[Explainer]
    judges: Sequence[Judge]
    rules: Rules

    def __call__(self, halvings: int) -> Callable[[Assignment], Findings]:
        """Return the function that answers questions, one at a time."""

        @lru_cache(maxsize=1)  # the classifiers of a study come one after the other
        def open_classifier(position: int) -> Classifier:
            classifier: Classifier = pickle.loads(self.classifiers[position])
            halve_batches(classifier, halvings)
            return classifier

        def answer(assignment: Assignment) -> Findings:
            made: list[int] = []
            steps = study_classifier(
                open_classifier(assignment.position),
                [assignment.item],
                [self.explainers[assignment.explainer]],
                self.judges,
                _HeldRows(assignment.done),
                self.rules,
                on_progress=lambda _, inpaints: made.append(inpaints),
            )
            return Findings(list(steps), sum(made))

        open_classifier(0)  # a worker that cannot open the model says so before it is given work
        return answer


@dataclass(frozen=True, eq=False)
class Ledger:
    """Which questions are asked, and which rows were written: those that are new, once."""

    waiting: Sequence[Waiting]
    explainers: Sequence[Explainer]
    judges: Sequence[Judge]
    rules: Rules
    store: RowFile
    written: set[str] = field(default_factory=set)

    def ask(self) -> Iterator[Assignment]:
        """Yield all questions, one classifier after the other."""
        for position, (_, _, items) in enumerate(self.waiting):
            for item in items:
                absolute = replace(item, path=item.path.absolute())
                for explainer in range(len(self.explainers)):
                    yield Assignment(position, absolute, explainer, self.store.find_done(item.file))

    def take(self, answer: Answer[Assignment, Findings]) -> list[Step]:
        """Write the rows of an answer, and return its steps."""
        if answer.error is not None:
            if not isinstance(answer.error, WorkerLost):
                raise answer.error
            return [self._write(self._describe_loss(answer.task, answer.error))]
        assert answer.value is not None
        return [self._write(step) for step in answer.value.steps]

    def _write(self, step: Step) -> Step:
        """Write those rows of a step that no other worker has sent."""
        fresh = tuple(row for row in step.rows if row["key"] not in self.written)
        if fresh:
            self.store.append(fresh)
            self.written.update(row["key"] for row in fresh)
        return step._replace(rows=fresh)

    def _describe_loss(self, assignment: Assignment, error: WorkerLost) -> Step:
        """Make the rows of a question that took its workers down."""
        classifier, item = self.waiting[assignment.position].classifier, assignment.item
        question = Question(classifier, item, None, self.rules.seed)
        try:
            photo = self.rules.read(item.path)
        except Exception as unreadable:
            row = question.image_row(unreadable)
            return Step((row["key"],), (row,), 1)
        question = replace(question, sha256=hash_photo(photo))
        (explainer,), _ = settle_explainers([self.explainers[assignment.explainer]], classifier)
        keys = {question.score_key(explainer, judge): judge for judge in self.judges}
        rows = tuple(
            question.score_row(explainer, judge, error)
            for key, judge in keys.items()
            if self.rules.find_status(assignment.done, key) is None
        )
        return Step(tuple(keys), rows, 1)


def study_on_cluster(
    cluster: Ray,
    waiting: Sequence[Waiting],
    explainers: Sequence[Explainer],
    judges: Sequence[Judge],
    store: RowFile,
    rules: Rules,
    *,
    on_step: Callable[[int, Step, int, int], None],
) -> Iterator[Step]:
    """Study all classifiers by the workers of a cluster; see `study_classifier`.

    Parameters
    ----------
    cluster : Ray
        The cluster.
    waiting : sequence of Waiting
        The classifiers with their images.
    explainers, judges : sequence
        Methods with fills, and metrics.
    store : RowFile
        Where rows are looked up and written.
    rules : Rules
        How images are taken and judged.
    on_step : callable
        Called with the position of the classifier, a step, the number of pictures that fills
        have made for it, and the number of workers that are ready.

    Yields
    ------
    step : Step
        As work ends. `workers.json` beside the rows says where it was done.

    Raises
    ------
    ClusterError
        If workers cannot be started, or run other versions or models.
    OnnxplainError
        As `study_classifier`.
    """
    ledger = Ledger(waiting, explainers, judges, rules, store)
    opener = StudyOpener(
        tuple(pack_work(entry.classifier) for entry in waiting), explainers, judges, rules
    )
    with gather_crew(cluster, opener) as crew:
        try:
            answers: Iterator[Answer[Assignment, Findings]] = hand_out(crew, ledger.ask())
            for answer in answers:
                made = answer.value.inpaints if answer.value else 0
                for step in ledger.take(answer):
                    on_step(answer.task.position, step, made, crew.alive)
                    made = 0
                    yield step
        finally:
            _write_workers(crew, cluster, store.path.parent)


def _write_workers(crew: RayCrew, cluster: Ray, folder: Path) -> None:
    """Write where the work was done; rows do not say it, as they do not depend on it."""
    record: dict[str, Any] = {
        "cores": cluster.cores,
        "gpus": cluster.gpus,
        "workers": [facts._asdict() for facts in crew.seen],
    }
    write_atomic(folder / WORKERS_FILE, json.dumps(record, indent=1).encode())
