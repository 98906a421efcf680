"""Load models given by their path or by their name in the zoo."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnxplain import runtime
from onnxplain.core.data import Fit, Image, Interpolation, ScoreKind
from onnxplain.core.errors import ModelError
from onnxplain.core.params import describe_unknown
from onnxplain.core.spec import ChannelOrder, Head, Layout, ModelSpec
from onnxplain.runtime import (
    OnnxClassifier,
    OnnxFeatures,
    OnnxInpainter,
    load_classifier,
    open_classifier,
)
from onnxplain.runtime.device import Device
from onnxplain.runtime.seen_head import settle_head
from onnxplain.subjects import classify, fit_to_classifier

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and is not always needed
    from onnxplain.graph.load import ModelFile

DEFAULT_MODEL = "efficientnet-lite0"
DEFAULT_INPAINTER = "inpainter"


def load(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    preprocessing: str | None = None,
    layout: Layout | None = None,
    colour: ChannelOrder | None = None,
    range: tuple[float, float] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    size: int | tuple[int, int] | None = None,
    fit: Fit | None = None,
    crop: float | None = None,
    interpolation: Interpolation | None = None,
    head: Head | None = None,
    input: str | None = None,
    output: str | None = None,
    class_names: Sequence[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    allow_random: bool | None = None,
) -> OnnxClassifier:
    """Load a classifier from an ONNX file, or from the zoo.

    What the file and the files beside it do not say can be given here; values given here win.
    ``onnxplain inspect`` shows what is known about a model, and from where.

    Parameters
    ----------
    model : path or str
        An ONNX file, or a name listed by ``onnxplain zoo list``. A zoo model is built on first
        use.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``tensorrt``. It is an error if the device
        cannot be used; ``auto`` takes CUDA if there is a CUDA device.
    batch_size : int, optional
        Images per call; measured once for each model and device if not given.
    preprocessing : str, optional
        How the model's framework normalises pixels: ``torchvision``, ``timm``,
        ``keras-tf``, ``keras-caffe``, ``keras-torch``, ``lite``, ``unit`` or ``bytes``.
    layout, colour, range, mean, std, size, fit, crop, interpolation, head, input, output
        Fields of `onnxplain.core.spec.ModelSpec`.
    class_names : sequence of str, optional
        A name for every class.
    labels : path, optional
        A file of class names, one per line or as JSON.
    allow_random : bool, optional
        Take a model that answers the same image differently each time, as with an active Dropout
        or a BatchNormalization in training mode. Otherwise that is an error.

    Returns
    -------
    classifier : OnnxClassifier

    Raises
    ------
    ModelError
        If the file cannot be read, is not a classifier, is not described well enough, or its
        answers are random.
    DeviceError
        If the device cannot be used.
    ZooError
        If a zoo model cannot be built.
    ValueError
        If an argument is out of range.
    """
    flags = {
        "preprocessing": preprocessing,
        "layout": layout,
        "colour": colour,
        "range": range,
        "mean": mean,
        "std": std,
        "size": size,
        "fit": fit,
        "crop": crop,
        "interpolation": interpolation,
        "head": head,
        "input": input,
        "output": output,
        "class_names": class_names,
        "labels": labels,
        "allow_random": allow_random,
    }
    return load_classifier(find_model(model), device=device, batch_size=batch_size, flags=flags)


def load_inpainter(
    model: str | os.PathLike[str] = DEFAULT_INPAINTER,
    *,
    device: str = "auto",
    description: Mapping[str, Any] | None = None,
) -> OnnxInpainter:
    """Load an inpainter from an ONNX file, or from the zoo.

    Parameters
    ----------
    model : path or str
        An ONNX file, or a name in the zoo.
    device : str
        As for `load`.
    description : mapping, optional
        What the file and the table ``[inpainter]`` of the TOML file beside it do not say:
        fields of `onnxplain.describe.inpainter.inpainter_spec.InpainterSpec`, and ``preset``,
        such as ``{"preset": "lama", "output_range": (0, 1)}``. Values given here win.

    Raises
    ------
    InpainterError
        If the file is not an inpainter, or its graph or behaviour contradicts the description.
    ModelError, DeviceError, ZooError
        If the model cannot be loaded.
    ValueError, TypeError
        If the description has a wrong name or value.
    """
    return runtime.load_inpainter(find_model(model), device=device, flags=description)


def load_features(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    tensor: str | None = None,
    *,
    device: str = "auto",
    **description: Any,
) -> OnnxFeatures:
    """Load a tensor inside a classifier as a function of images.

    Parameters
    ----------
    model : path or str
        As for `load`.
    tensor : str, optional
        Name of the tensor, as a viewer of ONNX files shows it; the input of the last layer with
        weights if not given.
    device : str
        As for `load`.
    **description
        What the model's file does not say, as for `load`.

    Returns
    -------
    features : OnnxFeatures
        A function of images (N, H, W, 3) in [0, 1] that returns their features (N, D).

    Raises
    ------
    ModelError, DeviceError, ZooError
        If the model cannot be loaded, or has no such tensor.
    """
    return runtime.load_features(find_model(model), tensor, device=device, flags=description)


def load_shifted(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
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

    file, spec = _read_classifier(model, description)
    mean = tuple(m - shift * s for m, s in zip(spec.mean, spec.std, strict=True))
    shifted = file.changed(prepend_subtraction(load_weights(file), shift, input=spec.input))
    return open_classifier(shifted, replace(spec, mean=mean), device=Device.parse(device))


def load_randomised(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
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
    file, spec = _read_classifier(model, description)
    complete, wanted = load_weights(file), Device.parse(device)
    depth = len(list_weight_layers(complete))
    if not depth:
        raise ModelError(f"{file.path.name}: has no layer with weights to randomise")
    for n in [*range(every, depth, every), depth]:
        randomised = file.changed(randomise_layers(complete, n, seed=seed))
        yield open_classifier(randomised, spec, device=wanted)


def gradient_graph(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    score: ScoreKind = "probability",
    layers: Sequence[str] = (),
    mask: int | None = None,
    **description: Any,
) -> bytes:
    """Build an ONNX graph of standard operators that returns the gradient of a classifier.

    Parameters
    ----------
    model : path or str
        As for `load`.
    score : {'probability', 'logit', 'log-odds'}
        Which score of the target is differentiated.
    layers : sequence of str
        Inner tensors to output, with their gradients.
    mask : int, optional
        Cells per side of a mask. If given, the gradient is with respect to the mask, not the
        image.
    **description
        What the model's file does not say, as for `load`.

    Returns
    -------
    content : bytes
        Content of an ONNX file. Its inputs are the model's own and ``target`` (N,) of int64;
        its outputs are the model's own, ``target_score`` (N,), and ``d_score/d_NAME`` for the
        image and every layer. With `mask` it has two more inputs: ``fill``, in the format of
        the image, and ``mask`` (N, cells, cells) in [0, 1], where 1 removes. The mask is
        enlarged bilinearly; image and fill have N rows or one.

    Raises
    ------
    ModelError, ZooError
        If the model cannot be read, is not described well enough, or has no gradient. In the
        last case the message names the node that prevents it.
    ValueError
        If the mask has no cells, or more per side than the image has pixels.
    """
    from onnxplain.runtime.gradient_building import build_gradient_model

    file, spec = _read_classifier(model, description)
    return build_gradient_model(file, spec, kind=score, layers=tuple(layers), mask=mask)


def find_model(model: str | os.PathLike[str]) -> Path:
    """Find the file of a model given by its path or by its name in the zoo.

    Raises
    ------
    ModelError, ZooError
        If there is no such file or zoo model, or the zoo model cannot be built.
    """
    path = Path(model)
    try:
        if path.exists():
            return path
    except OSError as error:  # a folder that cannot be entered, a name that is too long
        raise ModelError(f"{path}: cannot be opened: {error.strerror or error}") from error
    from onnxplain import zoo  # it imports onnx, which takes 0.2 s

    names = [model.name for model in zoo.list_models()]
    if str(model) in names:
        return zoo.build_model(str(model), score=score_photo)
    if path.suffix or len(path.parts) > 1:
        raise ModelError(f"{path}: no such file; check the path")
    raise ModelError(
        f"neither a file nor a zoo model: {describe_unknown(str(model), names)}; or give the path "
        f"of an ONNX file"
    )


def is_inpainter(path: Path) -> bool:
    """Return whether a file is described as an inpainter, or its graph returns a picture.

    Raises
    ------
    ModelError, InpainterError
        If the file or its description cannot be read.
    """
    from onnxplain.describe.inpainter import resolve_inpainter
    from onnxplain.graph.load import read_model

    return resolve_inpainter.is_inpainter(read_model(path))


def score_photo(path: Path, photo: Image) -> NDArray[np.float32]:
    """Return the probabilities (K,) that the classifier in a file gives a photo (H, W, 3)."""
    classifier = load_classifier(path, device="cpu", batch_size=1)
    _, image = fit_to_classifier(classifier, photo)
    return classify(classifier, image).astype(np.float32)


def _read_classifier(
    model: str | os.PathLike[str], description: dict[str, Any]
) -> tuple[ModelFile, ModelSpec]:
    """Read a classifier's file and resolve its description."""
    from onnxplain.describe.resolve import resolve_spec
    from onnxplain.graph.adapting import adapt_classifier
    from onnxplain.graph.load import read_model

    file = adapt_classifier(read_model(find_model(model)))
    return file, settle_head(file, resolve_spec(file, description))
