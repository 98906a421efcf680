"""Queries, and how methods begin."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from onnxplain.core.data import Attribution, Case, make_rng
from onnxplain.core.flow import (
    ByGradient,
    FillQuery,
    Flow,
    ImageQuery,
    MaskQuery,
    advise_scores_alone,
    start_flow,
)
from onnxplain.masks.families import ArrayMasks
from onnxplain.methods import FIDO, MP, MP2, RISE


class Drawing:
    """Returns what it draws, without a query."""

    name: ClassVar[str] = "drawing"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "black"

    def evaluations(self, size: tuple[int, int]) -> int:
        return 0

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        return Attribution(rng.random(case.size, np.float32))
        yield


def test_draws_of_a_flow_follow_from_seed_image_and_method() -> None:
    case = Case("cat.jpg", np.zeros((4, 6, 3), np.float32), 0)
    with pytest.raises(StopIteration) as stop:
        next(start_flow(Drawing(), case, 5))
    expected = make_rng(5, "cat.jpg", "drawing").random((4, 6), np.float32)
    np.testing.assert_array_equal(stop.value.value.heatmap, expected)


@pytest.mark.parametrize("query_class", [MaskQuery, FillQuery])
def test_length_of_a_mask_query_is_the_number_of_masks(query_class: type) -> None:
    assert len(query_class(ArrayMasks(np.zeros((3, 4, 6), np.float32)))) == 3


def test_length_of_an_image_query_is_the_number_of_images() -> None:
    assert len(ImageQuery(np.zeros((5, 4, 6, 3), np.float32))) == 5


def test_advice_names_the_parameter_of_each_method_that_uses_gradients() -> None:
    assert advise_scores_alone(MP2()) == "explain it with scores alone: mp2 with gain=difference"
    assert advise_scores_alone(MP(), RISE(), FIDO()) == (
        "explain it with scores alone: fido with estimator=score-function, mp with estimator=spsa"
    )


def test_method_without_gradients_needs_no_advice() -> None:
    assert advise_scores_alone(RISE()) == ""


@pytest.mark.parametrize("cls", [MP, MP2, FIDO])
def test_advised_parameter_avoids_gradients(cls: type[ByGradient]) -> None:
    name, value = cls.without_gradients.split("=")
    assert not cls(**{name: value}).wants_gradients
