"""Patterns of a classifier file, from images: what every layer of weights reads is sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.cores import count_cores
from onnxplain.core.data import Images, make_rng
from onnxplain.core.errors import ModelError
from onnxplain.core.pattern_files import Patterns
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient.pattern_layers import PatternLayer, find_pattern_layers
from onnxplain.graph.batch_proof import read_fixed_batch
from onnxplain.graph.load import ModelFile, load_weights
from onnxplain.methods.relevance.pattern_sums import PatternSums
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.measure import RuntimeMeasure
from onnxplain.runtime.runner import pad_rows
from onnxplain.runtime.session import open_session

POSITIONS = 64  # of an image, at each convolution
BATCH_SIZE = 4
TOLERANCE = 1e-6  # of w' a = 1, in float64


@final
class PatternEstimation:
    """Estimates the patterns of a classifier from images, a few at a time.

    Parameters
    ----------
    file : ModelFile
        The classifier.
    spec : ModelSpec
        How to feed it.
    device : Device
        Where it runs.
    """

    def __init__(self, file: ModelFile, spec: ModelSpec, device: Device) -> None:
        self._space = ModelSpace.of(spec)
        self._spec = spec
        model, self.layers = find_pattern_layers(
            load_weights(file), spec.input, spec.output, RuntimeMeasure()
        )
        if not self.layers:
            raise ModelError(f"{file.path.name}: no layer has weights that patterns could be of")
        self.sums = [PatternSums(layer.split(layer.stored)) for layer in self.layers]
        self.batch_size = read_fixed_batch(file.proto, spec.input) or BATCH_SIZE
        self._fixed = read_fixed_batch(file.proto, spec.input)
        self._session = open_session(
            model.SerializeToString(),
            device,
            name=file.path.name,
            threads=count_cores(),
            tf32=False,
        )

    def add(self, images: Images, names: Sequence[str]) -> None:
        """Count at most `batch_size` images in; their names decide which positions are drawn."""
        rows = self._space.enter_as_real(images)
        feeds = {self._spec.input: pad_rows(rows, self._fixed or len(rows))}
        outputs = list(dict.fromkeys(layer.x for layer in self.layers if layer.x not in feeds))
        values = {**feeds, **dict(zip(outputs, self._session.run(feeds, outputs), strict=True))}
        for layer, sums in zip(self.layers, self.sums, strict=True):
            drawn = [
                layer.sample(values[layer.x][place], POSITIONS, make_rng(0, name, layer.node.y))
                for place, name in enumerate(names)
            ]
            sums.add(np.concatenate(drawn), layer.bias)

    def finish(self, facts: Mapping[str, Any]) -> Patterns:
        """Return the patterns, with the number of neurons that are dead among the facts.

        Raises
        ------
        ModelError
            If no image was counted in.
        """
        if not self.sums[0].n:
            raise ModelError("patterns are estimated from photos, got none that can be read")
        by_layer: dict[str, dict[str, NDArray[np.float32]]] = {}
        dead: dict[str, int] = {}
        for layer, sums in zip(self.layers, self.sums, strict=True):
            found = sums.estimate()
            for estimator, pattern in found.items():
                dead[estimator] = dead.get(estimator, 0) + _check_units(layer, pattern)
            by_layer[layer.node.y] = {
                name: layer.join(pattern).astype(np.float32) for name, pattern in found.items()
            }
        return Patterns(by_layer, {**facts, "dead": dead})


def _check_units(layer: PatternLayer, pattern: NDArray[np.float64]) -> int:
    """Check that ``w' a = 1`` for every neuron that lives, and return how many do not."""
    along = (layer.split(layer.stored) * pattern).sum(axis=1)
    lives = pattern.any(axis=1)
    assert np.abs(along[lives] - 1).max(initial=0) < TOLERANCE, layer.node.name
    return int((~lives).sum())
