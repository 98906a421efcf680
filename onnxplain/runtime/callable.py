"""Make a classifier of any function on images, whatever its framework."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any, SupportsIndex, TypeAlias, final, get_args

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Outputs, Preprocessing, Scores, Size
from onnxplain.core.errors import ModelError, ScoreError
from onnxplain.core.protocols import Differentiable, Part
from onnxplain.runtime.composing.composer import count_masks, cut_parts
from onnxplain.runtime.composing.host_composer import HostComposer, Planes
from onnxplain.runtime.composing.space import ModelSpace, check_images

Function: TypeAlias = Callable[[NDArray[np.float32]], Any]


def from_callable(
    function: Function,
    *,
    size: Size,
    class_names: Sequence[str] | None = None,
    n_classes: int | None = None,
    outputs: Outputs = "probabilities",
    batch_size: int = 32,
    workers: int = 1,
    name: str = "callable",
) -> CallableClassifier:
    """Make a classifier from a function.

    Parameters
    ----------
    function : callable
        Takes images (N, H, W, 3), float32 RGB in [0, 1], and returns scores (N, K). The
        array of images is used again after the call: copy it to keep it.
    size : (rows, columns)
        Size of the images it takes.
    class_names : sequence of str, optional
        A name for each of the K classes.
    n_classes : int, optional
        K, if there are no names; classes are then called "0", "1", ...
    outputs : {'probabilities', 'logits', 'multilabel-probabilities', 'multilabel-logits'}
        What the scores are. The first two are of classes that exclude each other, with a softmax
        that is done or still to do; the others of independent labels, with a sigmoid each.
    batch_size : int
        Largest number of images per call.
    workers : int
        Number of calls side by side; more than one only if the function is thread-safe.
    name : str
        Name of the classifier in results.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, or neither `class_names` nor `n_classes` is given.

    Examples
    --------
    >>> def red(images):
    ...     r = images[..., 0].mean(axis=(1, 2))
    ...     return np.stack([r, 1 - r], axis=1)
    >>> classifier = from_callable(red, size=(8, 8), class_names=("red", "other"))
    >>> classifier.scores(np.ones((1, 8, 8, 3), np.float32))
    array([[1., 0.]], dtype=float32)
    """
    if not callable(function):
        raise TypeError(f"function must be callable, got {type(function).__name__}")
    if outputs not in get_args(Outputs):
        listed = ", ".join(map(repr, get_args(Outputs)))
        raise ValueError(f"outputs is one of {listed}, got {outputs!r}")
    if isinstance(size, int) or len(size) != 2:
        raise TypeError(f"size is (rows, columns), got {size!r}")
    names = _name_classes(class_names, n_classes)
    rows, columns = size
    return CallableClassifier(
        function,
        (_check_count("rows of size", rows), _check_count("columns of size", columns)),
        names,
        outputs,
        _check_count("batch_size", batch_size),
        _check_count("workers", workers),
        name,
    )


def convert_to_array(answer: Any) -> NDArray[Any]:
    """Convert the answer of a function of any framework to an array."""
    if hasattr(answer, "detach"):  # a tensor of PyTorch, which may have a gradient or a device
        answer = answer.detach().cpu()
    return np.asarray(answer)


@final
class CallableClassifier:
    """A `Classifier` that calls a function; made by `from_callable`."""

    def __init__(
        self,
        function: Function,
        size: Size,
        class_names: tuple[str, ...],
        outputs: Outputs,
        batch_size: int,
        workers: int,
        name: str,
    ) -> None:
        self._function = function
        self._composer = HostComposer(ModelSpace(size))
        self.size = size
        self.preprocessing = Preprocessing()
        self.class_names = class_names
        self.outputs = outputs
        self.batch_size = batch_size
        self.workers = workers
        self.name = name
        # However many threads call, at most `workers` calls of the function run side by side.
        self._turn = threading.BoundedSemaphore(workers)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        return {"model": self.name, "provider": "callable", "batch_size": self.batch_size}

    def scores(self, images: Images) -> Scores:
        """Compute the raw scores (N, K) of images (N, H, W, 3) in [0, 1].

        Raises
        ------
        ScoreError
            If the function returns an array of another shape, or anything but numbers. NaN
            and infinite scores pass: the engine stops the one job that they belong to.
        """
        check_images(images, self.size)
        return self._score(
            len(images),
            lambda start, stop: self._composer.enter(images[start:stop], stop - start),
        )

    def planes(self, image: Image, fill: Image) -> Planes:
        """Prepare composing `image` with `fill`, once for many masks."""
        return self._composer.planes(image, fill)

    def masked_scores(self, parts: Sequence[Part]) -> Scores:
        """Compute the raw scores of ``x * (1 - m) + f * m`` for every mask of the parts, in order.

        Raises
        ------
        ScoreError
            As `scores`.
        """
        return self._score(
            count_masks(parts),
            lambda start, stop: self._composer.compose(cut_parts(parts, start, stop), stop - start),
        )

    def gradients(self) -> Differentiable:
        """Raise a `ModelError`: the gradient of a function is not known."""
        raise ModelError(f"{self.name}: a function has no gradient")

    def _score(self, n: int, make_batch: Callable[[int, int], NDArray[np.float32]]) -> Scores:
        """Score n images, batch by batch."""
        batches = [
            self._call(make_batch(start, min(start + self.batch_size, n)))
            for start in range(0, n, self.batch_size)
        ]
        return np.concatenate(batches)

    def _call(self, images: NDArray[np.float32]) -> Scores:
        with self._turn:
            answer = convert_to_array(self._function(images))
        expected = len(images), len(self.class_names)
        if answer.dtype.kind not in "fiu" or answer.shape != expected:
            raise ScoreError(
                f"{self.name}: scores must be numbers of shape {expected} (images, classes), "
                f"got {answer.dtype} of shape {answer.shape}"
            )
        return answer.astype(np.float32)  # a copy: the function may return its own buffer


def _name_classes(class_names: Sequence[str] | None, n_classes: int | None) -> tuple[str, ...]:
    """Return the names of the classes, or their numbers if only their count is given."""
    if class_names is None:
        if n_classes is None:
            raise ValueError("from_callable needs class_names, or n_classes where there are none")
        class_names = tuple(str(number) for number in range(n_classes))
    if n_classes not in (None, len(class_names)):
        raise ValueError(f"n_classes is {n_classes}, but class_names has {len(class_names)} names")
    if len(class_names) < 2:
        raise ValueError(
            f"a classifier has two classes or more, got {len(class_names)}; if the function "
            f"returns one probability p, let it return 1 - p and p"
        )
    return tuple(class_names)


def _check_count(name: str, value: Any) -> int:
    """Return a whole number of at least 1; raise an error if the value is something else."""
    if not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} takes an integer, got {value!r}")
    if index(value) < 1:
        raise ValueError(f"{name} must be >= 1, got {value}")
    return index(value)
