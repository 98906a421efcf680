"""Decide whether methods use gradients, find their layers, and make their defaults fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import (
    ByGradient,
    ByLayer,
    BySize,
    Method,
    WhiteBox,
    advise_scores_alone,
)
from onnxplain.core.inside import ATTENTION, Layered
from onnxplain.core.params import build, get_values
from onnxplain.core.pattern_files import PatternsError
from onnxplain.core.protocols import Classifier, Differentiable
from onnxplain.registry import get_methods

log = logging.getLogger(__name__)

NOT_LAYERED = (
    "looks inside the classifier, and this one has no layers that can be seen; load an ONNX file "
    "with onnxplain.load, or choose a method of scores alone, such as rise"
)


def settle_method(method: Method, classifier: Classifier) -> tuple[Method, Differentiable | None]:
    """Let a method that wants gradients use them if the classifier has any.

    Raises
    ------
    ModelError
        If the classifier has no gradients and the method needs them.
    """
    (settled,), gradients = settle_methods([method], classifier)
    return settled, gradients


def fit_methods(methods: Sequence[Method], size: Size) -> list[Method]:
    """Shrink the defaults that do not fit images of a size, and say so.

    What somebody set, and what fits, stays as it is.
    """
    fitted = [method.fitted(size) if isinstance(method, BySize) else method for method in methods]
    for before, after in zip(methods, fitted, strict=True):
        own, others = get_values(before), get_values(after)
        for name in (name for name in own if own[name] != others[name]):
            log.warning(
                "%s: %s is %s, as its default of %s does not fit images of %s x %s pixels",
                *(before.name, name, others[name], own[name], *size),
            )
    return fitted


def settle_methods(
    methods: Sequence[Method], classifier: Classifier
) -> tuple[list[Method], Differentiable | None]:
    """Settle methods that explain the same classifier; make its gradients once.

    Methods that look at layers get theirs, and what white-box methods want is made ready.

    Raises
    ------
    ModelError
        If the classifier has no gradients or layers and a method needs them.
    """
    placed = [_find_layers(method, classifier) for method in methods]
    gradients = _prepare_inside(placed, classifier)
    wanting = [
        method for method in placed if isinstance(method, ByGradient) and method.wants_gradients
    ]
    if wanting:
        try:
            gradients = classifier.gradients()
        except ModelError as error:
            needing = [method for method in wanting if method.needs_gradients]
            if needing:
                raise type(error)(f"{error}; {advise_scores_alone(*needing)}") from error
            names = sorted({method.name for method in wanting})
            log.info("%s: running without gradients: %s", ", ".join(names), error)
    settled = [
        method.settled(gradients=gradients is not None)
        if isinstance(method, ByGradient)
        else method
        for method in placed
    ]
    return settled, gradients


def _find_layers(method: Method, classifier: Classifier) -> Method:
    """Return a method with its layers found, if it looks at any."""
    if not isinstance(method, ByLayer) or not method.layer:
        return method
    if not isinstance(classifier, Layered):
        raise ModelError(f"{method.name} {NOT_LAYERED}")
    try:
        layers = classifier.find_layers(method.layer)
    except ModelError as error:
        if type(error) is ModelError:  # what was asked for is wrong, and not the model
            raise
        raise type(error)(f"{method.name}: {error}; {advise_without_gradients()}") from error
    placed = method.at(layers)
    count = placed.evaluations(classifier.size)
    if count != method.evaluations(classifier.size):  # before a run that may be long
        log.info("%s: %d evaluations per image, by the layer's channels", method.name, count)
    return placed


def _prepare_inside(methods: Sequence[Method], classifier: Classifier) -> Differentiable | None:
    """Make ready what white-box methods want; return the gradients by the image alone."""
    gradients = None
    for method in methods:
        if not isinstance(method, WhiteBox):
            continue
        wants = method.wants
        if not isinstance(classifier, Layered) and not wants.is_plain_gradient:
            raise ModelError(f"{method.name} {NOT_LAYERED}")
        try:
            if isinstance(classifier, Layered):
                classifier.prepare_inside(wants)
            else:
                gradients = classifier.gradients()
        except ModelError as error:
            is_advised = wants.differentiates and not isinstance(error, PatternsError)
            advice = f"; {advise_without_gradients()}" if is_advised else ""
            raise type(error)(f"{method.name}: {error}{advice}") from error
    return gradients


def looks_at_attention(method: Method) -> bool:
    """Return whether a method is for transformers alone, as it looks at attention."""
    return isinstance(method, ByLayer) and method.layer == ATTENTION


def advise_without_gradients() -> str:
    """Return advice on methods that run where there are no gradients."""
    known = {name: build(cls, {}) for name, cls in get_methods().items()}
    inner = [
        name
        for name, method in known.items()
        if isinstance(method, WhiteBox)
        and method.wants.avoids_gradients
        and not looks_at_attention(method)  # most models have none
    ]
    outer = [name for name, method in known.items() if not isinstance(method, WhiteBox)]
    return f"methods that need no gradients: {', '.join((*inner, *outer))}"
