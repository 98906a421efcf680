"""Run a study: every image explained by every method, every heatmap judged by every metric.

One job of the engine explains an image and then judges the heatmap by all metrics that are
still open, so that the queries of many images and metrics share batches. Its rows are
written together when it ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from onnxplain.core.data import Case, make_rng
from onnxplain.core.errors import DeviceError, ModelError, OutputError
from onnxplain.core.flow import Flow, advise_scores_alone, start_flow
from onnxplain.core.protocols import Classifier
from onnxplain.engine.run import EngineProgress, Job, Outcome, run
from onnxplain.engine.settle import settle_methods
from onnxplain.image import MAX_PIXELS, read_image
from onnxplain.metrics import MetricResult
from onnxplain.study.dataset import Item
from onnxplain.study.given import Given
from onnxplain.study.judges import Judge
from onnxplain.study.keeper import Keeper
from onnxplain.study.plan import Explainer
from onnxplain.study.records import Question
from onnxplain.study.rows import Row, RowFile
from onnxplain.subjects import NamedImage, Subject, hash_pixels, read_subject, to_uint8
from onnxplain.targets import Top, parse_targets


class Step(NamedTuple):
    """Some of a study is done, now or before.

    Parameters
    ----------
    keys : tuple of str
        The rows that belong to the study.
    rows : tuple of dict
        Those of them that were written just now.
    units : int
        How many pairs of an image and a method are settled.
    """

    keys: tuple[str, ...]
    rows: tuple[Row, ...]
    units: int


def study_classifier(
    classifier: Classifier,
    items: Iterable[Item],
    explainers: Sequence[Explainer],
    judges: Sequence[Judge],
    store: RowFile,
    *,
    seed: int = 0,
    only_correct: bool = True,
    heatmaps: Path | None = None,
    retry: bool = False,
    max_pixels: int = MAX_PIXELS,
    on_progress: EngineProgress | None = None,
) -> Iterator[Step]:
    """Judge methods on labelled images; rows that are in the store already are not redone.

    Parameters
    ----------
    classifier : Classifier
        What is explained.
    items : iterable of Item
        The images, labelled by index (see `find_known_items`) or not at all: then the predicted
        class is explained.
    explainers, judges : sequence
        Methods with fills, and metrics, from a plan; those that judge by another classifier
        by one of the same classes (`onnxplain.study.judges.check_same_classes`).
    store : RowFile
        Where rows are looked up and written: one an image, which tells the predicted class,
        and one for each method and metric. A failure is a row with its error.
    seed : int
        Decides all draws, together with the names of image, method and metric.
    only_correct : bool
        Leave out images whose label is not the predicted class.
    heatmaps : path, optional
        A folder where heatmaps are kept, and found again for other metrics.
    retry : bool
        Do the rows with errors again.
    max_pixels : int
        Refuse larger images.
    on_progress : callable, optional
        Told how many more images have been scored, and how many more pictures a fill has made.

    Yields
    ------
    step : Step
        As work ends. All keys together are the rows of this study, whatever else the store
        holds.

    Raises
    ------
    OnnxplainError
        If the classifier fails to run at all, or results cannot be written.
    """
    methods, gradients = settle_methods([one.method for one in explainers], classifier)
    settled = tuple(
        one._replace(method=method) for one, method in zip(explainers, methods, strict=True)
    )
    keeper = Keeper(heatmaps) if heatmaps else None
    study = _Run(
        classifier, settled, tuple(judges), store, seed, only_correct, keeper, retry, max_pixels
    )
    jobs = study.jobs(items)
    for outcome in run(classifier, jobs, gradients=gradients, on_progress=on_progress):
        yield from study.drained()
        yield study.finish(outcome)
    yield from study.drained()


class Known(NamedTuple):
    """Which images a classifier can be asked about.

    Parameters
    ----------
    items : list of Item
        Those whose label is a class, by its index; and those without a label, as they are.
    unknown : dict
        How many images there are of each other label.
    disputed : dict
        How many there are of each label whose index is another class than its name, by what
        is different; the name decided.
    """

    items: list[Item]
    unknown: dict[str, int]
    disputed: dict[str, int]


def find_known_items(
    items: Iterable[Item], class_names: Sequence[str], *, named: bool = True
) -> Known:
    """The items whose label is a class of a classifier.

    Parameters
    ----------
    items : iterable of Item
        A label is an index or a name. Of several names, parted by commas, one is enough, if
        they are no names of several classes. Classifiers number the same classes differently,
        so of an index with a name the name decides where it is none of that class's.
    class_names : sequence of str
        Those of the classifier.
    named : bool
        Whether these are names, and not numbers that stand for them; else the index decides.
    """
    known = Known([], {}, {})
    names = [_names(one) for one in class_names]
    indices: dict[tuple[int | str, str | None], int | None] = {}
    for item in items:
        if item.label is None:
            known.items.append(item)
            continue
        label, name = item.label, item.class_name if named else None
        if (label, name) not in indices:
            indices[label, name] = _index(label, name, class_names, names)
        index = indices[label, name]
        if name is not None and index != label:
            other = class_names[int(label)] if 0 <= int(label) < len(class_names) else "no class"
            _count(known.disputed, f"{label} is {other} and not {name}")
        if index is None:
            _count(known.unknown, str(label) if name is None else f"{label} ({name})")
        else:
            known.items.append(replace(item, label=index))
    return known


@dataclass(frozen=True, eq=False)
class _Work:
    """What one job is to find out, and what it has found so far."""

    question: Question
    explainer: Explainer
    keys: dict[str, Judge]
    open: tuple[Judge, ...]  # those without a row
    found: list[MetricResult | Exception] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Run:
    """The study of one classifier."""

    classifier: Classifier
    explainers: tuple[Explainer, ...]
    judges: tuple[Judge, ...]
    store: RowFile
    seed: int
    only_correct: bool
    keeper: Keeper | None
    retry: bool
    max_pixels: int
    works: dict[Job[None], _Work] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def jobs(self, items: Iterable[Item]) -> Iterator[Job[None]]:
        """The jobs of all images, each of which is read when its turn comes."""
        for item in items:
            question = Question(self.classifier, item, None, self.seed)
            try:
                photo = read_image(item.path, max_pixels=self.max_pixels)
                question = replace(question, sha256=hash_pixels(to_uint8(photo)))
                if self._is_settled(question):
                    continue
                named = NamedImage(item.file, item.path.name, photo)
                subject = read_subject(self.classifier, named, max_pixels=self.max_pixels)
            except (DeviceError, ModelError):
                raise  # the classifier's matter, and so that of every image
            except Exception as error:  # what is wrong with one image is its own matter
                self._close(question, error)
                continue
            yield from self._open(question, subject)

    def drained(self) -> list[Step]:
        """The steps that needed no job, which are then forgotten."""
        found = self.steps.copy()
        self.steps.clear()
        return found

    def finish(self, outcome: Outcome[None]) -> Step:
        """Write the rows of a job that has ended."""
        work = self.works.pop(outcome.job)
        if isinstance(outcome.error, OutputError):
            raise outcome.error
        found = work.found
        if outcome.error is not None:  # it stopped the metrics that were still to come, too
            found += [outcome.error] * (len(work.open) - len(found))
        rows = tuple(
            work.question.score_row(work.explainer, judge, one)
            for judge, one in zip(work.open, found, strict=True)
        )
        self.store.append(rows)
        return Step(tuple(work.keys), rows, 1)

    def _is_settled(self, question: Question) -> bool:
        """Whether nothing is left to do for an image; if so, its step is told."""
        key = question.image_key()
        status = self._status(key)
        if status is None:
            return False
        if status == "error" or (status == "wrong" and self.only_correct):
            self.steps.append(Step((key,), (), len(self.explainers)))
            return True
        works = [self._work(question, one) for one in self.explainers]
        if any(work.open for work in works):
            return False
        keys = (key, *(each for work in works for each in work.keys))
        self.steps.append(Step(keys, (), len(works)))
        return True

    def _close(self, question: Question, error: Exception) -> None:
        """Nothing can be done for an image."""
        row = question.image_row(error)
        self.steps.append(Step((row["key"],), self._write(row), len(self.explainers)))

    def _open(self, question: Question, subject: Subject) -> Iterator[Job[None]]:
        """The jobs of one image: one a method."""
        question = replace(question, predicted=int(subject.probabilities.argmax()))
        row = question.image_row(subject)
        written = self._write(row)
        if row["status"] == "wrong" and self.only_correct:
            self.steps.append(Step((row["key"],), written, len(self.explainers)))
            return
        self.steps.append(Step((row["key"],), written, 0))
        boxes = question.item.boxes_in(subject.frame.original)
        inside = tuple(subject.frame.box(box) for box in boxes)
        assert question.target is not None
        case = replace(subject.case(question.target), boxes=inside)
        for explainer in self.explainers:
            work = self._work(question, explainer)
            if not work.open:
                self.steps.append(Step(tuple(work.keys), (), 1))
                continue
            flow = _flow(work, case, self.keeper)
            advice = advise_scores_alone(explainer.method)
            job = Job((case,), (flow,), explainer.fill.fill, self.seed, advice)
            self.works[job] = work
            yield job

    def _work(self, question: Question, explainer: Explainer) -> _Work:
        keys = {question.score_key(explainer, judge): judge for judge in self.judges}
        undone = tuple(judge for key, judge in keys.items() if self._status(key) is None)
        return _Work(question, explainer, keys, undone)

    def _status(self, key: str) -> str | None:
        """That of the row of this key; None where it is to be done."""
        status = self.store.done.get(key)
        return None if status == "error" and self.retry else status

    def _write(self, row: Row) -> tuple[Row, ...]:
        """Write the row of an image unless it is there."""
        if self._status(row["key"]) is not None:
            return ()
        self.store.append([row])
        return (row,)


def _flow(work: _Work, case: Case, keeper: Keeper | None) -> Flow[None]:
    """Explain a case, or find the heatmap that was kept, and judge it."""
    question, explainer = work.question, work.explainer
    seed = question.seed
    name = f"{Path(case.name).stem}-{explainer.name}-{question.heatmap_key(explainer)}"
    heatmap = keeper.find(name, case.size) if keeper else None
    if heatmap is None:
        # What was made elsewhere is found by the path, and draws nothing by the name.
        is_given = isinstance(explainer.method, Given)
        asked = replace(case, name=question.item.file) if is_given else case
        made = yield from start_flow(explainer.method, asked, seed)
        heatmap = made.heatmap
        if keeper:
            keeper.keep(name, heatmap)
    for judge in work.open:
        try:
            rng = make_rng(seed, case.name, judge.metric.name)
            work.found.append((yield from judge.metric.flow(case, heatmap, rng)))
        except Exception as error:  # the other metrics may still be right
            work.found.append(error)


def _index(
    label: int | str, name: str | None, class_names: Sequence[str], names: Sequence[set[str]]
) -> int | None:
    """The class of a label; `names` are those of each class."""
    if name is None:
        found: int | Top | None = None
        with suppress(ValueError):
            (found,) = parse_targets(label, class_names)
        if isinstance(found, int) or isinstance(label, int):
            return found if isinstance(found, int) else None
        name = label
    wanted = _names(name)
    if isinstance(label, int) and 0 <= label < len(names) and _agree(wanted, names[label]):
        return label
    whole = [i for i, one in enumerate(names) if one == wanted]
    fitting = whole or [i for i, one in enumerate(names) if one & wanted]
    return fitting[0] if len(fitting) == 1 else None


def _names(class_name: str) -> set[str]:
    parts = (part.replace("_", " ").strip().casefold() for part in class_name.split(","))
    return {part for part in parts if part}


def _agree(first: set[str], second: set[str]) -> bool:
    """Whether one name is among both; one may say which of several it is, as crane (bird)."""
    bare = [{re.sub(r" *\([^()]*\)$", "", name) for name in one} for one in (first, second)]
    return bool(first & second or first & bare[1] or bare[0] & second)


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1
