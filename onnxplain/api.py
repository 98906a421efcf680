"""Explain one image or many with a classifier."""

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
from onnxplain.engine.progress_bar import show_progress
from onnxplain.engine.run import MAX_LIVE_JOBS, Job, Outcome, make_jobs, run
from onnxplain.engine.settle import fit_methods, settle_method
from onnxplain.fills import Inpaint
from onnxplain.image import MAX_PIXELS
from onnxplain.results import Explanation
from onnxplain.subjects import ImageSource, NamedImage, Subject, name_images, read_subject
from onnxplain.targets import Target, Targets, choose_targets, count_targets, parse_targets
from onnxplain.version import __version__

# Called with evaluations done, evaluations in all, and pictures made by fills.
ExplainProgress: TypeAlias = Callable[[int, int, int], None]


@dataclass(frozen=True, eq=False)
class Failure:
    """An image that could not be explained, and the error."""

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
    white: int | None = None,
    progress: bool | None = None,
    on_progress: ExplainProgress | None = None,
) -> Explanation:
    """Explain one target of one image.

    Parameters
    ----------
    classifier : Classifier
        From `load`, `from_torch`, `from_keras` or `from_callable`, or any object with a
        classifier's members.
    image : path, bytes, ndarray or Pillow image
        An image file or its content, a Pillow image, or an array (rows, columns, 3), or
        (rows, columns) if grey, of any size: RGB, uint8, uint16 or float in [0, 1]. The
        formats of files are listed at `onnxplain.image.read_image`.
    method : Method or str
        A method such as ``RISE(n_masks=2000)``, or its name in the registry, perhaps with
        parameters, such as ``'rise'`` (the default), ``'rise:n_masks=2000'`` or ``'sp-g'``.
    target : int or str, optional
        The class to explain: its index, from 0; its name, one of its names (commas separate
        them), or a part that only its name has, in upper or lower case. The predicted class if
        not given.
    fill : Fill or str, optional
        What stands in for removed pixels, such as ``Blur(sigma=5)`` or ``'blur'``; the fill of
        the method's paper if not given.
    seed : int
        At least 0. Decides every random draw, together with the names of the image and the
        method, so results do not depend on what else is explained. 0 if not given.
    max_pixels : int
        Files with more pixels are refused; 64 million if not given.
    white : int, optional
        The value of white in images of more than 8 bits, such as 4095 for 12 bits in a file of
        16; what the file's format says if not given.
    progress : bool, optional
        Whether to show a progress bar on stderr. If not given, it is shown on a terminal and in
        a notebook, unless `on_progress` is given.
    on_progress : callable, optional
        Called with ``(done, total, inpaints)`` as images are scored, as for `explain_many`.

    Returns
    -------
    explanation : Explanation
        The heatmap and how it was made; `Explanation.save` writes it to a folder or a file.

    Raises
    ------
    OnnxplainError
        If the image cannot be read or the classifier cannot be run on it.
    ValueError, TypeError
        If an argument is out of range, or `target` names several targets (use `explain_many`
        for those).

    See Also
    --------
    explain_many : Explains many images, and several targets.
    onnxplain.methods : Each method names its paper.

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
    >>> heatmap = onnxplain.explain(classifier, photo, sliding, target="red", fill="black").heatmap
    >>> bool(heatmap[:, :3].min() > 0.01), bool(heatmap[:, 6:].max() < 1e-6)
    (True, True)
    """
    _check_classifier(classifier)
    n_targets = count_targets(parse_targets(target, classifier.class_names))
    if n_targets != 1:
        raise ValueError(
            f"explain explains one target, got {target!r}; explain_many explains several"
        )
    (result,) = explain_many(
        classifier,
        [image],
        method,
        target=target,
        fill=fill,
        seed=seed,
        max_pixels=max_pixels,
        white=white,
        progress=progress,
        on_progress=on_progress,
    )
    if isinstance(result, Failure):
        raise result.error
    return result


def explain_many(
    classifier: Classifier,
    images: Iterable[ImageSource | NamedImage],
    method: Method | str = "rise",
    *,
    target: Target = None,
    fill: Fill | str | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    white: int | None = None,
    progress: bool | None = None,
    on_progress: ExplainProgress | None = None,
) -> Iterator[Explanation | Failure]:
    """Explain many images, which share batches.

    Parameters
    ----------
    classifier, method, fill, seed, max_pixels, white
        As for `explain`.
    images : iterable of path, bytes, ndarray or Pillow image
        Images as `explain` takes them. Files are read when their turn comes.
    target : int, str, or a sequence of them, optional
        Classes as `explain` takes them, or ``'top-3'`` for the three most probable classes of
        each image; the predicted class if not given. Targets of one image share evaluations if
        the method allows it.
    progress : bool, optional
        Whether to show a progress bar on stderr while results are taken. If not given, it is
        shown on a terminal and in a notebook, unless `on_progress` is given.
    on_progress : callable, optional
        Called with ``(done, total, inpaints)`` as images are scored and as fills that depend on
        the mask are made. The total of evaluations is exact; it falls when an image fails, and
        for methods that may stop early it is an upper bound. The number of inpaints is not
        known in advance, as each hole is filled once.

    Returns
    -------
    outcomes : iterator of Explanation or Failure
        In the order in which they end, which may differ from that of the images: one per image
        and target, and one `Failure` per image that cannot be explained.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, before anything is read.
    OnnxplainError
        If the classifier fails to run at all.

    Examples
    --------
    >>> import onnxplain
    >>> classifier = onnxplain.from_callable(
    ...     lambda images: images.mean(axis=(1, 2)), size=(8, 8), class_names=("r", "g", "b")
    ... )
    >>> photos = [np.full((8, 8, 3), colour, np.uint8) for colour in ((9, 0, 0), (0, 0, 9))]
    >>> outcomes = onnxplain.explain_many(classifier, photos, "sp:patch=4")
    >>> sorted((outcome.image, outcome.target_name) for outcome in outcomes)
    [('image-0', 'r'), ('image-1', 'b')]
    """
    _check_classifier(classifier)
    choice = registry.choose_method_and_fill(method, fill)
    (fitted,) = fit_methods([choice.method], classifier.size)
    settled, gradients = settle_method(fitted, classifier)
    question = _Question(
        classifier,
        gradients,
        choice._replace(method=settled),
        parse_targets(target, classifier.class_names),
        _check_seed(seed),
        max_pixels,
        white,
    )
    named = name_images(images)
    if progress is None and on_progress is not None:
        progress = False
    total = question.evaluations_per_image * len(named)  # or an error, before anything is read
    return _explain_with_progress(question, named, total, progress, on_progress)


def name_evaluations(method: Method) -> str:
    """Return what a progress bar counts; a method that adapts to the scores may stop early."""
    return "evaluations, at most" if method.adaptive else "evaluations"


def _explain_with_progress(
    question: _Question,
    images: list[NamedImage],
    total: int,
    shown: bool | None,
    on_progress: ExplainProgress | None,
) -> Iterator[Explanation | Failure]:
    """Explain all images while a progress bar is shown."""
    with show_progress(name_evaluations(question.choice.method), shown) as move:

        def report(done: int, total: int, inpaints: int) -> None:
            move(done, total, f"{inpaints} inpaints" if inpaints else "")
            if on_progress:
                on_progress(done, total, inpaints)

        counter = _Counter(report, total)
        yield from _explain_images(question, images, counter)


@dataclass(frozen=True, eq=False)
class _Question:
    """What is asked about every image."""

    classifier: Classifier
    gradients: Differentiable | None
    choice: registry.Choice
    targets: Targets
    seed: int
    max_pixels: int
    white: int | None

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


def _explain_images(
    question: _Question, images: list[NamedImage], counter: _Counter
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


def _pop_all(failures: list[Failure]) -> list[Failure]:
    """Return the failures so far and empty the list."""
    popped = failures.copy()
    failures.clear()
    return popped


def _make_results(
    question: _Question, subject: Subject, outcome: Outcome[Attribution]
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
    question: _Question,
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
        parameters=get_values(method),
        fill_parameters=get_values(fill),
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


class _Counter:
    """Counts evaluations, done and in all, and inpaints made, and reports them."""

    def __init__(self, on_progress: ExplainProgress, total: int) -> None:
        self._on_progress = on_progress
        self._total, self._done, self._inpaints = total, 0, 0

    def add(self, evaluations: int, inpaints: int) -> None:
        """Count work that was done."""
        self._done += evaluations
        self._inpaints += inpaints
        self._report()

    def reduce_total(self, n: int) -> None:
        """Count evaluations that turned out to be unnecessary."""
        if n:
            self._total -= n
            self._report()

    def _report(self) -> None:
        self._on_progress(self._done, max(self._total, self._done), self._inpaints)


def _check_classifier(classifier: object) -> None:
    if not hasattr(classifier, "masked_scores"):
        raise TypeError(
            f"make a classifier with onnxplain.load(path), with onnxplain.from_torch(module) or "
            f"onnxplain.from_keras(model), or from a function of images with "
            f"onnxplain.from_callable(function, size=..., n_classes=...), got "
            f"{type(classifier).__name__}"
        )


def _check_seed(seed: SupportsIndex) -> int:
    if not isinstance(seed, SupportsIndex):
        raise TypeError(f"seed takes an integer, got {seed!r}")
    if index(seed) < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    return index(seed)  # NumPy's integers too
