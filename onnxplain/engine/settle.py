"""Decide whether methods use gradients, where this is open, and make their defaults fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import ByGradient, BySize, Method, advise_scores_alone
from onnxplain.core.params import get_values
from onnxplain.core.protocols import Classifier, Differentiable

log = logging.getLogger(__name__)


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
    """Make defaults smaller that do not fit images of a size, and say so.

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

    Raises
    ------
    ModelError
        If the classifier has no gradients and a method needs them.
    """
    wanting = [
        method for method in methods if isinstance(method, ByGradient) and method.wants_gradients
    ]
    gradients = None
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
        for method in methods
    ]
    return settled, gradients
