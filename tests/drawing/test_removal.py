"""The order of removal: cells at their places, and the method's own probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain import MP2, draw_removal, explain, from_callable
from onnxplain.core.data import Box, Images, Scores
from onnxplain.drawing import removal
from onnxplain.drawing.course import Course
from onnxplain.drawing.removal import locate_cells
from onnxplain.results import Explanation, load_explanation
from tests.helpers.explanations import make_explanation


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    """MP2 of a classifier that looks at the left half, the more the further left."""
    weights = np.linspace(1, 0, 16, dtype=np.float32)

    def score(images: Images) -> Scores:
        seen = (images.mean(axis=(1, 3)) * weights).sum(axis=1) / weights.sum()
        return np.stack([0.05 + 0.9 * seen, 0.95 - 0.9 * seen], axis=1)

    classifier = from_callable(score, size=(16, 16), class_names=("bright left", "dark left"))
    photo = np.full((160, 160, 3), 255, np.uint8)
    method = MP2(grid=4, gain="difference", sweep="full", cells_per_step=1)
    return explain(classifier, photo, method, target=0, fill="black")


def test_the_strip_shows_how_many_cells_are_gone_and_the_probability_then(
    explanation: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    courses: list[Course] = []
    draw = removal.draw_course

    def keep(course: Course, *rest: Any) -> Any:
        courses.append(course)
        return draw(course, *rest)

    monkeypatch.setattr(removal, "draw_course", keep)
    picture = np.asarray(draw_removal(explanation, 128))
    (course,) = courses
    trajectory = dict(explanation.details["trajectory"])
    counts = [int(tile.title.split()[0]) for tile in course.tiles]
    assert counts[0] == 0
    assert counts[-1] == len(explanation.order)
    for n, tile in zip(counts, course.tiles, strict=True):
        assert tile.caption == f"probability {trajectory[n]:.3g}"
        gone = (tile.picture < 255).any(axis=2).mean()  # hatched, of a white photo
        assert gone == pytest.approx(n / 16, abs=1e-9)
    assert picture.shape[1] >= 5 * 128


def test_the_order_has_the_colours_of_the_steps(explanation: Explanation) -> None:
    large = removal._Cells.bring(explanation, 160)
    colours = large.colour().astype(int)
    brightness = [
        colours[40 * (cell // 4) + 3, 40 * (cell % 4) + 3].sum() for cell in explanation.order
    ]
    assert brightness == sorted(brightness, reverse=True)
    assert brightness[0] > brightness[-1] + 100


def test_a_saved_explanation_is_drawn_alike(explanation: Explanation, tmp_path: Path) -> None:
    saved = explanation.save(tmp_path / "x.npz").heatmap
    again = np.asarray(draw_removal(load_explanation(saved)))
    np.testing.assert_array_equal(again, np.asarray(draw_removal(explanation)))


def test_pixels_lie_in_the_cells_of_the_window() -> None:
    cells = locate_cells((2, 3), Box(10, 30, 30, 60), (40, 90), (40, 90))
    rows, columns = np.indices((40, 90))
    for row, column, cell in zip(rows.flat, columns.flat, cells.flat, strict=True):
        inside = 10 <= row < 30 and 30 <= column < 60
        assert cell == ((row - 10) // 10 * 3 + (column - 30) // 10 if inside else -1)


def test_a_window_beyond_the_photo_is_cut_off() -> None:
    cells = locate_cells((2, 2), Box(-10, 0, 10, 20), (20, 20), (20, 20))
    assert set(cells.ravel().tolist()) == {-1, 2, 3}


def test_methods_without_an_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"coffee\.jpg: sp removed no cells one after another"):
        draw_removal(make_explanation())
