"""Gradients of classifiers, and their inside, in plain ONNX Runtime."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cached_property
from typing import Any, final

from numpy.typing import NDArray

from onnxplain.core.data import Images, Layer, ScoreKind, Scores
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import Inside, Tensors
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient.layers import LayerFinder
from onnxplain.graph.load import ModelFile
from onnxplain.runtime.device import Device
from onnxplain.runtime.reader import Reader, load_reader

FIRST: ScoreKind = "log-odds"  # the score that most methods explain
MOST_GRAPHS = 8  # that are kept loaded; each holds the weights of the model


@final
class ModelInside:
    """The inside of a classifier: its layers, their values and gradients; thread-safe.

    Whatever is wanted is a graph of its own, built and loaded when it is first needed.

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
    """

    def __init__(self, file: ModelFile, spec: ModelSpec, device: Device, batch_size: int) -> None:
        self._file = file
        self._spec = spec
        self._device = device
        self._batch_size = batch_size
        self._readers: OrderedDict[Tensors, Reader] = OrderedDict()
        self._loading = threading.RLock()

    @cached_property
    def layers(self) -> LayerFinder:
        """The layers of the model."""
        return LayerFinder(
            self._file.proto,
            input=self._spec.input,
            output=self._spec.output,
            size=self._spec.size,
            n_classes=len(self._spec.class_names),
            channels_last=self._spec.layout == "nhwc",
        )

    def find_layers(self, name: str) -> tuple[Layer, ...]:
        """Return the layers that a name chooses.

        Raises
        ------
        ModelError
            If there is no such layer.
        """
        with self._loading:
            try:
                return self.layers.find(name)
            except ModelError as error:
                raise ModelError(f"{self._file.path.name}: {error}") from error

    def open(self, wants: Tensors) -> Reader:
        """Return what reads the inside that is wanted.

        Raises
        ------
        GradientError
            If the model has no such gradients, naming the node that stands in the way.
        """
        with self._loading:
            if wants not in self._readers:
                self._readers[wants] = load_reader(
                    self._file, self._spec, self._device, wants, batch_size=self._batch_size
                )
                while len(self._readers) > MOST_GRAPHS:
                    self._readers.popitem(last=False)
            self._readers.move_to_end(wants)
            return self._readers[wants]

    def look(self, images: Images, targets: NDArray[Any], wants: Tensors) -> Inside:
        """Return what is wanted about each image and its own target (N,)."""
        return self.open(wants).read(images, targets)


@final
class OnnxGradients:
    """A classifier's gradients of any kind of score: a `Differentiable`.

    The kinds differ only behind the model's scores, so the first one, which is built at once,
    shows whether the model has gradients at all; there is no way to tell without building it.

    Parameters
    ----------
    inside : ModelInside
        Of the classifier.

    Raises
    ------
    GradientError
        If the model has no gradients, naming the node that stands in the way.
    """

    def __init__(self, inside: ModelInside) -> None:
        self._inside = inside
        inside.open(Tensors(image=True, score=FIRST))

    def score_grads(
        self, images: Images, targets: NDArray[Any], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Compute raw scores (N, K), and d score / d image (N, H, W, 3) of each image's target."""
        inside = self._inside.look(images, targets, Tensors(image=True, score=kind))
        assert inside.grads is not None
        return inside.scores, inside.grads
