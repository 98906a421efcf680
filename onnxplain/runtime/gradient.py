"""Gradients of classifiers in plain ONNX Runtime: the model's own and its derivative in one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import GREY, Images, ScoreKind, Scores
from onnxplain.core.errors import BY_SCORES, ModelError, ScoreError
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient import (
    FILL,
    MASK,
    TARGET,
    CoarseMask,
    GradientError,
    Wish,
    build_gradient,
    first_not_finite,
)
from onnxplain.gradient import gradient_name as named
from onnxplain.graph.load import ModelFile, load_weights
from onnxplain.graph.rebatch import batch_axis
from onnxplain.runtime import head
from onnxplain.runtime.batch_support import find_batch_support
from onnxplain.runtime.composing.space import ModelSpace, check_images
from onnxplain.runtime.device import Device
from onnxplain.runtime.measure import RuntimeMeasure
from onnxplain.runtime.runner import BatchSize, pad_rows
from onnxplain.runtime.session import Session, open_session

# Two batch sizes, other than 1, to see which dimensions grow with the batch.
PROBES = (2, 3)

FIRST: ScoreKind = "log-odds"  # the score that most methods explain


@final
class OnnxGradient:
    """A classifier with the gradient of its target's score; made by `load_gradient`.

    Parameters
    ----------
    session : Session
        The loaded gradient graph.
    spec : ModelSpec
        How to feed the classifier and read its answer.
    batch_size : int
        Most images a call, to begin with; half as many where memory ends.
    fixed : bool
        Whether a call takes that number only.
    rebuild : callable
        Gives the graph once more, to find out where a bad number comes from.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        *,
        batch_size: int,
        fixed: bool,
        rebuild: Callable[[], bytes],
    ) -> None:
        self.spec = spec
        self._session = session
        self._space = ModelSpace.of(spec)
        on_cpu = session.device.where == "cpu"
        self._batches = BatchSize(batch_size, fixed=fixed, on_cpu=on_cpu)
        self._rebuild = rebuild

    def score_grads(
        self, images: Images, targets: NDArray[np.integer[Any]]
    ) -> tuple[Scores, Images]:
        """Scores of images, and the gradients of the score of each one's target.

        Parameters
        ----------
        images : (N, H, W, 3) ndarray of float32 in [0, 1]
        targets : (N,) ndarray of int
            A class for each image.

        Returns
        -------
        scores : (N, K) ndarray of float32
            As the model gives them.
        gradients : (N, H, W, 3) ndarray of float32
            With respect to the images, RGB in [0, 1].

        Raises
        ------
        ValueError
            If an image or a target is not what the model takes.
        ScoreError
            If a gradient is not finite, naming the image, the value and where it arises.
        OutOfMemory
            If not even the smallest batch fits into memory.
        """
        check_images(images, self.spec.size)
        classes = len(self.spec.class_names)
        if len(targets) != len(images) or not ((targets >= 0) & (targets < classes)).all():
            raise ValueError(
                f"targets are one class, 0 to {classes - 1}, for each of {len(images)} images, "
                f"got {targets!r}"
            )
        names = (self.spec.output, named(self.spec.input))

        def run(start: int, stop: int) -> list[NDArray[Any]]:
            values = self._session.run(self._feeds(images[start:stop], targets[start:stop]), names)
            return [value[: stop - start] for value in values]

        parts = self._batches.each(len(images), run)
        scores, gradients = (np.concatenate(one) for one in zip(*parts, strict=True))
        for name, values in zip(names, (scores, gradients), strict=True):
            self._check_finite(name, values, images, targets)
        return head.decode_scores(scores, len(images), self.spec), leave_space(
            self._space, gradients
        )

    def _feeds(self, images: Images, targets: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
        """At most a batch of images, filled up with the last one where the batch is fixed."""
        n = self._batches.size if self._batches.fixed else len(images)
        rows, wanted = self._space.enter(images), targets.astype(np.int64)
        return {self.spec.input: pad_rows(rows, n), TARGET: pad_rows(wanted, n)}

    def _check_finite(
        self,
        name: str,
        values: NDArray[Any],
        images: Images,
        targets: NDArray[np.integer[Any]],
    ) -> None:
        bad = ~np.isfinite(values.reshape(len(values), -1))
        if not bad.any():
            return
        row = int(bad.any(axis=1).argmax())
        value = values[row].ravel()[bad[row].argmax()]
        feeds = self._feeds(images[row : row + 1], targets[row : row + 1])
        where = first_not_finite(self._rebuild(), RuntimeMeasure(), feeds, float(value))
        raise ScoreError(
            f"{name} of image {row} holds {value}{f', first at node {where}' if where else ''}"
        )


@final
class OnnxGradients:
    """A classifier's gradients of any kind of score: a `Differentiable`.

    Each kind is a graph of its own, built and loaded when it is first asked for. They differ
    behind the model's scores alone, so that the first, which is built at once, tells whether
    the model has gradients: no other look at it could know what building refuses.

    Parameters
    ----------
    file : ModelFile
        The classifier.
    spec : ModelSpec
        How to feed it and read its answer.
    device : Device
        Where it runs.
    batch_size : int
        Most images a call.

    Raises
    ------
    GradientError
        If it has none, naming the node that stands in the way.
    """

    def __init__(self, file: ModelFile, spec: ModelSpec, device: Device, batch_size: int) -> None:
        self._load = partial(load_gradient, file, spec, device, batch_size=batch_size)
        self._loaded: dict[ScoreKind, OnnxGradient] = {FIRST: self._load(kind=FIRST)}
        self._loading = threading.Lock()

    def score_grads(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Raw scores (N, K), and d score / d image (N, H, W, 3) of each image's target."""
        with self._loading:
            if kind not in self._loaded:
                self._loaded[kind] = self._load(kind=kind)
        return self._loaded[kind].score_grads(images, targets)


def load_gradient(
    file: ModelFile,
    spec: ModelSpec,
    device: Device,
    *,
    kind: ScoreKind = "probability",
    batch_size: int = 8,
) -> OnnxGradient:
    """Differentiate a classifier and load the result on a device.

    Raises
    ------
    GradientError
        If it cannot be differentiated, naming the node and what to do.
    """
    content, fixed = _built(file, spec, kind=kind)
    name = f"gradient of {file.path.name}"
    session = open_session(content, device, name=name, tf32=False)
    return OnnxGradient(
        session,
        spec,
        batch_size=fixed or batch_size,
        fixed=fixed is not None,
        rebuild=partial(build_gradient_model, file, spec, kind=kind),
    )


def build_gradient_model(
    file: ModelFile,
    spec: ModelSpec,
    *,
    kind: ScoreKind = "probability",
    layers: tuple[str, ...] = (),
    mask: int | None = None,
) -> bytes:
    """The gradient graph of a classifier, as the content of an ONNX file.

    Parameters
    ----------
    file : ModelFile
        The classifier.
    spec : ModelSpec
        Its input, output and what the output holds.
    kind : {'probability', 'logit', 'log-odds'}
        Which score of the target is differentiated.
    layers : tuple of str
        Inner tensors wanted with their gradients.
    mask : int, optional
        Cells a side, from 1 to the image's shorter one, of a mask that composes the image with
        a fill, and whose gradient is wanted in place of the image's.

    Returns
    -------
    model : bytes
        Inputs: the model's own, and ``target`` (N,) of int64; with `mask` also ``fill``, of the
        image's shape and in the model's space, and ``mask`` (N, cells, cells) in [0, 1], where
        1 removes; image and fill have N rows or one. Outputs: the model's own,
        ``target_score`` (N,), ``d_score/d_NAME`` for the image or the mask, and each layer.

    Raises
    ------
    ValueError
        If the mask has no cell or more than the image has pixels.
    GradientError
        If the model cannot be differentiated.
    """
    return _built(file, spec, kind=kind, layers=layers, mask=mask)[0]


def _built(
    file: ModelFile,
    spec: ModelSpec,
    *,
    kind: ScoreKind,
    layers: tuple[str, ...] = (),
    mask: int | None = None,
) -> tuple[bytes, int | None]:
    """The gradient graph, and the only batch that it takes; None if it takes any."""
    if mask is not None and not 1 <= mask <= min(spec.size):
        raise ValueError(f"a mask has 1 to {min(spec.size)} cells a side, got {mask}")
    coarse = None if mask is None else CoarseMask(mask, spec.layout, spec.size)
    wish = Wish(spec.input, spec.output, head=spec.head, kind=kind, tensors=layers, mask=coarse)
    try:
        model = load_weights(file)
    except ModelError as error:
        raise GradientError(f"{error}, or {BY_SCORES}") from error

    def build(*rows: int) -> bytes:
        examples = [_example(spec, n, coarse) for n in rows]
        try:
            built = build_gradient(model, wish, RuntimeMeasure(), examples)
        except GradientError as error:
            raise GradientError(f"{file.path.name}: {error}") from error
        data: bytes = built.SerializeToString()
        return data

    declared = batch_axis(file.proto, spec.input)
    if declared is not None:
        return build(declared), declared
    try:
        return build(*PROBES), None
    except GradientError:
        if not _one_at_a_time(file, spec):
            raise
    return build(1), 1


def _one_at_a_time(file: ModelFile, spec: ModelSpec) -> bool:
    """Whether a model takes one image a call, though it declares a dynamic batch."""
    try:
        return find_batch_support(file, spec).fixed == 1
    except ModelError:  # it does not run at all: what building it met with tells more
        return False


def _example(spec: ModelSpec, rows: int, mask: CoarseMask | None) -> dict[str, NDArray[np.float32]]:
    """Something to feed a gradient graph, of so many rows."""
    space, rng = ModelSpace.of(spec), np.random.default_rng(0)
    images = space.enter(rng.random((rows, *spec.size, 3), np.float32))
    if mask is None:
        return {spec.input: images}
    cells = rng.random((rows, mask.cells, mask.cells), np.float32)
    return {spec.input: images[:1], FILL: 1 - images[:1], MASK: cells}


def leave_space(space: ModelSpace, gradients: NDArray[np.float32]) -> Images:
    """Gradients with respect to what enters a model as those with respect to the images.

    The adjoint of `ModelSpace.enter`.
    """
    if space.layout == "nchw":
        gradients = gradients.transpose(0, 2, 3, 1)
    gradients = gradients * np.array(space.gain, np.float32)
    if space.colour == "grey":
        gradients = gradients * GREY
    elif space.colour == "bgr":
        gradients = gradients[..., ::-1]
    return np.ascontiguousarray(gradients, np.float32)
