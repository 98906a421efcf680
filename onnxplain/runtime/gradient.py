"""Gradients of classifiers in plain ONNX Runtime: a model and its derivative in one graph."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images, ScoreKind, Scores
from onnxplain.core.errors import ScoreError
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient import TARGET, find_nonfinite_node, gradient_name
from onnxplain.graph.load import ModelFile
from onnxplain.runtime import head
from onnxplain.runtime.batch_support import find_batch_support
from onnxplain.runtime.composing.space import ModelSpace, check_images
from onnxplain.runtime.device import Device
from onnxplain.runtime.gradient_building import build_batched_gradient, build_gradient_model
from onnxplain.runtime.measure import RuntimeMeasure
from onnxplain.runtime.runner import BatchSize, pad_rows
from onnxplain.runtime.session import Session, open_session

FIRST: ScoreKind = "log-odds"  # the score that most methods explain


@final
class OnnxGradient:
    """A classifier with the gradient of its target's score; made by `load_gradient`.

    Parameters
    ----------
    session : Session
        The loaded gradient graph.
    spec : ModelSpec
        How to feed the classifier and read its output.
    batch_size : int
        Most images per call, to begin with; halved when memory runs out.
    rows : int or None
        The only number of rows that a call takes; the last image fills those that are left.
    rebuild : callable
        Builds the graph once more, to find out where a bad number comes from.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        *,
        batch_size: int,
        rows: int | None,
        rebuild: Callable[[], bytes],
    ) -> None:
        self.spec = spec
        self._session = session
        self._space = ModelSpace.of(spec)
        on_cpu = session.device.where == "cpu"
        self._rows = rows
        self._batches = BatchSize(batch_size, fixed=rows is not None, on_cpu=on_cpu)
        self._rebuild = rebuild

    def score_grads(
        self, images: Images, targets: NDArray[np.integer[Any]]
    ) -> tuple[Scores, Images]:
        """Compute the scores of images, and the gradient of the score of each image's target.

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
            If the model does not take such images or targets.
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
        names = (self.spec.output, gradient_name(self.spec.input))

        def run(start: int, stop: int) -> list[NDArray[Any]]:
            feeds = self._make_feeds(images[start:stop], targets[start:stop])
            return [value[: stop - start] for value in self._session.run(feeds, names)]

        batches = self._batches.run_batches(len(images), run)
        scores, gradients = (np.concatenate(values) for values in zip(*batches, strict=True))
        for name, values in zip(names, (scores, gradients), strict=True):
            self._check_finite(name, values, images, targets)
        inside = gradients.astype(np.float32, copy=False)
        return head.decode_scores(scores, len(images), self.spec), self._space.leave(inside)

    def _make_feeds(
        self, images: Images, targets: NDArray[np.integer[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Make the inputs for at most one batch, padded with the last image to its fixed rows."""
        n = self._rows or len(images)
        rows = self._space.enter_as_real(images)
        return {
            self.spec.input: pad_rows(rows, n),
            TARGET: pad_rows(targets.astype(np.int64), n),
        }

    def _check_finite(
        self,
        name: str,
        values: NDArray[Any],
        images: Images,
        targets: NDArray[np.integer[Any]],
    ) -> None:
        """Raise an error that names the first bad image and node, unless all values are finite."""
        bad = ~np.isfinite(values.reshape(len(values), -1))
        if not bad.any():
            return
        row = int(bad.any(axis=1).argmax())
        value = values[row].ravel()[bad[row].argmax()]
        feeds = self._make_feeds(images[row : row + 1], targets[row : row + 1])
        where = find_nonfinite_node(self._rebuild(), RuntimeMeasure(), feeds, float(value))
        raise ScoreError(
            f"{name} of image {row} holds {value}{f', first at node {where}' if where else ''}"
        )


@final
class OnnxGradients:
    """A classifier's gradients of any kind of score: a `Differentiable`.

    Each kind is a graph of its own, built and loaded when it is first needed. The kinds
    differ only behind the model's scores, so the first one, which is built at once, shows
    whether the model has gradients at all; there is no way to tell without building it.

    Parameters
    ----------
    file : ModelFile
        The classifier.
    spec : ModelSpec
        How to feed it and read its output.
    device : Device
        Where it runs.
    batch_size : int
        Most images per call.

    Raises
    ------
    GradientError
        If the model has no gradients, naming the node that stands in the way.
    """

    def __init__(self, file: ModelFile, spec: ModelSpec, device: Device, batch_size: int) -> None:
        self._load = partial(load_gradient, file, spec, device, batch_size=batch_size)
        self._loaded: dict[ScoreKind, OnnxGradient] = {FIRST: self._load(kind=FIRST)}
        self._loading = threading.Lock()

    def score_grads(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Compute raw scores (N, K), and d score / d image (N, H, W, 3) of each image's target."""
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
    content, rows = build_batched_gradient(file, spec, kind=kind)
    # A graph that keeps its batch of 1 may have been made dynamic for scores alone.
    images = rows if rows in (None, 1) else find_batch_support(file, spec).images
    name = f"gradient of {file.path.name}"
    session = open_session(content, device, name=name, tf32=False)
    return OnnxGradient(
        session,
        spec,
        batch_size=images or batch_size,
        rows=rows,
        rebuild=partial(build_gradient_model, file, spec, kind=kind),
    )
