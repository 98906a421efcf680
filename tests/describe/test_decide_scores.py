"""What the scores are fits their number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.resolve import resolve_spec
from tests.helpers import models
from tests.helpers.described import save_and_read


@pytest.mark.parametrize("head", ["logit", "probability"])
def test_head_of_one_number_is_refused_for_several(head: str, tmp_path: Path) -> None:
    model = save_and_read(models.additive(models.weights((4, 4))), tmp_path)
    with pytest.raises(ModelError, match=f"says head {head}, but the graph has 3 numbers per"):
        resolve_spec(model, {"range": (0, 1), "head": head})


@pytest.mark.parametrize(
    ("problem_type", "head"),
    [
        ("multi_label_classification", "sigmoid"),
        ("single_label_classification", "softmax"),
        ("regression", "logits"),
        (None, "logits"),
    ],
)
def test_problem_type_of_hugging_face_is_read(
    problem_type: str | None, head: str, tmp_path: Path
) -> None:
    model = save_and_read(models.additive(models.weights((4, 4))), tmp_path)
    config = {"problem_type": problem_type, "id2label": {"0": "a", "1": "b", "2": "c"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    spec = resolve_spec(model, {"range": (0, 1)})
    assert spec.head == head
    source = "config.json (problem_type)" if head != "logits" else "graph"
    assert spec.sources["head"] == source
    assert resolve_spec(model, {"range": (0, 1), "head": "logits"}).head == "logits"
