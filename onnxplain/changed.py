"""Changed copies of a classifier's file for sanity checks: shifted input, random weights.

They are what `onnxplain.metrics.input_invariance` and `onnxplain.metrics.randomisation`
compare with the classifier itself; the file is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from onnxplain.errors import ModelError
from onnxplain.loading import DEFAULT_MODEL, find_model
from onnxplain.runtime import OnnxClassifier, open_classifier
from onnxplain.runtime.device import Device

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and which not every use needs
    from onnxplain.graph.load import ModelFile
    from onnxplain.graph.spec import ModelSpec


def load_shifted(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    shift: float = 1.0,
    *,
    device: str = "auto",
    **description: Any,
) -> OnnxClassifier:
    """The classifier whose graph gets its input moved by a constant, and takes it off first.

    A ``Sub`` is put in front of the graph, so the two compute the same but for the rounding
    of the sum, whatever the padding.

    Parameters
    ----------
    model : path or str
        As for `onnxplain.load`.
    shift : float
        In the units that enter the graph, after mean and standard deviation.
    device, **description
        As for `onnxplain.load`.

    Raises
    ------
    ModelError, DeviceError, ZooError
        If it cannot be loaded, or does not take floating-point numbers.
    """
    from onnxplain.graph.load import with_weights
    from onnxplain.graph.surgery import prepend_sub

    file, spec = _read(model, description)
    mean = tuple(m - shift * s for m, s in zip(spec.mean, spec.std, strict=True))
    moved = file.changed(prepend_sub(with_weights(file), shift, input=spec.input))
    return open_classifier(moved, replace(spec, mean=mean), device=Device.parse(device))


def load_randomised(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    every: int = 1,
    seed: int = 0,
    device: str = "auto",
    **description: Any,
) -> Iterator[OnnxClassifier]:
    """The classifier with ever more of its last layers randomised, until all of them are.

    Parameters
    ----------
    model : path or str
        As for `onnxplain.load`.
    every : int
        Layers that are randomised at a step, the last ones first.
    seed : int
        Decides the order in which a layer's weights are put.
    device, **description
        As for `onnxplain.load`.

    Yields
    ------
    classifier : OnnxClassifier
        One at a time, so that only one is in memory.

    Raises
    ------
    ModelError, DeviceError, ZooError
        If it cannot be loaded, or has no weights.
    ValueError
        If `every` is below 1.
    """
    from onnxplain.graph.load import with_weights
    from onnxplain.graph.surgery import randomise_layers, weight_layers

    if every < 1:
        raise ValueError(f"every must be >= 1, got {every}")
    file, spec = _read(model, description)
    whole, wanted = with_weights(file), Device.parse(device)
    depth = len(weight_layers(whole))
    if not depth:
        raise ModelError(f"{file.path.name}: has no layer with weights that could be randomised")
    for n in [*range(every, depth, every), depth]:
        broken = file.changed(randomise_layers(whole, n, seed=seed))
        yield open_classifier(broken, spec, device=wanted)


def _read(
    model: str | os.PathLike[str], description: dict[str, Any]
) -> tuple[ModelFile, ModelSpec]:
    """A classifier's file, and what it is."""
    from onnxplain.graph.load import read_model
    from onnxplain.graph.resolve import resolve_spec

    file = read_model(find_model(model))
    return file, resolve_spec(file, description)
