"""Make a classifier of any function on images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, SupportsIndex, TypeAlias, final, get_args

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Outputs, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.imagenet import IMAGENET_NAMES, name_imagenet_classes
from onnxplain.runtime.callable import CallableClassifier
from onnxplain.runtime.network import Weigh, convert_to_array

# Takes images as the model takes them, and returns its answers (N, K).
Function: TypeAlias = Callable[[NDArray[np.float32]], Any]
# Takes the same images and a weight (N, K) for each answer; returns the gradient of
# ``(weights * function(images)).sum()`` by the images.
Gradient: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], Any]


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
    checked = _check_count("rows of size", rows), _check_count("columns of size", columns)
    return CallableClassifier(
        _PlainNetwork(name, function, gradient),
        _make_spec(checked, outputs, names, source),
        batch_size=_check_count("batch_size", batch_size),
        workers=_check_count("workers", workers),
        name=name,
    )


def _make_spec(size: Size, outputs: Outputs, names: tuple[str, ...], source: str) -> ModelSpec:
    """Describe a function of images as they are: RGB in [0, 1], the channels last."""
    return ModelSpec(
        input="images",
        output="scores",
        layout="nhwc",
        colour="rgb",
        dtype="float32",
        range=(0.0, 1.0),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        size=size,
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
