"""Study of one classifier: every method explains every image, every metric judges every heatmap.

One job of the engine explains an image by one method, and then judges the heatmap by all
metrics that have no row yet. So the queries of many images and metrics share batches. The rows
of a job are written together when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from onnxplain.core.data import Box, Case, Image, make_rng
from onnxplain.core.errors import DeviceError, ModelError, OutputError
from onnxplain.core.files import shorten_name
from onnxplain.core.flow import Flow, advise_scores_alone, start_flow
from onnxplain.core.protocols import Classifier, Differentiable
from onnxplain.engine.run import EngineProgress, Job, Outcome, run
from onnxplain.engine.settle import fit_methods, settle_methods
from onnxplain.image import MAX_PIXELS, Frame, read_image
from onnxplain.metrics import MetricResult
from onnxplain.metrics.base import check_result
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import Explainer
from onnxplain.study.given import Given
from onnxplain.study.judges import Judge
from onnxplain.study.keeper import Keeper
from onnxplain.study.records import Question
from onnxplain.study.rows import Row, Store
from onnxplain.subjects import NamedImage, Subject, hash_photo, read_subject


class Step(NamedTuple):
    """A part of a study that is done, in this run or in an earlier one.

    Parameters
    ----------
    keys : tuple of str
        Keys of the step's rows.
    rows : tuple of dict
        The rows that were written in this run.
    units : int
        Number of pairs of an image and a method that are settled.
    """

    keys: tuple[str, ...]
    rows: tuple[Row, ...]
    units: int


@dataclass(frozen=True)
class Rules:
    """How images are taken and judged.

    Parameters
    ----------
    seed : int
        Decides all random draws, together with the names of image, method and metric.
    only_correct : bool
        Leave out images whose label is not the predicted class, or whose independent label is not
        more likely than not.
    heatmaps : path, optional
        A folder in which heatmaps are kept, so that other metrics can use them later.
    retry : bool
        Repeat the work of rows with errors.
    max_pixels : int
        Refuse larger images.
    white : int, optional
        The value of white in images of more than 8 bits; as the file's format says if not given.
    """

    seed: int = 0
    only_correct: bool = True
    heatmaps: Path | None = None
    retry: bool = False
    max_pixels: int = MAX_PIXELS
    white: int | None = None

    def read(self, path: Path) -> Image:
        """Read a photo."""
        return read_image(path, max_pixels=self.max_pixels, white=self.white)

    def find_status(self, done: Mapping[str, str], key: str) -> str | None:
        """Return the status of the row with this key; None if its work is still to be done."""
        status = done.get(key)
        return None if status == "error" and self.retry else status


def study_classifier(
    classifier: Classifier,
    items: Iterable[Item],
    explainers: Sequence[Explainer],
    judges: Sequence[Judge],
    store: Store,
    rules: Rules | None = None,
    *,
    on_progress: EngineProgress | None = None,
) -> Iterator[Step]:
    """Judge methods on labelled images, and skip work whose rows are in the store.

    Parameters
    ----------
    classifier : Classifier
        The classifier to explain.
    items : iterable of Item
        The images. Labels are indices (see `onnxplain.study.labels.find_known_items`); an
        image without a label is explained for the predicted class.
    explainers, judges : sequence
        Methods with fills, and metrics. A metric that judges by another classifier needs one
        with the same classes (`onnxplain.study.judges.check_same_classes`).
    store : Store
        Where rows are looked up and written: one row per image with the predicted class, and
        one per image, method and metric. A failure is a row with an error.
    rules : Rules, optional
        How images are taken and judged.
    on_progress : callable, optional
        Called with the number of images scored and the number of pictures made by fills
        since the last call.

    Yields
    ------
    step : Step
        One step after another, as work ends. The keys of all steps together are those of this
        study; the store may hold other rows.

    Raises
    ------
    OnnxplainError
        If the classifier fails to run at all, or results cannot be written.
    """
    settled, gradients = settle_explainers(explainers, classifier)
    rules = rules or Rules()
    keeper = Keeper(rules.heatmaps) if rules.heatmaps else None
    study = _ClassifierStudy(classifier, settled, tuple(judges), store, rules, keeper)
    jobs = study.make_jobs(items)
    for outcome in run(classifier, jobs, gradients=gradients, on_progress=on_progress):
        yield from study.take_steps()
        yield study.finish(outcome)
    yield from study.take_steps()


def settle_explainers(
    explainers: Sequence[Explainer], classifier: Classifier
) -> tuple[tuple[Explainer, ...], Differentiable | None]:
    """Fit the methods to a classifier, as rows describe them, and find its gradients if needed."""
    fitted = fit_methods([pair.method for pair in explainers], classifier.size)
    methods, gradients = settle_methods(fitted, classifier)
    pairs = zip(explainers, methods, strict=True)
    return tuple(pair._replace(method=method) for pair, method in pairs), gradients


@dataclass(frozen=True, eq=False)
class _Work:
    """The work of one job, and its results so far."""

    question: Question
    explainer: Explainer
    keys: dict[str, Judge]
    undone: tuple[Judge, ...]  # those without a row
    box_error: Exception | None = None  # why metrics that look at boxes cannot judge
    results: list[MetricResult | Exception] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _ClassifierStudy:
    """The state of the study of one classifier."""

    classifier: Classifier
    explainers: tuple[Explainer, ...]
    judges: tuple[Judge, ...]
    store: Store
    rules: Rules
    keeper: Keeper | None
    works: dict[Job[None], _Work] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def make_jobs(self, items: Iterable[Item]) -> Iterator[Job[None]]:
        """Yield the jobs of all images; each image is read just before its jobs."""
        for item in items:
            question = Question(self.classifier, item, None, self.rules.seed)
            try:
                photo = self.rules.read(item.path)
                question = replace(question, sha256=hash_photo(photo))
                if self._skip_if_settled(question):
                    continue
                named = NamedImage(item.file, item.path.name, photo)
                subject = read_subject(self.classifier, named, max_pixels=self.rules.max_pixels)
            except (DeviceError, ModelError):
                raise  # the classifier fails, and so would every image
            except Exception as error:  # a failing image does not stop the others
                self._record_failure(question, error)
                continue
            yield from self._make_image_jobs(question, subject)

    def take_steps(self) -> list[Step]:
        """Return the steps that needed no job, and forget them."""
        steps = self.steps.copy()
        self.steps.clear()
        return steps

    def finish(self, outcome: Outcome[None]) -> Step:
        """Write the rows of a job that has ended."""
        work = self.works.pop(outcome.job)
        if isinstance(outcome.error, OutputError):
            raise outcome.error
        results = work.results
        if outcome.error is not None:  # the metrics that had not run yet fail with it
            results += [outcome.error] * (len(work.undone) - len(results))
        rows = tuple(
            work.question.score_row(work.explainer, judge, result)
            for judge, result in zip(work.undone, results, strict=True)
        )
        self.store.append(rows)
        return Step(tuple(work.keys), rows, 1)

    def _skip_if_settled(self, question: Question) -> bool:
        """Return whether all work on an image is done; if so, add its step."""
        key = question.image_key()
        status = self._find_status(key)
        if status is None:
            return False
        if status == "error" or (status == "wrong" and self.rules.only_correct):
            self.steps.append(Step((key,), (), len(self.explainers)))
            return True
        works = [self._make_work(question, explainer) for explainer in self.explainers]
        if any(work.undone for work in works):
            return False
        keys = (key, *(score_key for work in works for score_key in work.keys))
        self.steps.append(Step(keys, (), len(works)))
        return True

    def _record_failure(self, question: Question, error: Exception) -> None:
        """Write the row of an image that cannot be read or classified, and add its step."""
        row = question.image_row(error)
        self.steps.append(Step((row["key"],), self._write(row), len(self.explainers)))

    def _make_image_jobs(self, question: Question, subject: Subject) -> Iterator[Job[None]]:
        """Yield the jobs of one image, one for each explainer with work to do."""
        question = replace(question, predicted=int(subject.probabilities.argmax()))
        row = question.image_row(subject)
        written = self._write(row)
        if row["status"] == "wrong" and self.rules.only_correct:
            self.steps.append(Step((row["key"],), written, len(self.explainers)))
            return
        self.steps.append(Step((row["key"],), written, 0))
        boxes: tuple[Box, ...] = ()
        box_error: ValueError | None = None
        try:
            boxes = question.item.boxes_in(subject.frame.original)
        except ValueError as error:  # metrics that do not look at boxes still judge
            box_error = error
        inside = tuple(subject.frame.box(box) for box in boxes)
        assert question.target is not None
        case = replace(subject.case(question.target), boxes=inside)
        for explainer in self.explainers:
            work = replace(self._make_work(question, explainer), box_error=box_error)
            if not work.undone:
                self.steps.append(Step(tuple(work.keys), (), 1))
                continue
            flow = _explain_and_judge(work, case, subject.frame, self.keeper)
            advice = advise_scores_alone(explainer.method)
            job = Job((case,), (flow,), explainer.fill.fill, self.rules.seed, advice)
            self.works[job] = work
            yield job

    def _make_work(self, question: Question, explainer: Explainer) -> _Work:
        keys = {question.score_key(explainer, judge): judge for judge in self.judges}
        undone = tuple(judge for key, judge in keys.items() if self._find_status(key) is None)
        return _Work(question, explainer, keys, undone)

    def _find_status(self, key: str) -> str | None:
        return self.rules.find_status(self.store.done, key)

    def _write(self, row: Row) -> tuple[Row, ...]:
        """Write the row of an image unless the store has it, and return the rows written."""
        if self._find_status(row["key"]) is not None:
            return ()
        self.store.append([row])
        return (row,)


def _explain_and_judge(work: _Work, case: Case, frame: Frame, keeper: Keeper | None) -> Flow[None]:
    """Explain a case, or find the heatmap that was kept, and judge it."""
    question, explainer = work.question, work.explainer
    seed = question.seed
    stem = shorten_name(Path(case.name).stem, 80)
    name = f"{stem}-{explainer.name}-{question.heatmap_key(explainer)}"
    heatmap = keeper.find(name, case.size) if keeper else None
    if heatmap is None:
        if isinstance(explainer.method, Given):
            heatmap = explainer.method.read(question.item.file, frame)
        else:
            heatmap = (yield from start_flow(explainer.method, case, seed)).heatmap
        if keeper:
            keeper.keep(name, heatmap)
    for judge in work.undone:
        if work.box_error is not None and judge.metric.looks_at_boxes:
            work.results.append(work.box_error)
            continue
        try:
            rng = make_rng(seed, case.name, judge.metric.name)
            result = yield from judge.metric.flow(case, heatmap, rng)
            work.results.append(check_result(judge.metric, result))
        except Exception as error:  # the other metrics may still succeed
            work.results.append(error)
