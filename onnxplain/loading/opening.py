"""Load classifiers, inpainters and features."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from onnxplain import runtime
from onnxplain.core.data import Bytes3, Fit, Interpolation
from onnxplain.core.spec import ChannelOrder, Head, Layout
from onnxplain.loading.finding import DEFAULT_INPAINTER, DEFAULT_MODEL, ModelSource, find_source
from onnxplain.runtime import (
    DescribedClassifier,
    OnnxClassifier,
    OnnxFeatures,
    OnnxInpainter,
    describe_file,
)


def load(
    model: ModelSource = DEFAULT_MODEL,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    tf32: bool = False,
    preprocessing: str | None = None,
    layout: Layout | None = None,
    colour: ChannelOrder | None = None,
    range: tuple[float, float] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    size: int | tuple[int, int] | None = None,
    fit: Fit | None = None,
    resize: int | tuple[int, int] | None = None,
    crop: float | tuple[int, int] | None = None,
    interpolation: Interpolation | None = None,
    border: int | Bytes3 | None = None,
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
    model : path, str, bytes or onnx.ModelProto
        An ONNX file; a folder of Hugging Face, Optimum or timm with one (``model.onnx``,
        ``onnx/model.onnx``, or the only one); the content of a file; a model in memory; or a name
        listed by ``onnxplain zoo list``. A zoo model is built on first use. The default
        classifier of the zoo if not given.
    device : str
        ``auto`` (the default), ``cpu``, ``cuda`` or ``cuda:N``. It is an error if
        the device cannot be used; ``auto`` takes CUDA if there is a CUDA device.
    batch_size : int, optional
        Images per call, at least 1; measured once for each model and device if not given.
    tf32 : bool
        Whether a GPU may multiply with 10 bits of mantissa (TF32) where it computes scores:
        faster, but differences of scores below 1e-3 are then of no account. Gradients never do.
    preprocessing : str, optional
        How the model's framework normalises pixels: ``torchvision``, ``timm``,
        ``keras-tf``, ``keras-caffe``, ``keras-torch``, ``lite``, ``unit`` ([0, 1]) or ``bytes``
        (0 to 255). It stands for range, mean and std.
    layout : {'nchw', 'nhwc'}, optional
        Order of the input's axes; as in the graph if not given.
    colour : {'rgb', 'bgr', 'grey'}, optional
        The channels and their order; as in the graph if not given, else RGB.
    range : (low, high), optional
        The values that black and white get before `mean` and `std` are applied, such as
        ``(0, 255)``.
    mean, std : float or three of them, optional
        Subtracted from a channel, and its divisor (> 0), in units of `range`.
    size : int or (rows, columns), optional
        Size of the input, 1 to 4096 pixels; as in the graph if not given.
    fit : {'crop', 'stretch', 'pad', 'keep'}, optional
        How a photo is resized: its aspect kept, so that it covers the size (the default) or fits
        into it; squeezed; or not at all.
    resize : int or (rows, columns), optional
        To what a photo is resized: its shortest side (or what `fit` says) to this number of
        pixels, or both sides. Ahead of ``crop=224``, ``resize=256`` is torchvision's
        ``Resize(256)``, and ``resize=(256, 256)`` its ``Resize((256, 256))``.
    crop : int, (rows, columns) or float in (0, 1], optional
        Pixels that are kept of the resized photo's centre, which is the size of the input;
        or as a share: ``crop=0.875`` resizes to the size of the input divided by 0.875.
    interpolation : {'bilinear', 'bicubic', 'nearest', 'area', 'hamming', 'lanczos'}, optional
        Pillow's filters; ``bilinear`` if not given.
    border : (r, g, b), optional
        Colour, in 0 to 255, where the resized photo does not cover the input; black if not given.
    head : str, optional
        What the scores are; seen in the graph and its answers if not given. ``logits`` and
        ``probabilities`` are of classes that exclude each other, ``multilabel-logits`` and
        ``multilabel-probabilities`` of independent labels, ``logit`` and ``probability`` one
        number per image, of the second of two classes. ``softmax`` and ``sigmoid`` name the kind
        only.
    input, output : str, optional
        Names of the graph's image input and of its scores, where it has several.
    class_names : sequence of str, optional
        A name for every class; commas separate synonyms. If nothing names the classes, 1000 or
        1001 get the names of ImageNet (source ``built-in ImageNet names``), and others are
        numbered.
    labels : path, optional
        A file of class names, one per line or as JSON.
    allow_random : bool, optional
        Take a model that answers the same image differently each time, as with an active Dropout
        or a BatchNormalization in training mode. Otherwise that is an error.

    Returns
    -------
    classifier : OnnxClassifier
        Give it to `explain`; ``classifier.predict(photo)`` returns the most probable classes.

    Raises
    ------
    ModelError
        If the file cannot be read, is not a classifier, is not described well enough, or its
        answers are random.
    DeviceError
        If the device cannot be used.
    ZooError
        If a zoo model cannot be built.
    ValueError, TypeError
        If an argument is out of range, or the model is of no such kind.

    See Also
    --------
    onnxplain.core.spec.ModelSpec : The description that these arguments make.
    from_torch, from_keras, from_callable : Classifiers that are no ONNX files.

    Examples
    --------
    >>> import onnxplain
    >>> classifier = onnxplain.load("efficientnet-lite0")  # doctest: +SKIP
    >>> classifier.predict("examples/coffee.jpg", top=1)  # doctest: +SKIP
    [ClassScore(index=967, name='espresso', score=0.96...)]
    >>> classifier = onnxplain.load(
    ...     "resnet50.onnx", preprocessing="torchvision"
    ... )  # doctest: +SKIP
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
        "resize": resize,
        "crop": crop,
        "interpolation": interpolation,
        "border": border,
        "head": head,
        "input": input,
        "output": output,
        "class_names": class_names,
        "labels": labels,
        "allow_random": allow_random,
    }
    return describe(model, device=device, batch_size=batch_size, tf32=tf32, **flags).open()


def describe(
    model: ModelSource = DEFAULT_MODEL,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    tf32: bool = False,
    **flags: Any,
) -> DescribedClassifier:
    """Read a classifier as `load` does, and leave to its `open` what takes long.

    What the user asks can be compared with its classes in between.
    """
    return describe_file(
        find_source(model), device=device, batch_size=batch_size, tf32=tf32, flags=flags
    )


def load_inpainter(
    model: ModelSource = DEFAULT_INPAINTER,
    *,
    device: str = "auto",
    description: Mapping[str, Any] | None = None,
) -> OnnxInpainter:
    """Load an inpainter from an ONNX file, or from the zoo.

    Parameters
    ----------
    model : path, str, bytes or onnx.ModelProto
        An ONNX file, a folder with one, its content, or a name in the zoo.
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
    return runtime.load_inpainter(find_source(model), device=device, flags=description)


def load_features(
    model: ModelSource = DEFAULT_MODEL,
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
    return runtime.load_features(find_source(model), tensor, device=device, flags=description)
