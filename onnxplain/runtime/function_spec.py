"""Describe a model of a framework, as files are described, and make a classifier of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import ModelError
from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.spec import Layout
from onnxplain.describe.fields import CLASSIFIER_FIELDS, SpecSource, parse_fields
from onnxplain.runtime.callable import CallableClassifier
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.network import Network, convert_to_array
from onnxplain.runtime.seen_head import settle_function_head

# Fields of a spec that a function leaves no choice in, or that have an argument of their own.
SETTLED = {"input", "output", "dtype", "output_scale", "size"}
# Fields that can only be checked against the scores.
OF_SCORES = ("class_names", "head", "labels")


def make_classifier(
    network: Network,
    *,
    name: str,
    size: int | tuple[int, int] | None,
    layout: Layout,
    batch_size: int,
    found: Sequence[SpecSource],
    description: Mapping[str, Any],
) -> CallableClassifier:
    """Describe a framework's model, try it, and make a classifier of it.

    Parameters
    ----------
    network : Network
        Runs the model on arrays in its layout.
    name : str
        Its name in results and error texts.
    size : int or (rows, columns), optional
        Size of its images; None if `found` says it.
    layout : {'nchw', 'nhwc'}
        The framework's usual order of axes.
    batch_size : int
        Largest number of images per call.
    found : sequence of SpecSource
        What the model says of itself, not parsed yet, the most specific first.
    description : mapping
        What the user says: fields of a spec, ``labels``, ``preprocessing``.

    Raises
    ------
    ModelError
        If the description is not complete, the model cannot be run, it draws at random, or
        its answers are not scores of classes.
    ValueError, TypeError
        If an argument is out of range or unknown.
    """
    from onnxplain.describe.interface import Interface
    from onnxplain.describe.resolve import resolve_function_spec
    from onnxplain.graph.batch_proof import make_probe_images

    fields = [field for field in CLASSIFIER_FIELDS if field not in SETTLED]
    for key in description:
        if key not in (*fields, "labels", "preprocessing"):
            known = ("size", "device", "batch_size", "preprocessing", *fields, "labels")
            raise TypeError(f"argument {describe_unknown(key, known)}")
    if isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    sources = [
        replace(source, values=parse_fields(CLASSIFIER_FIELDS, source.values)) for source in found
    ]
    arguments = {"size": size, **description}
    unknown = Interface(
        input="images",
        dtype="float32",
        dims=(None,) * 4,
        layout=layout,
        colour=None,
        output="scores",
        classes=2,  # until it is seen
        head=None,
        output_scale=(1.0, 0.0),
        is_unsigned=False,
    )
    inputs = {key: arguments[key] for key in arguments if key not in OF_SCORES}
    feeding = resolve_function_spec(name, unknown, _keep_inputs(sources), inputs)
    probes = ModelSpace.of(feeding).enter(make_probe_images(feeding.size))
    answers = _try(network, name, probes)
    seen = replace(unknown, classes=answers.shape[1])
    spec = resolve_function_spec(name, seen, sources, arguments)
    spec = settle_function_head(name, spec, answers)
    seen_in = {"graph": "model"}  # what a graph shows of a file
    spec = replace(
        spec, sources={key: seen_in.get(origin, origin) for key, origin in spec.sources.items()}
    )
    return CallableClassifier(network, spec, batch_size=batch_size, workers=1, name=name)


def _keep_inputs(sources: Sequence[SpecSource]) -> list[SpecSource]:
    """Return the sources without what they say of scores, which are not seen yet."""
    return [
        replace(
            source,
            values={key: value for key, value in source.values.items() if key not in OF_SCORES},
        )
        for source in sources
    ]


def _try(network: Network, name: str, probes: NDArray[np.float32]) -> NDArray[Any]:
    """Return a model's answers (N, K) to the probe images, after checking that it has them."""
    try:
        first, second = (convert_to_array(network.answer(probes.copy())) for _ in range(2))
    except ModelError:
        raise
    except Exception as error:  # of the framework
        raise ModelError(
            f"{name}: cannot be run on images {probes.shape}: {type(error).__name__}: {error}; "
            f"check size, layout and colour"
        ) from error
    if first.dtype.kind not in "fiu" or first.ndim < 2 or len(first) != len(probes):
        raise ModelError(
            f"{name}: scores are numbers (images, classes), got {first.dtype} of shape "
            f"{first.shape} for {len(probes)} images"
        )
    scale = max(float(np.abs(first).max(initial=0)), 1.0)
    if not np.allclose(first, second, rtol=0, atol=1e-2 * scale, equal_nan=True):
        raise ModelError(
            f"{name}: answers the same images differently in two calls, up to "
            f"{np.abs(first - second).max():.3g}: it draws at random, as dropout does; switch "
            f"that off"
        )
    return first.reshape(len(first), -1)
