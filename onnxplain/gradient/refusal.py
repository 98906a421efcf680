"""What can stand in the way of a gradient."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from onnxplain.core.errors import ModelError

ADVICE = "add a rule for the operator (entry point group onnxplain.gradient_rules)"


class GradientError(ModelError):
    """A model, or a node of it, that cannot be differentiated."""


def check_free(taken: AbstractSet[str], names: Iterable[str]) -> None:
    """Refuse a model whose tensors have names by which users know those of a gradient graph.

    Raises
    ------
    GradientError
        Naming one that is taken.
    """
    for name in names:
        if name in taken:
            raise GradientError(
                f"the model has a tensor named {name!r}, which the gradient graph needs for "
                "itself; rename it in the model"
            )


class Refusal(Exception):
    """Raised by a rule that cannot differentiate this use of its operator, and says why."""
