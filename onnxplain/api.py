"""The verbs that explain images with a classifier."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import index
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from onnxplain import registry
from onnxplain.core.data import Attribution, Case
from onnxplain.core.flow import Method
from onnxplain.core.params import get_values
from onnxplain.core.protocols import Classifier, Differentiable, Fill
from onnxplain.engine.run import MAX_LIVE_JOBS, Job, Outcome, make_jobs, run
from onnxplain.engine.settle import settle_method
from onnxplain.fills import Inpaint
from onnxplain.image import MAX_PIXELS
from onnxplain.results import Explanation
from onnxplain.subjects import ImageSource, NamedImage, Subject, name_images, read_subject
from onnxplain.targets import Target, Targets, choose_targets, count_targets, parse_targets
from onnxplain.version import __version__

ExplainProgress: TypeAlias = Callable[[int, int, int], None]


@dataclass(frozen=True, eq=False)
class Failure:
    """An image that could not be explained, and why."""

    image: str
    error: Exception


def explain(
    classifier: Classifier,
    image: ImageSource,
    method: Method | str = "rise",
    *,
    target: Target = None,
    fill: Fill | str | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    on_progress: ExplainProgress | None = None,
) -> Explanation:
    """Explain one target of one image.

    Parameters
    ----------
    image : path or ndarray
        An image file, or an array (rows, columns, 3) of any size: RGB, uint8 or float
        in [0, 1].
    target : int or str, optional
        Index or name of the class to explain; the predicted one if not given.

    Returns
    -------
    explanation : Explanation
        Its `save` writes it to a folder.

    Raises
    ------
    OnnxplainError
        If the image cannot be read or the classifier cannot be run on it.
    ValueError, TypeError
        If an argument is out of range; or if it asks for several targets, which
        `explain_many` can do.

    See Also
    --------
    explain_many : the other parameters, many images, several targets.

    Examples
    --------
    >>> import onnxplain
    >>> def redness(images):
    ...     red = images[..., 0].mean(axis=(1, 2))
    ...     return np.stack([red, 1 - red], axis=1)
    >>> classifier = onnxplain.from_callable(redness, size=(8, 8), class_names=("red", "other"))
    >>> photo = np.zeros((16, 16, 3), np.uint8)
    >>> photo[:, :8, 0] = 255
    >>> sliding = onnxplain.SP(patch=2, stride=1)
    >>> found = onnxplain.explain(classifier, photo, sliding, target="red", fill="black")
    >>> bool(found.heatmap[:, :3].min() > 0.01), bool(found.heatmap[:, 6:].max() < 1e-6)
    (True, True)
    """
    _check_classifier(classifier)
    n_targets = count_targets(parse_targets(target, classifier.class_names))
    if n_targets != 1:
        raise ValueError(
            f"explain explains one target, got {target!r}; explain_many explains several"
        )
    (found,) = explain_many(
        classifier,
        [image],
        method,
        target=target,
        fill=fill,
        seed=seed,
        max_pixels=max_pixels,
        on_progress=on_progress,
    )
    if isinstance(found, Failure):
        raise found.error
    return found


def explain_many(
    classifier: Classifier,
    images: Iterable[ImageSource],
    method: Method | str = "rise",
    *,
    target: Target = None,
    fill: Fill | str | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    on_progress: ExplainProgress | None = None,
) -> Iterator[Explanation | Failure]:
    """Explain many images; they share batches.

    Parameters
    ----------
    classifier : Classifier
        From `load` or `from_callable`, or anything with a classifier's members.
    images : iterable of path or ndarray
        As `explain` takes one. Files are read when their turn comes.
    method : Method or str
        A method, as ``RISE(n_masks=2000)``, or a name from the registry, as ``'rise'``.
    target : int, str, or a sequence of them, optional
        Indices or names of classes, or ``'top-3'`` for the three most probable ones of
        each image; the predicted one if not given. Targets of one image share evaluations
        where the method allows it.
    fill : Fill or str, optional
        What stands in for removed pixels; that of the method's paper if not given.
    seed : int
        Decides every random draw, together with the names of image and method: what else
        is explained does not matter.
    max_pixels : int
        Refuse larger files.
    on_progress : callable, optional
        Told ``(done, total, inpaints)`` as evaluations are done and as fills that depend on
        the mask are made. The total of evaluations is exact; it falls when an image fails,
        and for methods that may stop early it is the most there can be. How many inpaints
        there will be is not known: the same holes are filled once.

    Returns
    -------
    outcomes : iterator of Explanation or Failure
        As they end, which may be out of order: one an image and target, and one `Failure`
        for an image that cannot be explained.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, before anything is read.
    OnnxplainError
        If the classifier fails to run at all.
    """
    _check_classifier(classifier)
    choice = registry.choose_method_and_fill(method, fill)
    settled, gradients = settle_method(choice.method, classifier)
    question = _Question(
        classifier,
        gradients,
        choice._replace(method=settled),
        parse_targets(target, classifier.class_names),
        _check_seed(seed),
        max_pixels,
    )
    named = name_images(images)
    count = _Count(on_progress, question.evaluations() * len(named))
    return _answer(question, named, count)


@dataclass(frozen=True, eq=False)
class _Question:
    """What is asked of every image."""

    classifier: Classifier
    gradients: Differentiable | None
    choice: registry.Choice
    targets: Targets
    seed: int
    max_pixels: int

    def evaluations(self) -> int:
        """Images that are scored for one image, at most."""
        method = self.choice.method
        jobs = count_targets(self.targets) if method.adaptive else 1
        return jobs * method.evaluations(self.classifier.size)

    def jobs(self, subject: Subject) -> list[Job[Attribution]]:
        """Those that explain the targets of one image."""
        cases = [subject.case(one) for one in choose_targets(self.targets, subject.probabilities)]
        return make_jobs(self.choice.method, cases, self.choice.fill, self.seed)


def _answer(
    question: _Question, images: list[NamedImage], count: _Count
) -> Iterator[Explanation | Failure]:
    classifier, method = question.classifier, question.choice.method
    a_job = method.evaluations(classifier.size)
    subjects: dict[Job[Attribution], Subject] = {}
    failures: list[Failure] = []

    def jobs() -> Iterator[Job[Attribution]]:
        for named in images:
            made: list[Job[Attribution]] = []
            try:
                subject = read_subject(classifier, named, max_pixels=question.max_pixels)
                made = question.jobs(subject)
                subjects.update(dict.fromkeys(made, subject))
            except Exception as error:  # what is wrong with one image is its own matter
                failures.append(Failure(named.label, error))
            count.drop(question.evaluations() - len(made) * a_job)
            yield from made

    # One image fills the batches of a method that asks all at once; each holds its photo.
    live = MAX_LIVE_JOBS if method.adaptive else 2
    outcomes = run(
        classifier, jobs(), gradients=question.gradients, live=live, on_progress=count.add
    )
    for outcome in outcomes:
        yield from _drained(failures)
        subject = subjects.pop(outcome.job)
        count.drop(a_job - outcome.evaluations)
        if outcome.error is not None:
            yield Failure(subject.label, outcome.error)
            continue
        for case, found in zip(outcome.job.cases, outcome.values, strict=True):
            if isinstance(found, Attribution):
                yield _explanation(question, subject, case, found, outcome)
            else:
                kind = type(found).__name__
                wrong = f"{method.name}: a method's flow returns an Attribution, got {kind}"
                yield Failure(subject.label, TypeError(wrong))
    yield from _drained(failures)


def _drained(failures: list[Failure]) -> list[Failure]:
    """The failures so far, which are then forgotten."""
    found = failures.copy()
    failures.clear()
    return found


def _explanation(
    question: _Question,
    subject: Subject,
    case: Case,
    found: Attribution,
    outcome: Outcome[Attribution],
) -> Explanation:
    method, fill, method_name, fill_name = question.choice
    classifier = question.classifier
    return Explanation(
        image=subject.label,
        target=case.target,
        target_name=classifier.class_names[case.target],
        score=float(subject.probabilities[case.target]),
        heatmap=found.heatmap,
        coarse=found.coarse,
        order=found.order,
        method=method_name,
        fill=fill_name,
        parameters=get_values(method),
        fill_parameters=get_values(fill),
        seed=question.seed,
        evaluations=outcome.evaluations,
        seconds=outcome.seconds,
        inpaints=outcome.effort.inpaints,
        inpaint_seconds=outcome.effort.inpaint_seconds,
        inpaint_share=outcome.effort.inpaint_share,
        provenance=_provenance(classifier, fill, subject),
        details=found.details,
        window=subject.frame.window,
        photo=subject.photo,
    )


def _provenance(classifier: Classifier, fill: Fill, subject: Subject) -> dict[str, Any]:
    """What ran on what, for the record."""
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


class _Count:
    """Evaluations done and to do, and inpaints made, told to whoever wants to know."""

    def __init__(self, tell: ExplainProgress | None, total: int) -> None:
        self._tell, self._total, self._done, self._inpaints = tell, total, 0, 0

    def add(self, evaluations: int, inpaints: int) -> None:
        """So many more are done."""
        self._done += evaluations
        self._inpaints += inpaints
        self._say()

    def drop(self, n: int) -> None:
        """So many will not be needed."""
        if n:
            self._total -= n
            self._say()

    def _say(self) -> None:
        if self._tell:
            self._tell(self._done, max(self._total, self._done), self._inpaints)


def _check_classifier(classifier: object) -> None:
    if not hasattr(classifier, "masked_scores"):
        raise TypeError(
            f"a classifier comes from onnxplain.load(path) or, of a function of images, from "
            f"onnxplain.from_callable(function, size=..., n_classes=...), got "
            f"{type(classifier).__name__}"
        )


def _check_seed(seed: SupportsIndex) -> int:
    if not isinstance(seed, SupportsIndex):
        raise TypeError(f"seed takes an integer, got {seed!r}")
    if index(seed) < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    return index(seed)  # NumPy's, too
