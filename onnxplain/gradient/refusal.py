"""Errors of models that cannot be differentiated."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from onnxplain.core.errors import ModelError

ADVICE = "add a rule for the operator (entry point group onnxplain.gradient_rules)"


class GradientError(ModelError):
    """A model, or a node of it, cannot be differentiated."""


class Refusal(Exception):
    """A rule cannot differentiate this use of its operator, for the reason in its text."""


def check_names_are_free(taken: AbstractSet[str], names: Iterable[str]) -> None:
    """Check that a model has no tensor named like an input or output of the gradient graph.

    Raises
    ------
    GradientError
        If a name is taken; the message gives it.
    """
    for name in names:
        if name in taken:
            raise GradientError(
                f"the model has a tensor named {name!r}, which the gradient graph needs for "
                "itself; rename it in the model"
            )
