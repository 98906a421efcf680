"""One rule per operator, grouped by family.

A rule takes the tape, the forward node and the names of the gradients of its outputs (None
where there is none), and returns the names of the gradients of its inputs. A rule set is a
mapping from operator to rule, so that ``{**RULES, "Relu": guided}`` replaces a rule.
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
    norms,
    pooling,
    reduction,
    resize,
)
from onnxplain.gradient.tape import Rule

RULES_GROUP = "onnxplain.gradient_rules"

RULES: Mapping[str, Rule] = MappingProxyType(
    activation.RULES
    | arithmetic.RULES
    | convolution.RULES
    | indexing.RULES
    | layout.RULES
    | linear.RULES
    | norms.RULES
    | pooling.RULES
    | reduction.RULES
    | resize.RULES
)

# Operators that carry no gradient: tensors that depend on the image only through them count
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


def load_installed_rules(entries: Mapping[str, EntryPoint] | None = None) -> Mapping[str, Rule]:
    """Return the project's rules with those that installed packages add or replace.

    Parameters
    ----------
    entries : mapping of EntryPoint, optional
        Entry points by operator; those of the group ``onnxplain.gradient_rules`` if not given.
        The name of an entry point is the operator, such as ``Conv`` or ``domain::Name``.

    Returns
    -------
    rules : mapping of Rule
        The rules by operator.
    """
    if entries is None:
        entries = {entry.name: entry for entry in entry_points(group=RULES_GROUP)}
    return {**RULES, **{operator: entry.load() for operator, entry in entries.items()}}
