"""Rule tables: rules that replace the gradient's own in the backward walk, by name.

A table is a function ``make(rules, region, **options)`` that returns the changed rules and
notes for the record of a result. It sees the graph between the image and the score, after
folding, so that it can tell an activation from a gate. A new table is a function in a file of
this folder, and a line in `TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from onnxplain.core.inside import RuleTable
from onnxplain.core.params import describe_unknown
from onnxplain.gradient.cuts import Region
from onnxplain.gradient.rulesets.rectified import make_deconvnet, make_guided
from onnxplain.gradient.tape import Rule

Rules: TypeAlias = Mapping[str, Rule]
Notes: TypeAlias = dict[str, Any]
Table: TypeAlias = Callable[..., tuple[Rules, Notes]]

TABLES: Mapping[str, Table] = {"deconvnet": make_deconvnet, "guided": make_guided}


def apply_table(table: RuleTable, rules: Rules, region: Region) -> tuple[Rules, Notes]:
    """Return the rules that a table makes of the gradient's own, and its notes.

    Parameters
    ----------
    table : RuleTable
        Its name and options.
    rules : mapping of Rule
        The gradient's own.
    region : Region
        The graph between the image and the score.

    Raises
    ------
    ValueError
        If there is no such table.
    GradientError
        If the table does not apply to the graph.
    """
    if table.name not in TABLES:
        raise ValueError(f"rule table {describe_unknown(table.name, TABLES)}")
    return TABLES[table.name](rules, region, **dict(table.options))
