"""What a classifier's scores are, by the operators before them."""

from __future__ import annotations

from collections.abc import Mapping

from onnxplain.core.spec import Head
from onnxplain.describe.score_tail import arithmetic, functions, selection
from onnxplain.describe.score_tail.tail import Reader, Tail
from onnxplain.describe.score_tail.values import Values
from onnxplain.graph.load import ModelFile

READERS: Mapping[str, Reader] = {
    **functions.READERS,
    **arithmetic.READERS,
    **selection.READERS,
}


def read_tail(model: ModelFile, output: str, classes: int | None) -> Values | None:
    """Return what is known of a graph's scores."""
    return Tail(model, classes, READERS).read(output)


def find_head(model: ModelFile, output: str, classes: int | None) -> Head | None:
    """Return what the scores are, or None if the graph's tail does not tell.

    Probabilities may have a factor, as percentages have: `find_factor` returns it.
    """
    values = read_tail(model, output, classes)
    if values is None:
        return None
    if values.are_probabilities:
        if classes == 1:
            return "probability"
        return "multilabel-probabilities" if values.kind == "labels" else "probabilities"
    return "logits" if values.are_logits and classes != 1 else None


def find_factor(model: ModelFile, output: str, classes: int | None) -> float:
    """Return what makes probabilities of the scores, if they are that up to a factor; else 1."""
    values = read_tail(model, output, classes)
    if values is None or not values.are_probabilities or values.have_no_factor:
        return 1.0
    return 1 / values.total
