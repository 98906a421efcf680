"""Decide what a classifier's scores are."""

from __future__ import annotations

from collections.abc import Mapping

from onnxplain.core.spec import Head
from onnxplain.describe.decisions import Decisions

UNSEEN = "default"  # source of a guess about the scores that their values have to confirm
# The heads of one number per image, in place of those of several.
SINGLE_HEADS: Mapping[Head, Head] = {
    "logits": "logit",
    "multilabel-logits": "logit",
    "probabilities": "probability",
    "multilabel-probabilities": "probability",
}


def decide_scores(decisions: Decisions) -> None:
    """Decide what the scores are; where nothing tells, the answers will have to show it.

    Raises
    ------
    ModelError
        If a source gives a head that the number of scores contradicts.
    """
    unknown = decisions.facts.head is None and decisions.facts.classes != 1
    decisions.take(
        "head", "logits" if unknown else decisions.facts.head, UNSEEN if unknown else "graph"
    )
    if "head" in decisions.values:
        _fit_head(decisions, decisions.values["head"])
    scale = decisions.facts.output_scale
    guess = 1 / 256, 0.0 if decisions.facts.is_unsigned else -128.0  # as TFLite's probabilities
    decisions.take("output_scale", scale or guess, "graph" if scale else UNSEEN)


def _fit_head(decisions: Decisions, head: Head) -> None:
    """Bring the head to the number of scores per image, if that is known."""
    classes, source = decisions.facts.classes, decisions.origins["head"]
    if classes == 1:
        if head == "softmax":
            decisions.contradict("head", head, source, "one number per image")
        decisions.values["head"] = SINGLE_HEADS.get(head, head)
    elif classes is not None and head in ("logit", "probability"):
        decisions.contradict("head", head, source, f"{classes} numbers per image")
