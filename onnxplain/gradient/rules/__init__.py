"""One rule for each operator, grouped by family.

A rule takes the tape, the forward node and the names of the gradients of its outputs (None
where there is none), and returns the names of the gradients of its inputs. A rule set is a
mapping from operator to rule, so that one is changed by ``{**RULES, "Relu": guided}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from onnxplain.gradient.rules import (
    activation,
    arithmetic,
    convolution,
    indexing,
    layout,
    linear,
    pooling,
    reduction,
    resize,
)
from onnxplain.gradient.rules import norms as normalisation
from onnxplain.gradient.tape import Rule

RULES_GROUP = "onnxplain.gradient_rules"

RULES: Mapping[str, Rule] = MappingProxyType(
    activation.RULES
    | arithmetic.RULES
    | convolution.RULES
    | indexing.RULES
    | layout.RULES
    | linear.RULES
    | normalisation.RULES
    | pooling.RULES
    | reduction.RULES
    | resize.RULES
)

# Operators that carry no gradient: what depends on the image through them alone is taken
# as constant.
FLAT = frozenset(
    {
        "And",
        "ArgMax",
        "ArgMin",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Ceil",
        "Constant",
        "ConstantOfShape",
        "Equal",
        "EyeLike",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "IsInf",
        "IsNaN",
        "Less",
        "LessOrEqual",
        "NonZero",
        "Not",
        "OneHot",
        "Or",
        "RandomNormalLike",
        "RandomUniformLike",
        "Range",
        "Round",
        "Shape",
        "Sign",
        "Size",
        "Xor",
    }
)


def load_installed_rules(found: Mapping[str, EntryPoint] | None = None) -> Mapping[str, Rule]:
    """The project's rules and those that installed packages add or put in their place.

    Parameters
    ----------
    found : mapping of EntryPoint, optional
        By operator; those of the group ``onnxplain.gradient_rules`` if not given. The name
        of an entry point is the operator, as ``Conv`` or ``domain::Name``.
    """
    if found is None:
        found = {one.name: one for one in entry_points(group=RULES_GROUP)}
    return {**RULES, **{operator: one.load() for operator, one in found.items()}}
