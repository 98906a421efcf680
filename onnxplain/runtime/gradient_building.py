"""The gradient graph of a classifier file, with any batch it can take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import ScoreKind
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import RuleTable
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient import (
    FILL,
    MASK,
    CoarseMask,
    GradientError,
    GradientRequest,
    build_gradient,
)
from onnxplain.gradient.stepping import build_stepped_gradient
from onnxplain.graph.batch_proof import read_fixed_batch
from onnxplain.graph.load import ModelFile, load_weights
from onnxplain.runtime.batch_support import find_batch_support
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.measure import RuntimeMeasure

# Two batch sizes other than 1, to see which dimensions grow with the batch.
PROBES = (2, 3)


def build_gradient_model(
    file: ModelFile,
    spec: ModelSpec,
    *,
    kind: ScoreKind = "probability",
    layers: tuple[str, ...] = (),
    mask: int | None = None,
) -> bytes:
    """Build the gradient graph of a classifier, as the content of an ONNX file.

    Parameters
    ----------
    file : ModelFile
        The classifier.
    spec : ModelSpec
        Its input, its output, and what the output holds.
    kind : {'probability', 'logit', 'log-odds', 'raw', 'contrast'}
        Which score of the target is differentiated.
    layers : tuple of str
        Inner tensors to output with their gradients.
    mask : int, optional
        Cells per side, from 1 to the shorter side of the image, of a mask that composes the
        image with a fill. The gradient is then by the mask instead of by the image.

    Returns
    -------
    model : bytes
        Inputs: the model's own, and ``target`` (N,) of int64; with `mask` also ``fill``, of the
        image's shape and in the model's space, and ``mask`` (N, cells, cells) in [0, 1], where
        1 removes; image and fill have N rows or one. Outputs: the model's own,
        ``target_score`` (N,), ``d_score/d_NAME`` for the image or the mask, and each layer.

    Raises
    ------
    ValueError
        If the mask has no cell, or more cells per side than the image has pixels.
    GradientError
        If the model cannot be differentiated.
    """
    return build_batched_gradient(file, spec, kind=kind, layers=layers, mask=mask)[0]


def build_batched_gradient(
    file: ModelFile,
    spec: ModelSpec,
    *,
    kind: ScoreKind,
    layers: tuple[str, ...] = (),
    mask: int | None = None,
    image: bool = True,
    reads: tuple[str, ...] = (),
    rules: RuleTable | None = None,
    slopes: bool = False,
    rate: float = 0.0,
) -> tuple[bytes, int | None]:
    """Build the gradient graph as `build_gradient_model`, and find out which batch it takes.

    Parameters
    ----------
    file, spec, kind, layers, mask
        As for `build_gradient_model`.
    image, reads, rules, slopes
        As in `onnxplain.gradient.GradientRequest`.
    rate : float
        Of a step that weights take first (see `onnxplain.gradient.stepping`); 0 for none. The
        graph then takes one image.

    Returns
    -------
    model : bytes
        The content of an ONNX file.
    fixed : int or None
        The only batch size that it takes; None if it takes any.
    """
    if mask is not None and not 1 <= mask <= min(spec.size):
        raise ValueError(f"a mask has 1 to {min(spec.size)} cells per side, got {mask}")
    coarse = None if mask is None else CoarseMask(mask, spec.layout, spec.size)
    request = GradientRequest(
        spec.input,
        spec.output,
        head=spec.head,
        scale=spec.output_scale,
        kind=kind,
        tensors=layers,
        mask=coarse,
        image=image,
        reads=reads,
        rules=rules,
        slopes=slopes,
        bounds=_make_bounds(spec) if rules else None,
    )
    try:
        model = load_weights(file)
    except ModelError as error:
        raise GradientError(str(error)) from error

    def build(*batch_sizes: int) -> bytes:
        examples = [_make_example(spec, n, coarse) for n in batch_sizes]
        try:
            if rate:
                (one,) = examples
                built = build_stepped_gradient(model, request, RuntimeMeasure(), one, rate)
            else:
                built = build_gradient(model, request, RuntimeMeasure(), examples)
        except GradientError as error:
            raise GradientError(f"{file.path.name}: {error}") from error
        content: bytes = built.SerializeToString()
        return content

    declared = read_fixed_batch(file.proto, spec.input)
    if rate:
        if declared not in (None, 1):
            raise GradientError(
                f"{file.path.name} takes {declared} images per call, and a step of its weights is "
                f"made for one image; export the model with a dynamic batch"
            )
        return build(1), 1
    if declared is not None:
        return build(declared), declared
    if _takes_single_images(file, spec):
        return build(1), 1
    return build(*PROBES), None


def _takes_single_images(file: ModelFile, spec: ModelSpec) -> bool:
    """Whether a model takes one image per call, though it declares a dynamic batch."""
    try:
        return find_batch_support(file, spec).fixed == 1
    except ModelError:  # it does not run at all: the error of building says more
        return False


def _make_bounds(spec: ModelSpec) -> tuple[NDArray[Any], NDArray[Any]]:
    """Make a black and a white image as they enter the model."""
    space, black = ModelSpace.of(spec), np.zeros((1, *spec.size, 3), np.float32)
    return space.enter_as_real(black), space.enter_as_real(black + 1)


def _make_example(spec: ModelSpec, rows: int, mask: CoarseMask | None) -> dict[str, NDArray[Any]]:
    """Make random inputs of a gradient graph, with `rows` rows."""
    space, rng = ModelSpace.of(spec), np.random.default_rng(0)
    images = space.enter_as_real(rng.random((rows, *spec.size, 3), np.float32))
    if mask is None:
        return {spec.input: images}
    cells = rng.random((rows, mask.cells, mask.cells), np.float32).astype(images.dtype)
    return {spec.input: images[:1], FILL: 1 - images[:1], MASK: cells}
