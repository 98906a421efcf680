"""How images were classified: correctly, wrongly, or not at all, counted from a study's rows."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from onnxplain.study.naming import SETTINGS, make_namer
from onnxplain.study.rows import Row

_MODEL = ("model", *SETTINGS["model"])  # the fields that tell classifiers apart


class Counts(NamedTuple):
    """Numbers of images, one per image and class; those without a label are counted apart."""

    right: int
    wrong: int
    failed: int
    unlabelled: int

    def __str__(self) -> str:
        text = (
            f"images classified correctly: {self.right}, wrongly: {self.wrong}, "
            f"failed: {self.failed}"
        )
        if not self.unlabelled:
            return text
        return f"{text}; without a label, explained for the predicted class: {self.unlabelled}"


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What the rows of images say, by classifier; rows are added one at a time.

    The last row of an image and class counts, unless it is the failure of one that was also
    read: that row is of a file that was damaged then.
    """

    _models: dict[str, Row] = field(default_factory=dict)
    _found: dict[str, dict[tuple[str, str], str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, row: Row) -> None:
        """Add the row of an image."""
        model = _identify(row)
        self._models.setdefault(model, {name: row.get(name) for name in _MODEL})
        is_labelled = row.get("labelled", True)
        image = str(row.get("image")), str(row.get("target") if is_labelled else None)
        status = str(row["status"])
        if status != "error" or image not in self._found[model]:
            self._found[model][image] = status if is_labelled or status == "error" else "unlabelled"

    def count(self, model: Mapping[str, Any]) -> Counts:
        """Count the images of the classifier that a row, or a part of one, names."""
        found = Counter(self._found.get(_identify(model), {}).values())
        return Counts(found["done"], found["wrong"], found["error"], found["unlabelled"])

    def count_by_name(self) -> dict[str, Counts]:
        """Count the images of each classifier, in the order of the rows."""
        models = list(self._models.values())
        name = make_namer(models, ("model",))
        return {name(model, "model"): self.count(model) for model in models}


def _identify(row: Mapping[str, Any]) -> str:
    return json.dumps([row.get(name) for name in _MODEL])
