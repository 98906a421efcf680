"""How images are explained: one question about all of them, answered here or by workers."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from onnxplain import registry
from onnxplain.cluster import Answer, Ray, WorkerLost
from onnxplain.cluster.crew import gather_crew
from onnxplain.cluster.halving import halve_batches
from onnxplain.cluster.handing_out import hand_out
from onnxplain.core.data import Attribution, Case
from onnxplain.core.params import describe_others, get_values
from onnxplain.core.protocols import Classifier, Differentiable, Fill
from onnxplain.engine.run import MAX_LIVE_JOBS, Job, Outcome, make_jobs, run
from onnxplain.engine.settle import fit_methods, settle_method
from onnxplain.fills import Inpaint
from onnxplain.results import Explanation
from onnxplain.subjects import ImageSource, NamedImage, Subject, read_subject
from onnxplain.targets import Targets, choose_targets, count_targets
from onnxplain.version import __version__

# Called with evaluations done, evaluations in all, and pictures made by fills.
ExplainProgress: TypeAlias = Callable[[int, int, int], None]


@dataclass(frozen=True, eq=False)
class Failure:
    """An image that could not be explained, and the error."""

    image: str
    error: Exception


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked about every image, as it was given: it can be sent to another process."""

    classifier: Classifier
    choice: registry.Choice
    targets: Targets
    seed: int
    max_pixels: int
    white: int | None

    def settle(self) -> Question:
        """Fit the method to the classifier, and find its gradients if they are needed."""
        (fitted,) = fit_methods([self.choice.method], self.classifier.size)
        method, gradients = settle_method(fitted, self.classifier)
        settled = replace(self, choice=self.choice._replace(method=method))
        return Question(**vars(settled), gradients=gradients)


@dataclass(frozen=True, eq=False)
class Question(Asked):
    """What is asked about every image, ready to be answered."""

    gradients: Differentiable | None

    @property
    def evaluations_per_job(self) -> int:
        """Largest number of images that one job scores."""
        return self.choice.method.evaluations(self.classifier.size)

    @property
    def evaluations_per_image(self) -> int:
        """Largest number of images that the jobs of one image score."""
        n_jobs = count_targets(self.targets) if self.choice.method.adaptive else 1
        return n_jobs * self.evaluations_per_job

    def make_jobs(self, subject: Subject) -> list[Job[Attribution]]:
        """Make the jobs that explain the targets of one image."""
        targets = choose_targets(self.targets, subject.probabilities)
        cases = [subject.case(target) for target in targets]
        return make_jobs(self.choice.method, cases, self.choice.fill, self.seed)


def explain_images(
    question: Question, images: list[NamedImage], counter: Counter
) -> Iterator[Explanation | Failure]:
    """Run the jobs of all images; yield explanations and failures as they come."""
    subjects: dict[Job[Attribution], Subject] = {}
    failures: list[Failure] = []  # of images without jobs, until they are yielded

    def open_jobs() -> Iterator[Job[Attribution]]:
        for image in images:
            jobs: list[Job[Attribution]] = []
            try:
                subject = read_subject(
                    question.classifier,
                    image,
                    max_pixels=question.max_pixels,
                    white=question.white,
                )
                jobs = question.make_jobs(subject)
                subjects.update(dict.fromkeys(jobs, subject))
            except Exception as error:  # one image's fault must not stop the others
                failures.append(Failure(image.label, error))
            unused = question.evaluations_per_image - len(jobs) * question.evaluations_per_job
            counter.reduce_total(unused)
            yield from jobs

    # A method that asks everything at once fills batches from one image, and every live image
    # keeps its photo in memory.
    live = MAX_LIVE_JOBS if question.choice.method.adaptive else 2
    outcomes = run(
        question.classifier,
        open_jobs(),
        gradients=question.gradients,
        live=live,
        on_progress=counter.add,
    )
    for outcome in outcomes:
        yield from _pop_all(failures)
        counter.reduce_total(question.evaluations_per_job - outcome.evaluations)
        yield from _make_results(question, subjects.pop(outcome.job), outcome)
    yield from _pop_all(failures)


class _Explained(NamedTuple):
    """What a worker has done for one image."""

    results: list[Explanation | Failure]
    evaluations: int
    inpaints: int


@dataclass(frozen=True)
class _ExplainOpener:
    """What every worker needs: called there, it returns the function that explains one image."""

    asked: Asked

    def __call__(self, halvings: int) -> Callable[[NamedImage], _Explained]:
        """Return the function that explains one image."""
        halve_batches(self.asked.classifier, halvings)
        question = self.asked.settle()

        def explain_image(image: NamedImage) -> _Explained:
            counter = Counter(lambda *_: None, question.evaluations_per_image)
            results = list(explain_images(question, [image], counter))
            return _Explained(results, counter.done, counter.inpaints)

        return explain_image


def explain_on_cluster(
    cluster: Ray,
    asked: Asked,
    question: Question,
    images: list[NamedImage],
    counter: Counter,
) -> Iterator[Explanation | Failure]:
    """Let workers explain the images; yield explanations and failures as they come."""
    named = [image._replace(source=_make_absolute(image.source)) for image in images]
    with gather_crew(cluster, _ExplainOpener(asked)) as crew:
        answers: Iterator[Answer[NamedImage, _Explained]] = hand_out(crew, named)
        for image, explained, error in answers:
            if isinstance(error, WorkerLost):
                explained = _Explained([Failure(image.label, error)], 0, 0)
            elif error is not None:
                raise error
            assert explained is not None
            counter.reduce_total(question.evaluations_per_image - explained.evaluations)
            counter.add(explained.evaluations, explained.inpaints)
            yield from explained.results


def _make_absolute(source: ImageSource) -> ImageSource:
    """Return a path that means the same to workers, whose folder may be another."""
    return Path(source).absolute() if isinstance(source, str | os.PathLike) else source


def _pop_all(failures: list[Failure]) -> list[Failure]:
    """Return the failures so far and empty the list."""
    popped = failures.copy()
    failures.clear()
    return popped


def _make_results(
    question: Question, subject: Subject, outcome: Outcome[Attribution]
) -> Iterator[Explanation | Failure]:
    """Turn the outcome of a job into explanations, or into its failure."""
    if outcome.error is not None:
        yield Failure(subject.label, outcome.error)
        return
    for case, attribution in zip(outcome.job.cases, outcome.values, strict=True):
        if isinstance(attribution, Attribution):
            yield _make_explanation(question, subject, case, attribution, outcome)
        else:
            message = (
                f"{question.choice.method.name}: a method's flow returns an Attribution, got "
                f"{type(attribution).__name__}"
            )
            yield Failure(subject.label, TypeError(message))


def _make_explanation(
    question: Question,
    subject: Subject,
    case: Case,
    attribution: Attribution,
    outcome: Outcome[Attribution],
) -> Explanation:
    method, fill, method_name, fill_name = question.choice
    classifier = question.classifier
    return Explanation(
        image=subject.label,
        target=case.target,
        target_name=classifier.class_names[case.target],
        score=float(subject.probabilities[case.target]),
        heatmap=attribution.heatmap,
        coarse=attribution.coarse,
        order=attribution.order,
        method=method_name,
        fill=fill_name,
        parameters={**get_values(method), **describe_others(method)},
        fill_parameters={**get_values(fill), **describe_others(fill, "inpainter")},
        seed=question.seed,
        evaluations=outcome.evaluations,
        seconds=outcome.seconds,
        inpaints=outcome.effort.inpaints,
        inpaint_seconds=outcome.effort.inpaint_seconds,
        inpaint_share=outcome.effort.inpaint_share,
        provenance=_collect_provenance(classifier, fill, subject),
        details=attribution.details,
        meaning=attribution.meaning,
        window=subject.frame.window,
        photo=subject.photo,
    )


def _collect_provenance(classifier: Classifier, fill: Fill, subject: Subject) -> dict[str, Any]:
    """Collect what ran, and on which pixels, for the record."""
    ran = dict(classifier.provenance)
    preprocessing = ran.pop("preprocessing", None)
    facts: dict[str, Any] = {
        "classifier": ran,
        "versions": {
            "onnxplain": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "pixels_sha256": subject.sha256,
        "image_size": list(subject.frame.original),
    }
    if preprocessing is not None:
        facts["preprocessing"] = preprocessing
    if isinstance(fill, Inpaint):
        facts["inpainter"] = dict(fill.inpainter.provenance)
    return facts


class Counter:
    """Counts evaluations, done and in all, and inpaints made, and reports them."""

    def __init__(self, on_progress: ExplainProgress, total: int) -> None:
        self._on_progress = on_progress
        self._total = total
        self.done, self.inpaints = 0, 0

    def add(self, evaluations: int, inpaints: int) -> None:
        """Count work that was done."""
        self.done += evaluations
        self.inpaints += inpaints
        self._report()

    def reduce_total(self, n: int) -> None:
        """Count evaluations that turned out to be unnecessary."""
        if n:
            self._total -= n
            self._report()

    def _report(self) -> None:
        self._on_progress(self.done, max(self._total, self.done), self.inpaints)
