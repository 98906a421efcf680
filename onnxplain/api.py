"""Explain one image or many with a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import index
from typing import SupportsIndex

from onnxplain import registry
from onnxplain.cluster import Ray
from onnxplain.core.data import Size
from onnxplain.core.flow import BySize, Method
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.engine.progress_bar import show_progress
from onnxplain.explaining import (
    Asked,
    Counter,
    ExplainProgress,
    Failure,
    Question,
    explain_images,
    explain_on_cluster,
)
from onnxplain.image import MAX_PIXELS
from onnxplain.results import Explanation
from onnxplain.subjects import ImageSource, NamedImage, name_images
from onnxplain.targets import Target, count_targets, parse_targets


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
    >>> import numpy as np, onnxplain
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
    cluster: Ray | None = None,
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
    cluster : Ray, optional
        Workers that share the images, on this machine or on several. Heatmaps are the same as
        without them.
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
    >>> import numpy as np, onnxplain
    >>> classifier = onnxplain.from_callable(
    ...     lambda images: images.mean(axis=(1, 2)), size=(8, 8), class_names=("r", "g", "b")
    ... )
    >>> photos = [np.full((8, 8, 3), colour, np.uint8) for colour in ((9, 0, 0), (0, 0, 9))]
    >>> outcomes = onnxplain.explain_many(classifier, photos, "sp:patch=4")
    >>> sorted((outcome.image, outcome.target_name) for outcome in outcomes)
    [('image-0', 'r'), ('image-1', 'b')]
    """
    _check_classifier(classifier)
    asked = Asked(
        classifier,
        registry.choose_method_and_fill(method, fill),
        parse_targets(target, classifier.class_names),
        _check_seed(seed),
        max_pixels,
        white,
    )
    question = asked.settle()
    named = name_images(images)
    if progress is None and on_progress is not None:
        progress = False
    total = question.evaluations_per_image * len(named)  # or an error, before anything is read
    explained = (
        partial(explain_images, question, named)
        if cluster is None
        else partial(explain_on_cluster, cluster, asked, question, named)
    )
    return _explain_with_progress(question, explained, total, progress, on_progress)


def check_question(
    method: Method, target: Target, seed: int, *, class_names: Sequence[str], size: Size
) -> None:
    """Check what `explain_many` is asked as far as it can be before the classifier runs.

    Raises
    ------
    ValueError, TypeError
        If a target is no class, the method's parameters do not fit images of the size, or the
        seed is out of range.
    """
    parse_targets(target, class_names)
    _check_seed(seed)
    (method.fitted(size) if isinstance(method, BySize) else method).evaluations(size)


def name_evaluations(method: Method) -> str:
    """Return what a progress bar counts; a method that adapts to the scores may stop early."""
    return "evaluations, at most" if method.adaptive else "evaluations"


def _explain_with_progress(
    question: Question,
    explained: Callable[[Counter], Iterator[Explanation | Failure]],
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

        yield from explained(Counter(report, total))


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
