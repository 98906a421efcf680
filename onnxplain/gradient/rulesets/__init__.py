"""Rule tables: rules that replace the gradient's own in the backward walk, by name.

A table is a function ``make(ground, **options)`` that returns a `Walk`: the changed rules, notes
for the record of a result, and tensors through which nothing flows. A new table is a function in
a file of this folder, and a line in `TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from onnxplain.core.inside import RuleTable
from onnxplain.core.mistakes import describe_unknown
from onnxplain.gradient.rulesets.patterns import make_patterns
from onnxplain.gradient.rulesets.rectified import make_deconvnet, make_guided
from onnxplain.gradient.rulesets.relevance import make_relevance
from onnxplain.gradient.rulesets.walk import Ground, Walk

Table: TypeAlias = Callable[..., Walk]

TABLES: Mapping[str, Table] = {
    "deconvnet": make_deconvnet,
    "guided": make_guided,
    "patterns": make_patterns,
    "relevance": make_relevance,
}


def apply_table(table: RuleTable, ground: Ground) -> Walk:
    """Return the walk that a table makes.

    Parameters
    ----------
    table : RuleTable
        Its name and options.
    ground : Ground
        The graph, and the gradient's own rules.

    Raises
    ------
    ValueError
        If there is no such table.
    GradientError
        If the table does not apply to the graph.
    """
    if table.name not in TABLES:
        raise ValueError(f"rule table {describe_unknown(table.name, TABLES)}")
    return TABLES[table.name](ground, **dict(table.options))
