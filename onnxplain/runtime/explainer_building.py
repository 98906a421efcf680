"""The explainer of a classifier file: the map of a method as one graph."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import make_rng
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import NO_FILL, ByLayer, Closed, Method, NotClosed, WhiteBox
from onnxplain.core.params import build, get_values
from onnxplain.core.spec import ModelSpec
from onnxplain.fills.constant import PLAIN
from onnxplain.gradient import GradientError
from onnxplain.gradient.explainer import Sight, build_explainer
from onnxplain.graph.load import ModelFile
from onnxplain.registry import Choice, get_methods
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.gradient import ModelInside
from onnxplain.runtime.gradient_building import build_batched_gradient
from onnxplain.runtime.reader import GAIN_POWERS
from onnxplain.version import __version__

ASKS_AGAIN = "it asks the model again and again"


def build_explainer_model(file: ModelFile, spec: ModelSpec, choice: Choice) -> bytes:
    """Build the graph of a method's map, as the content of an ONNX file.

    Parameters
    ----------
    file : ModelFile
        The classifier.
    spec : ModelSpec
        How to feed it and read its output.
    choice : Choice
        The method, and its fill.

    Returns
    -------
    model : bytes
        Inputs: the model's own, and ``target`` (N,) of int64. Outputs: the model's own, and
        ``heatmap`` (N, H, W).

    Raises
    ------
    ValueError
        If the method's map is no formula, or its fill looks at the image.
    ModelError
        If the model has no such layer or gradient, or takes one image only and the method
        looks at several.
    """
    form = check_is_closed(choice.method).closed_form
    baseline = _make_baseline(spec, choice)
    method = choice.method
    if isinstance(method, ByLayer):
        inside = ModelInside(file, spec, Device("cpu"), batch_size=1)
        method = method.at(inside.find_layers(method.layer))
    assert isinstance(method, WhiteBox)
    wants = method.wants
    tensors = tuple(layer.tensor for layer in wants.layers)
    content, rows = build_batched_gradient(
        file,
        spec,
        kind=wants.score,
        layers=tensors if wants.gradients else (),
        reads=() if wants.gradients else tensors,
        image=wants.image,
        rules=wants.rules,
    )
    if rows is not None and len(form.path) > 1:
        raise ModelError(
            f"{file.path.name} takes no other batch than {rows}, and {method.name} looks at "
            f"{len(form.path)} points for each image; export the model with a dynamic batch"
        )
    space = ModelSpace.of(spec)
    power = GAIN_POWERS[wants.rules.yields] if wants.rules else 1
    sight = Sight(
        form,
        spec.input,
        spec.output,
        spec.size,
        layers=wants.layers,
        layout=spec.layout,
        is_grey=spec.colour == "grey",
        gain=tuple(gain**power for gain in space.gain),
        baseline=baseline,
    )
    facts = {
        "version": __version__,
        "method": choice.method_name,
        "parameters": get_values(choice.method),
        "fill": choice.fill_name,
        "fill_parameters": get_values(choice.fill),
    }
    try:
        return build_explainer(content, sight, json.dumps(facts))
    except GradientError as error:
        raise GradientError(f"{file.path.name}: {error}") from error


def check_is_closed(method: Method) -> Closed:
    """Return a method whose map is a formula.

    Raises
    ------
    ValueError
        If it is another one; the message lists those that are.
    """
    if not isinstance(method, Closed):
        known = [n for n, cls in get_methods().items() if isinstance(build(cls, {}), Closed)]
        why = method.no_formula if isinstance(method, NotClosed) else ASKS_AGAIN
        raise ValueError(  # noqa: TRY004
            f"{method.name} cannot be exported: {why}, and a graph holds one fixed formula; "
            f"these can be: {', '.join(sorted(known))}"
        )
    if method.closed_form.refusal:
        raise ValueError(f"{method.name} cannot be exported: {method.closed_form.refusal}")
    return method


def _make_baseline(spec: ModelSpec, choice: Choice) -> NDArray[Any] | None:
    """Return the fill as images enter the model; None for methods that have none."""
    if choice.fill_name == NO_FILL:
        return None
    if not isinstance(choice.fill, PLAIN):
        names = ", ".join(cls.name for cls in PLAIN)
        raise ValueError(  # noqa: TRY004
            f"{choice.method_name} cannot be exported with the fill {choice.fill_name}, which "
            f"depends on the image; fills of one colour can be: {names}"
        )
    picture = choice.fill.prepare(np.zeros((*spec.size, 3), np.float32), make_rng(0))
    return ModelSpace.of(spec).enter_as_real(picture[None])
