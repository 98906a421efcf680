"""Decide whether methods use gradients, where their parameters leave this open."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from onnxplain.core.errors import ModelError
from onnxplain.core.flow import ByGradient, Method, advise_scores_alone
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
