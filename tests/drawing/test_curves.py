"""Curves are those of the metric, and their pictures what the classifier saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain import SP, draw_curves, explain, from_callable, metrics
from onnxplain.core.data import Images, Scores
from onnxplain.drawing import curves
from onnxplain.drawing.course import Course
from tests.helpers.pictures import make_noise

SIZE = (20, 20)


def score(images: Images) -> Scores:
    """Score how red the images are, a little curved."""
    red = images[..., 0].mean(axis=(1, 2)) ** 2
    return np.stack([red, 1 - red], axis=1)


CLASSIFIER = from_callable(score, size=SIZE, class_names=("red, reddish", "other"))


@pytest.fixture
def courses(monkeypatch: pytest.MonkeyPatch) -> list[Course]:
    """The courses that are drawn."""
    seen: list[Course] = []
    draw = curves.draw_course

    def keep(course: Course, size: int) -> Any:
        seen.append(course)
        return draw(course, size)

    monkeypatch.setattr(curves, "draw_course", keep)
    return seen


@pytest.mark.parametrize("fill", [None, "black", "gaussian-noise", "telea"])
def test_values_are_those_of_the_metric_and_pictures_have_the_scores_below_them(
    courses: list[Course], fill: str | None
) -> None:
    photo, heatmap = make_noise(*SIZE), np.random.default_rng(1).random(SIZE)
    draw_curves(CLASSIFIER, photo, heatmap, "red", fill=fill, size=20)
    for name, course in zip(("deletion", "insertion"), courses, strict=True):
        expected = metrics.judge(name, CLASSIFIER, photo, heatmap, "red", fill=fill)
        assert list(course.scores) == expected.details["curve"]
        assert list(course.shares) == expected.details["share"]
        assert course.title == f"{name} {expected.value:.3g}"
        wanted = (0, 0.1, 0.2, 0.4, 0.8)
        np.testing.assert_allclose([course.shares[i] for i in course.points], wanted, atol=0.5 / 26)
        for i, tile in zip(course.points, course.tiles, strict=True):
            # The picture has 8 bits; scores of what is shown are those of the curve.
            shown = score(tile.picture[None] / np.float32(255))[0, 0]
            assert shown == pytest.approx(course.scores[i], abs=2e-3)
            assert tile.caption == f"probability {course.scores[i]:.3g}"


def test_an_explanation_brings_its_target(courses: list[Course]) -> None:
    photo = make_noise(30, 50)
    explanation = explain(CLASSIFIER, photo, SP(patch=10, stride=10), target="other")
    picture = draw_curves(CLASSIFIER, photo, explanation, metrics=["deletion:step=100"], size=64)
    (course,) = courses
    assert course.subtitle.startswith("other · class 1")
    assert len(course.scores) == 5
    assert picture.width >= 4 * 64


def test_metrics_without_a_curve_are_refused() -> None:
    with pytest.raises(ValueError, match="only deletion and insertion have curves"):
        draw_curves(CLASSIFIER, make_noise(*SIZE), np.ones(SIZE), metrics=["pointing"])
