"""Composites: which rule each layer of weights gets.

What a rule does stands in `onnxplain.gradient.rulesets.spreading`. The composites and their names
are those in common use [1]_.

References
----------
.. [1] Kohlbrenner et al., Towards best practice in explaining neural network decisions with LRP,
   IJCNN 2020, :arXiv:`1910.09840`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from onnxplain.core.data import ScoreKind
from onnxplain.core.inside import RuleTable, Tensors

Composite: TypeAlias = Literal[
    "epsilon",
    "gamma",
    "epsilon-plus",
    "epsilon-plus-flat",
    "epsilon-alpha2-beta1",
    "epsilon-alpha2-beta1-flat",
    "epsilon-gamma-box",
]

COMPOSITES: Mapping[Composite, Mapping[str, Any]] = {
    "epsilon": {"conv": "epsilon", "dense": "epsilon"},
    "gamma": {"conv": "gamma", "dense": "gamma"},
    "epsilon-plus": {"conv": "zplus", "dense": "epsilon"},
    "epsilon-plus-flat": {"first": "flat", "conv": "zplus", "dense": "epsilon"},
    "epsilon-alpha2-beta1": {"conv": "alpha-beta", "dense": "epsilon"},
    "epsilon-alpha2-beta1-flat": {"first": "flat", "conv": "alpha-beta", "dense": "epsilon"},
    "epsilon-gamma-box": {"first": "zbox", "conv": "gamma", "dense": "epsilon"},
}


def make_relevance_wants(score: ScoreKind, options: Mapping[str, Any]) -> Tensors:
    """Make the wish for the relevance of the image's values under some rules."""
    table = RuleTable("relevance", tuple(sorted(options.items())), yields="relevance")
    return Tensors(image=True, score=score, rules=table)
