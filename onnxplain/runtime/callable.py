"""Make a classifier of any function on images, whatever its framework."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any, Protocol, SupportsIndex, TypeAlias, final, get_args

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Outputs, ScoreKind, Scores, Size
from onnxplain.core.errors import ModelError, ScoreError
from onnxplain.core.protocols import Differentiable, Part
from onnxplain.core.scores import differentiate_target_scores
from onnxplain.core.spec import OUTPUTS, ModelSpec
from onnxplain.describe.imagenet import IMAGENET_NAMES, name_imagenet_classes
from onnxplain.image import MAX_PIXELS
from onnxplain.runtime import head
from onnxplain.runtime.card import format_card
from onnxplain.runtime.composing.composer import count_masks, cut_parts
from onnxplain.runtime.composing.host_composer import HostComposer, Planes
from onnxplain.runtime.composing.space import ModelSpace, check_images
from onnxplain.runtime.runner import BatchSize
from onnxplain.subjects import ClassScore, ImageSource, predict_classes

# Takes images as the model takes them, and returns its answers (N, K).
Function: TypeAlias = Callable[[NDArray[np.float32]], Any]
# Takes the same images and a weight (N, K) for each answer; returns the gradient of
# ``(weights * function(images)).sum()`` by the images.
Gradient: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], Any]
# Takes answers (N, K), and returns their weights.
Weigh: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float32]]


def from_callable(
    function: Function,
    *,
    size: Size,
    class_names: Sequence[str] | None = None,
    n_classes: int | None = None,
    outputs: Outputs = "probabilities",
    gradient: Gradient | None = None,
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
        K, if there are no names. 1000 classes are then taken to be those of ImageNet, 1001
        those with the background before them; others are called "0", "1", ...
    outputs : {'probabilities', 'logits', 'multilabel-probabilities', 'multilabel-logits'}
        What the scores are. The first two are of classes that exclude each other, with a softmax
        that is done or still to do; the others of independent labels, with a sigmoid each.
    gradient : callable, optional
        Takes such images and weights (N, K), float32, and returns the gradient of
        ``(weights * function(images)).sum()`` by the images, (N, H, W, 3). It lets the methods
        that use gradients run; gradients of probabilities, logits and log-odds all follow
        from it. Without it, methods run on scores alone where they can.
    batch_size : int
        Largest number of images per call.
    workers : int
        Number of calls side by side; more than one only if the function is thread-safe.
    name : str
        Name of the classifier in results.

    Returns
    -------
    classifier : CallableClassifier

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, neither `class_names` nor `n_classes` is given, or the
        function is a module of PyTorch or a model of Keras (use `from_torch`, `from_keras`).

    Examples
    --------
    >>> def red(images):
    ...     r = images[..., 0].mean(axis=(1, 2))
    ...     return np.stack([r, 1 - r], axis=1)
    >>> def red_gradient(images, weights):
    ...     gradient = np.zeros_like(images)
    ...     gradient[..., 0] = (weights[:, 0] - weights[:, 1])[:, None, None] / 64
    ...     return gradient
    >>> classifier = from_callable(
    ...     red, size=(8, 8), class_names=("red", "other"), gradient=red_gradient
    ... )
    >>> classifier.scores(np.ones((1, 8, 8, 3), np.float32))
    array([[1., 0.]], dtype=float32)
    """
    check_function("function", function)
    if gradient is not None:
        check_function("gradient", gradient)
    if outputs not in get_args(Outputs):
        listed = ", ".join(map(repr, get_args(Outputs)))
        raise ValueError(f"outputs is one of {listed}, got {outputs!r}")
    if isinstance(size, int) or len(size) != 2:
        raise TypeError(f"size is (rows, columns), got {size!r}")
    names, source = _name_classes(class_names, n_classes)
    rows, columns = size
    spec = ModelSpec(
        input="images",
        output="scores",
        layout="nhwc",
        colour="rgb",
        dtype="float32",
        range=(0.0, 1.0),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        size=(_check_count("rows of size", rows), _check_count("columns of size", columns)),
        fit="crop",
        resize=None,
        interpolation="bilinear",
        border=(0, 0, 0),
        centre="round",
        head=outputs,
        output_scale=(1.0, 0.0),
        class_names=names,
        sources={"class_names": source},
    )
    return CallableClassifier(
        _PlainNetwork(name, function, gradient),
        spec,
        batch_size=_check_count("batch_size", batch_size),
        workers=_check_count("workers", workers),
        name=name,
    )


def convert_to_array(answer: Any) -> NDArray[Any]:
    """Convert the answer of a function of any framework to an array."""
    if hasattr(answer, "detach"):  # a tensor of PyTorch, which may have a gradient or a device
        answer = answer.detach().cpu()
    return np.asarray(answer)


class Network(Protocol):
    """A function of images as the model takes them, with or without its gradient."""

    @property
    def provider(self) -> str:
        """What runs it, for the record of a result."""
        ...

    def answer(self, images: NDArray[np.float32]) -> Any:
        """Return answers (N, K), as an array or tensor of any framework."""
        ...

    def differentiate(self, images: NDArray[np.float32], weigh: Weigh) -> tuple[Any, Any]:
        """Return the answers, and the gradient of ``(weigh(answers) * answers).sum()`` by images.

        Raises
        ------
        ModelError
            If there is no gradient.
        """
        ...


@final
class _PlainNetwork:
    """The `Network` of two functions of `from_callable`."""

    provider = "callable"

    def __init__(self, name: str, function: Function, gradient: Gradient | None) -> None:
        self._name = name
        self._function = function
        self._gradient = gradient

    def answer(self, images: NDArray[np.float32]) -> Any:
        return self._function(images)

    def differentiate(self, images: NDArray[np.float32], weigh: Weigh) -> tuple[Any, Any]:
        if self._gradient is None:
            raise ModelError(
                f"{self._name}: a function has no gradient of its own; give it as "
                f"from_callable(..., gradient=...)"
            )
        kept = images.copy()  # the function may write to its argument
        answers = convert_to_array(self._function(images))
        return answers, self._gradient(kept, weigh(answers))


@final
class CallableClassifier:
    """A `Classifier` that calls a function; made by `from_callable`, `from_torch`, `from_keras`.

    Parameters
    ----------
    network : Network
        The function.
    spec : ModelSpec
        How to feed it and read its answers.
    batch_size : int
        Largest number of images per call; halved when memory runs out.
    workers : int
        Number of calls side by side.
    name : str
        Its name in results.
    """

    def __init__(
        self, network: Network, spec: ModelSpec, *, batch_size: int, workers: int, name: str
    ) -> None:
        self.spec = spec
        self.preprocessing = spec.preprocessing
        self.workers = workers
        self.name = name
        self._batches = BatchSize(batch_size)
        self._network = network
        self._space = ModelSpace.of(spec)
        self._composer = HostComposer(self._space)
        # However many threads call, at most `workers` calls of the function run side by side.
        self._turn = threading.BoundedSemaphore(workers)

    def __repr__(self) -> str:
        return describe_classifier(type(self).__name__, self.name, self.spec)

    def _repr_html_(self) -> str:
        """Return what the classifier is, as a table for notebooks."""
        return format_card(type(self).__name__, self.provenance, self.spec)

    @property
    def size(self) -> Size:
        """Rows and columns of the images it takes."""
        return self.spec.size

    @property
    def batch_size(self) -> int:
        """Largest number of images per call; it falls when memory runs out."""
        return self._batches.size

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for every class, in the order of the scores."""
        return self.spec.class_names

    @property
    def outputs(self) -> Outputs:
        """What the scores are: logits or probabilities."""
        return OUTPUTS[self.spec.head]

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        return {
            "model": self.name,
            "provider": self._network.provider,
            "batch_size": self.batch_size,
            "preprocessing": self.spec.describe(),
        }

    def predict(
        self,
        image: ImageSource,
        top: int = 5,
        *,
        max_pixels: int = MAX_PIXELS,
        white: int | None = None,
    ) -> list[ClassScore]:
        """Return the most probable classes of a photo; see `onnxplain.subjects.predict_classes`."""
        return predict_classes(self, image, top, max_pixels=max_pixels, white=white)

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
        """Return its gradients: itself, after a trial with a black image.

        Raises
        ------
        ModelError
            If it has none.
        """
        black = np.zeros((1, *self.size, 3), np.float32)
        self.score_grads(black, np.zeros(1, np.int64), "log-odds")
        return self

    def score_grads(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Compute raw scores (N, K), and d score / d image (N, H, W, 3) of each image's target.

        Raises
        ------
        ModelError
            If it has no gradients.
        ScoreError
            As `scores`; and if the gradient has another shape than the images.
        """
        check_images(images, self.size)
        batches = self._batches.run_batches(
            len(images),
            lambda start, stop: self._differentiate(images[start:stop], targets[start:stop], kind),
        )
        scores, gradients = (np.concatenate(values) for values in zip(*batches, strict=True))
        return scores, gradients

    def _score(self, n: int, make_batch: Callable[[int, int], NDArray[np.float32]]) -> Scores:
        """Score n images, batch by batch."""
        batches = self._batches.run_batches(
            n, lambda start, stop: self._call(make_batch(start, stop))
        )
        return np.concatenate(batches)

    def _call(self, images: NDArray[np.float32]) -> Scores:
        with self._turn:
            answer = convert_to_array(self._network.answer(images))
        return self._decode(answer, len(images))

    def _differentiate(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Differentiate one batch."""
        entered = self._composer.enter(images, len(images))
        scores: list[Scores] = []

        def weigh(answers: NDArray[Any]) -> NDArray[np.float32]:
            scores.append(self._decode(answers, len(images)))
            slopes = differentiate_target_scores(
                scores[0], targets, outputs=self.outputs, kind=kind
            )
            return head.encode_slopes(slopes, self.spec).reshape(answers.shape)

        with self._turn:
            _, gradient = self._network.differentiate(entered, weigh)
            gradient = convert_to_array(gradient).astype(np.float32)
        if gradient.shape != entered.shape:
            raise ScoreError(
                f"{self.name}: the gradient has the shape {gradient.shape}; it needs that of the "
                f"images, {entered.shape}"
            )
        return scores[0], self._space.leave(gradient)

    def _decode(self, answer: NDArray[Any], n: int) -> Scores:
        width = head.get_width(self.spec)
        if answer.dtype.kind not in "fiu" or answer.shape not in ((n, width), (n, width, 1, 1)):
            raise ScoreError(
                f"{self.name}: scores must be numbers of shape {(n, width)} (images, classes), "
                f"got {answer.dtype} of shape {answer.shape}"
            )
        return head.decode_scores(answer, n, self.spec)


def describe_classifier(kind: str, name: str, spec: ModelSpec) -> str:
    """Return the short text that represents a classifier."""
    rows, columns = spec.size
    return f"{kind}({name!r}, {rows} x {columns}, {len(spec.class_names)} classes)"


def check_function(argument: str, function: object) -> None:
    """Check that an argument is a plain function, not a model of a framework.

    Raises
    ------
    TypeError
        If it is something else; it names the function that takes such models.
    """
    for package, part, maker in (("keras", "Model", "from_keras"), ("torch", "nn", "from_torch")):
        known = getattr(sys.modules.get(package), part, None)
        kind = getattr(known, "Module", known)
        if isinstance(kind, type) and isinstance(function, kind):
            raise TypeError(
                f"{argument} is a model of {package}; give it to onnxplain.{maker}, which brings "
                f"images into its layout, normalises them and knows its gradients; or wrap it in a "
                f"function of images (N, H, W, 3) in [0, 1]"
            )
    if not callable(function):
        raise TypeError(
            f"{argument} must be callable, got {type(function).__name__}; onnxplain.load takes the "
            f"paths of ONNX files"
        )


def _name_classes(
    class_names: Sequence[str] | None, n_classes: int | None
) -> tuple[tuple[str, ...], str]:
    """Return the names of the classes and their source; their numbers if nothing names them."""
    source = "class_names"
    if class_names is None:
        if n_classes is None:
            raise ValueError("from_callable needs class_names, or n_classes where there are none")
        class_names, source = name_imagenet_classes(index(n_classes)), IMAGENET_NAMES
    if class_names is None:
        class_names, source = tuple(str(number) for number in range(n_classes or 0)), "numbered"
    if n_classes not in (None, len(class_names)):
        raise ValueError(f"n_classes is {n_classes}, but class_names has {len(class_names)} names")
    if len(class_names) < 2:
        raise ValueError(
            f"a classifier has two classes or more, got {len(class_names)}; if the function "
            f"returns one probability p, let it return 1 - p and p"
        )
    return tuple(class_names), source


def _check_count(name: str, value: Any) -> int:
    """Return a whole number of at least 1; raise an error if the value is something else."""
    if not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} takes an integer, got {value!r}")
    if index(value) < 1:
        raise ValueError(f"{name} must be >= 1, got {value}")
    return index(value)
