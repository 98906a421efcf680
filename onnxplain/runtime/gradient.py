"""Gradients of classifiers, and their inside, in plain ONNX Runtime."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images, Layer, ScoreKind, Scores
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import BIASES, Array, Inside, Tensors
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient.attention import find_attention, names_attention
from onnxplain.gradient.biases import find_biased_layers
from onnxplain.gradient.layers import LayerFinder
from onnxplain.graph.batch_proof import read_fixed_batch
from onnxplain.graph.load import ModelFile, load_weights
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.crop_stages import load_crop_stages
from onnxplain.runtime.device import Device
from onnxplain.runtime.incremental import PatchScorer
from onnxplain.runtime.measure import RuntimeMeasure
from onnxplain.runtime.reader import Reader, load_reader
from onnxplain.runtime.tail import Tail, load_tail

K = TypeVar("K")
T = TypeVar("T")

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
        self._tails: OrderedDict[tuple[Layer, ScoreKind], Tail] = OrderedDict()
        self._loading = threading.RLock()

    @cached_property
    def layers(self) -> LayerFinder:
        """The layers of the model."""
        return LayerFinder.of(self._file.proto, self._spec)

    def find_layers(self, name: str) -> tuple[Layer, ...]:
        """Return the layers that a name chooses.

        Raises
        ------
        ModelError
            If there is no such layer.
        """
        with self._loading:
            try:
                if name == BIASES:
                    return self._find_biases()
                if names_attention(name):
                    return find_attention(self.layers.graph, name)
                return self.layers.find(name)
            except ModelError as error:
                raise type(error)(f"{self._file.path.name}: {error}") from error

    def _find_biases(self) -> tuple[Layer, ...]:
        rows = read_fixed_batch(self._file.proto, self._spec.input) or 1
        images = np.zeros((rows, *self._spec.size, 3), np.float32)
        feeds = {self._spec.input: ModelSpace.of(self._spec).enter_as_real(images)}
        model = load_weights(self._file)
        return find_biased_layers(model, self.layers.graph, RuntimeMeasure(), feeds)

    def open(self, wants: Tensors) -> Reader:
        """Return what reads the inside that is wanted.

        Raises
        ------
        GradientError
            If the model has no such gradients, naming the node that stands in the way.
        """
        model = self._file, self._spec, self._device
        with self._loading:
            load = partial(load_reader, *model, wants, batch_size=self._batch_size)
            return _recall(self._readers, wants, load)

    def look(self, images: Images, targets: NDArray[Any], wants: Tensors) -> Inside:
        """Return what is wanted about each image and its own target (N,)."""
        return self.open(wants).read(images, targets)

    def run_tail(self, layer: Layer, values: Array, score: ScoreKind) -> Inside:
        """Return the scores of values (N, C, h, w) of a layer.

        Raises
        ------
        ModelError
            If the scores depend on more than this layer.
        """
        with self._loading:
            load = partial(load_tail, self._file, self._spec, self._device, layer, score)
            tail = _recall(self._tails, (layer, score), load)
        return tail.run(values)

    def load_patch_scorer(self, patch: int) -> PatchScorer:
        """Load what scores an image without a patch from what the patch changes.

        Raises
        ------
        ModelError
            If there is no such way, or it would save little; the text says why.
        """
        with self._loading:
            sides = patch, patch
            graph = self.layers.graph
            stages = load_crop_stages(self._file, self._spec, self._device, graph, sides)
            layer = graph.describe(stages.target.tensor)
        assert layer is not None

        def run_rest(values: Array) -> Scores:
            return self.run_tail(layer, layer.arrange(values), "probability").scores

        return PatchScorer(stages, self._spec.size, run_rest)


def _recall(loaded: OrderedDict[K, T], key: K, load: Callable[[], T]) -> T:
    """Return what is loaded under a key, loaded now if it is not; forget what is least used."""
    if key not in loaded:
        loaded[key] = load()
        while len(loaded) > MOST_GRAPHS:
            loaded.popitem(last=False)
    loaded.move_to_end(key)
    return loaded[key]


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
