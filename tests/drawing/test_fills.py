"""Sheets of fills show the pixels and the scores of the filled images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain import SP, Blur, Colour, draw_fills, explain, from_callable
from onnxplain.core.data import Images, Scores
from onnxplain.drawing import fills
from onnxplain.plot.grid import Row
from tests.helpers.pictures import make_noise


def score(images: Images) -> Scores:
    red = images[..., 0].mean(axis=(1, 2))
    return np.stack([red, 1 - red], axis=1)


CLASSIFIER = from_callable(score, size=(24, 24), class_names=("red", "other"))
PHOTO = make_noise(24, 24)
LEFT = np.repeat([[1.0, 0.0]], 24, axis=0).repeat(12, axis=1)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The rows that are drawn."""
    seen: list[Row] = []
    draw = fills.draw_grid

    def keep(given: list[Row], side: int) -> Any:
        seen.extend(given)
        return draw(given, side)

    monkeypatch.setattr(fills, "draw_grid", keep)
    return seen


def test_holes_are_filled_and_scored(rows: list[Row]) -> None:
    orange = Colour(rgb=(1.0, 0.5, 0.0))
    masks = {"left": LEFT, "right": 1 - LEFT}
    draw_fills(CLASSIFIER, PHOTO, masks, [orange, "black", "telea"], "red", size=24)
    holes, painted, black, _ = rows
    assert [tile.title for tile in holes.tiles] == ["left", "right"]
    assert [tile.caption for tile in holes.tiles] == ["50% removed"] * 2
    assert (holes.tiles[0].picture[:, :12] == round(0.85 * 255)).all()
    assert (painted.tiles[0].picture[:, :12] == (255, 128, 0)).all()
    np.testing.assert_array_equal(painted.tiles[0].picture[:, 12:], PHOTO[:, 12:])
    assert (black.tiles[1].picture[:, 12:] == 0).all()
    for row in rows[1:]:
        for tile in row.tiles:
            shown = score(tile.picture[None] / np.float32(255))[0, 0]
            assert float(tile.caption.split()[1]) == pytest.approx(shown, abs=2e-3)


def test_the_highest_pixels_of_an_explanation_are_removed(rows: list[Row]) -> None:
    explanation = explain(CLASSIFIER, PHOTO, SP(patch=8, stride=8), target="other")
    draw_fills(CLASSIFIER, PHOTO, explanation, ["black"], size=24)
    assert [tile.title for tile in rows[0].tiles] == ["highest 5%", "highest 15%", "highest 30%"]
    hole = (rows[1].tiles[2].picture == 0).all(axis=2)
    inside, outside = explanation.heatmap[hole], explanation.heatmap[~hole]
    assert inside.min() >= outside.max()
    assert hole.mean() == pytest.approx(0.30, abs=0.002)


def test_masks_of_the_photo_are_brought_to_the_classifier(rows: list[Row]) -> None:
    mask = np.zeros((24, 48))
    mask[:, :24] = 1  # the classifier sees the middle half
    draw_fills(CLASSIFIER, make_noise(24, 48), {"left": mask}, ["black"], size=24)
    hole = (rows[1].tiles[0].picture == 0).all(axis=2)
    assert hole[:, :12].all()
    assert not hole[:, 13:].any()


def test_fills_of_one_name_are_told_apart_by_their_parameters(rows: list[Row]) -> None:
    draw_fills(CLASSIFIER, PHOTO, {"left": LEFT}, [Blur(sigma=2), Blur(sigma=9), "black"])
    assert [row.label for row in rows[1:]] == ["blur sigma=2", "blur sigma=9", "black"]


@pytest.mark.parametrize(
    ("masks", "given", "message"),
    [
        ({}, ["black"], "at least one mask and one fill"),
        ({"left": LEFT}, [], "at least one mask and one fill"),
        ({"odd": LEFT[:5]}, ["black"], r"the mask 'odd' has shape \(5, 24\)"),
        ({"odd": 2 * LEFT}, ["black"], r"the mask 'odd' has values outside \[0, 1\]"),
        ({"left": LEFT}, ["pink"], "fill 'pink'|no fill|unknown"),
    ],
)
def test_wrong_masks_and_fills_are_refused(masks: Any, given: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_fills(CLASSIFIER, PHOTO, masks, given)
