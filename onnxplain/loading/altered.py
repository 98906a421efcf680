"""Load classifiers whose graph was changed, for checks of explanations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from onnxplain.core.errors import ModelError
from onnxplain.loading.finding import DEFAULT_MODEL, ModelSource, read_classifier_file
from onnxplain.runtime import OnnxClassifier, open_classifier
from onnxplain.runtime.device import Device


def load_shifted(
    model: ModelSource = DEFAULT_MODEL,
    shift: float = 1.0,
    *,
    device: str = "auto",
    **description: Any,
) -> OnnxClassifier:
    """Load a classifier whose input is shifted by a constant, which its graph subtracts first.

    A ``Sub`` in front of the graph undoes the shift, so the shifted and the original classifier
    compute the same, whatever the padding, up to the rounding of the sum.

    Parameters
    ----------
    model : path or str
        As for `onnxplain.load`.
    shift : float
        The constant, in the units of the graph's input, after mean and standard deviation.
    device, **description
        As for `onnxplain.load`.

    Raises
    ------
    ModelError, DeviceError, ZooError
        If the model cannot be loaded, or its input is not floating-point.
    """
    from onnxplain.graph.load import load_weights
    from onnxplain.graph.surgery import prepend_subtraction

    file, spec = read_classifier_file(model, description)
    mean = tuple(m - shift * s for m, s in zip(spec.mean, spec.std, strict=True))
    shifted = file.changed(prepend_subtraction(load_weights(file), shift, input=spec.input))
    return open_classifier(shifted, replace(spec, mean=mean), device=Device.parse(device))


def load_randomised(
    model: ModelSource = DEFAULT_MODEL,
    *,
    every: int = 1,
    seed: int = 0,
    device: str = "auto",
    **description: Any,
) -> Iterator[OnnxClassifier]:
    """Load a classifier with more and more of its last layers randomised, up to all of them.

    Parameters
    ----------
    model : path or str
        As for `onnxplain.load`.
    every : int
        Number of further layers that each step randomises, the last ones first.
    seed : int
        Seed of the shuffling of the weights within each layer.
    device, **description
        As for `onnxplain.load`.

    Yields
    ------
    classifier : OnnxClassifier
        One at a time, so that only one is in memory.

    Raises
    ------
    ModelError, DeviceError, ZooError
        If the model cannot be loaded, or has no weights.
    ValueError
        If `every` is below 1.
    """
    from onnxplain.graph.load import load_weights
    from onnxplain.graph.surgery import list_weight_layers, randomise_layers

    if every < 1:
        raise ValueError(f"every must be >= 1, got {every}")
    file, spec = read_classifier_file(model, description)
    complete, wanted = load_weights(file), Device.parse(device)
    depth = len(list_weight_layers(complete))
    if not depth:
        raise ModelError(f"{file.path.name}: has no layer with weights to randomise")
    for n in [*range(every, depth, every), depth]:
        randomised = file.changed(randomise_layers(complete, n, seed=seed))
        yield open_classifier(randomised, spec, device=wanted)
