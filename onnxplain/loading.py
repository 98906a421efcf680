"""Load models given by their path or by their name in the zoo."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain import runtime
from onnxplain.core.data import Bytes3, Fit, Image, Interpolation, Layer, ScoreKind
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import Method
from onnxplain.core.params import describe_unknown
from onnxplain.core.protocols import Fill
from onnxplain.core.spec import ChannelOrder, Head, Layout, ModelSpec
from onnxplain.registry import choose_method_and_fill
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


class SerialisableModel(Protocol):
    """A model in memory, such as an `onnx.ModelProto`."""

    def SerializeToString(self) -> bytes:  # the name that onnx gives it
        """Return the content of its file."""
        ...


# A path or a name in the zoo; a folder with a model; the content of a file; a model in memory.
ModelSource: TypeAlias = str | os.PathLike[str] | bytes | SerialisableModel

DEFAULT_MODEL = "efficientnet-lite0"
DEFAULT_INPAINTER = "inpainter"
# Files of weights that are no ONNX, for error texts.
WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".h5", ".keras", ".tflite", ".msgpack"}


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
    return load_classifier(
        _find_source(model), device=device, batch_size=batch_size, tf32=tf32, flags=flags
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
    return runtime.load_inpainter(_find_source(model), device=device, flags=description)


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
    return runtime.load_features(_find_source(model), tensor, device=device, flags=description)


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


class ListedLayer(NamedTuple):
    """A layer, the operator that makes it, and the names that choose it besides its own."""

    layer: Layer
    producer: str
    names: tuple[str, ...]


def list_layers(
    model: str | os.PathLike[str] = DEFAULT_MODEL, **description: Any
) -> list[ListedLayer]:
    """List the layers of a classifier that methods such as Grad-CAM can look at.

    Parameters
    ----------
    model : path or str
        As for `load`.
    **description
        What the model's file does not say, as for `load`.

    Returns
    -------
    layers : list of ListedLayer
        The tensors with a grid of positions through which alone the scores depend on the image,
        in order, and the default layer, if it is another.

    Raises
    ------
    ModelError, ZooError
        If the model cannot be read, is not described well enough, or has no layers.
    """
    from onnxplain.gradient.layers import LayerFinder

    file, spec = read_classifier_file(model, description)
    finder = LayerFinder(
        file.proto,
        input=spec.input,
        output=spec.output,
        size=spec.size,
        n_classes=len(spec.class_names),
        channels_last=spec.layout == "nhwc",
    )
    try:
        return [ListedLayer(*entry) for entry in finder.list_named()]
    except ModelError as error:
        raise ModelError(f"{file.path.name}: {error}") from error


def gradient_graph(
    model: ModelSource = DEFAULT_MODEL,
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
    score : {'probability', 'logit', 'log-odds', 'raw', 'contrast'}
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

    file, spec = read_classifier_file(model, description)
    return build_gradient_model(file, spec, kind=score, layers=tuple(layers), mask=mask)


def export_explainer(
    model: ModelSource = DEFAULT_MODEL,
    method: Method | str = "grad-cam",
    *,
    fill: Fill | str | None = None,
    **description: Any,
) -> bytes:
    """Build an ONNX graph of standard operators that scores images and explains the scores.

    It needs neither onnxplain nor a framework, and gives the heatmaps of `explain`.

    Parameters
    ----------
    model : path or str
        As for `load`.
    method : Method or str
        A method whose map is a formula of one look at the model, or its name, perhaps with
        parameters: gradients, class activation maps, ``'ig:n_points=32,tolerance=0'``.
    fill : Fill or str, optional
        What `ig` and `input-x-gradient` compare the image with: a fill of one colour; that of
        the method's paper if not given.
    **description
        What the model's file does not say, as for `load`.

    Returns
    -------
    content : bytes
        Content of an ONNX file. Its inputs are the model's own and ``target`` (N,) of int64, a
        class for each image; its outputs are the model's own and ``heatmap`` (N, H, W). Images
        enter as the model takes them.

    Raises
    ------
    ValueError, TypeError
        If there is no such method or fill, the method draws at random or depends on the image in
        another way than by a formula, or the fill looks at the image.
    ModelError, ZooError
        If the model cannot be read, is not described well enough, or has no such layer or
        gradient.

    See Also
    --------
    gradient_graph : Returns the gradient alone.

    Notes
    -----
    Heatmaps are those of `explain` to about 1e-6 of their largest value. Those of `ig` differ by
    more where a rectifier switches on the path: points that are rounded in another way moved
    single pixels of EfficientNet-Lite0 by up to 1e-2, and a step of one unit in the last place of
    the pixels moves the map of `explain` itself by 5e-3. `ig` runs one image more than it has
    points, all in one batch.
    """
    from onnxplain.runtime.explainer_building import build_explainer_model, check_is_closed

    choice = choose_method_and_fill(method, fill)
    check_is_closed(choice.method)  # before the model is read
    file, spec = read_classifier_file(model, description)
    return build_explainer_model(file, spec, choice)


def find_model(model: str | os.PathLike[str]) -> Path:
    """Find the file of a model given by its path, its folder, or its name in the zoo.

    Raises
    ------
    ModelError, ZooError
        If there is no such file or zoo model, the folder does not hold one model, or the zoo
        model cannot be built.
    """
    path = Path(model)
    try:
        if path.is_dir():
            return _find_in_folder(path)
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


def _find_in_folder(folder: Path) -> Path:
    """Find the model in a folder as Hugging Face, Optimum and timm lay it out.

    That is ``model.onnx``, else ``onnx/model.onnx``, else the only ONNX file in either place.
    """
    for usual in (folder / "model.onnx", folder / "onnx" / "model.onnx"):
        if usual.is_file():
            return usual
    found = sorted([*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")])
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(path.relative_to(folder).as_posix() for path in found)
        raise ModelError(f"{folder}: holds several ONNX files; give the path of one: {listed}")
    weights = sorted(path.name for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES)
    hint = f" but {', '.join(weights[:5])}: export that model to ONNX, or" if weights else ";"
    raise ModelError(f"{folder}: holds no ONNX file{hint} give the path of an ONNX file")


def _find_source(model: ModelSource) -> Path | bytes:
    """Find the file of a model, or return its content where there is no file."""
    if isinstance(model, str | os.PathLike):
        return find_model(model)
    if isinstance(model, bytes):
        return model
    if not hasattr(model, "SerializeToString"):
        raise TypeError(
            f"a model is a path, a name in the zoo, the bytes of an ONNX file, or an "
            f"onnx.ModelProto, got {type(model).__name__}; for a module of PyTorch use "
            f"onnxplain.from_torch, for a model of Keras onnxplain.from_keras"
        )
    try:
        return model.SerializeToString()
    except Exception as error:  # protobuf's own, for more than 2 GB
        raise ModelError(
            f"the ModelProto cannot be written to bytes: {error}; save it as a file with external "
            f"data, and give its path"
        ) from error


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


def read_classifier_file(
    model: ModelSource, description: dict[str, Any]
) -> tuple[ModelFile, ModelSpec]:
    """Read a classifier's file and resolve its description."""
    from onnxplain.describe.resolve import resolve_spec
    from onnxplain.graph.adapting import read_classifier

    file = read_classifier(_find_source(model))
    return file, settle_head(file, resolve_spec(file, description))
