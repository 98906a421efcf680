"""What can stand in the way of a gradient."""

from __future__ import annotations

from onnxplain.errors import BY_SCORES, ModelError

ADVICE = f"{BY_SCORES}, or add a rule for the operator (entry point group onnxplain.gradient_rules)"


class GradientError(ModelError):
    """A model, or a node of it, that cannot be differentiated."""


class Refusal(Exception):
    """Raised by a rule that cannot differentiate this use of its operator, and says why."""
