"""A function is described by its arguments, and an error says which of them is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from onnxplain.core.errors import ModelError
from onnxplain.runtime.plain_function import from_callable
from tests.helpers import models
from tests.helpers.specs import SIZE

W = models.weights(SIZE)


def score_linearly(images: Any) -> Any:
    return models.additive_scores(W, images)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "class_names, or n_classes"),
        ({"n_classes": 1}, "two classes or more, got 1; .* return 1 - p and p"),
        ({"n_classes": 2, "class_names": ("a",)}, "n_classes is 2, but class_names has 1"),
        ({"n_classes": 2, "batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"n_classes": 2, "workers": 0}, "workers must be >= 1, got 0"),
        ({"n_classes": 2, "size": (0, 4)}, "rows of size must be >= 1, got 0"),
        (
            {"n_classes": 2, "outputs": "scores"},
            "outputs is one of 'logits', .*'multilabel-probabil",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_callable(score_linearly, **{"size": SIZE, **options})


def test_arguments_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError, match="function must be callable, got str"):
        from_callable("model.onnx", size=SIZE, n_classes=3)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeError, match=r"size is \(rows, columns\), got 224"):
        from_callable(score_linearly, size=224, n_classes=3)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeError, match=r"batch_size takes an integer, got 2\.5"):
        from_callable(score_linearly, size=SIZE, n_classes=3, batch_size=2.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"rows of size takes an integer, got 32\.0"):
        from_callable(score_linearly, size=(32.0, 32), n_classes=3)  # type: ignore[arg-type]


def test_a_function_has_no_gradients_and_says_what_to_do() -> None:
    classifier = from_callable(score_linearly, size=SIZE, n_classes=3, name="mine")
    with pytest.raises(ModelError, match=r"mine: a function has no gradient.*gradient="):
        classifier.gradients()


def test_a_thousand_classes_get_the_names_of_imagenet_and_say_so() -> None:
    classifier = from_callable(score_linearly, size=SIZE, n_classes=1001)
    assert classifier.class_names[:2] == ("background", "tench, Tinca tinca")
    sources = classifier.provenance["preprocessing"]["sources"]
    assert sources == {"class_names": "built-in ImageNet names"}
