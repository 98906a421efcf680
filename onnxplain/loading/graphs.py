"""What is made of a classifier's graph: its layers, gradients and explainers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from onnxplain.core.data import Layer, ScoreKind
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import Method
from onnxplain.core.protocols import Fill
from onnxplain.loading.finding import DEFAULT_MODEL, ModelSource, read_classifier_file
from onnxplain.registry import choose_method_and_fill


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
    finder = LayerFinder.of(file.proto, spec)
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
