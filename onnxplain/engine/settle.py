"""Deciding what a method left open: whether it goes by gradients."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from onnxplain.core.errors import ModelError
from onnxplain.core.flow import ByGradient, Method
from onnxplain.core.protocols import Classifier, Differentiable

log = logging.getLogger(__name__)


def settle_method(method: Method, classifier: Classifier) -> tuple[Method, Differentiable | None]:
    """Decide what a method left open: by gradients, where it likes them and there are any.

    Raises
    ------
    ModelError
        If there are none and the method cannot do without.
    """
    (settled,), gradients = settle_methods([method], classifier)
    return settled, gradients


def settle_methods(
    methods: Sequence[Method], classifier: Classifier
) -> tuple[list[Method], Differentiable | None]:
    """Settle methods that explain one classifier; its gradients are made once."""
    wanting = [one for one in methods if isinstance(one, ByGradient) and one.wants_gradients]
    gradients = None
    if wanting:
        try:
            gradients = classifier.gradients()
        except ModelError as error:
            if any(method.needs_gradients for method in wanting):
                raise
            names = sorted({method.name for method in wanting})
            log.info("%s: without gradients: %s", ", ".join(names), error)
    settled = [
        one.settled(gradients=gradients is not None) if isinstance(one, ByGradient) else one
        for one in methods
    ]
    return settled, gradients
