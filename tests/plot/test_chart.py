"""Charts draw each point of a curve where its axes say."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.plot.chart import BELOW, LINE, draw_chart, place_axes
from onnxplain.plot.text import PAPER

SIZE, FONT = (220, 400), 14.0


@pytest.mark.parametrize("scores", [[0.9, 0.5, 0.5, 0.1], [0.004, 0.003, 0.002, 0.0]])
def test_the_line_goes_through_every_point(scores: list[float]) -> None:
    shares = [0.0, 0.25, 0.5, 1.0]
    chart = draw_chart(shares, scores, SIZE, font_size=FONT, across="share", up="score")
    axes = place_axes(shares, scores, SIZE, FONT)
    for i in (1, 2):
        column, row = axes.place(shares[i], scores[i])
        near = chart[round(row) - 1 : round(row) + 2, round(column)].astype(int)
        assert np.abs(near - LINE).sum(axis=1).min() < 60
    column, row = axes.place(0.375, (scores[1] + scores[2]) / 2)
    assert (chart[round(row) + 6, round(column)] == BELOW).all()
    assert (chart[round(row) - 6, round(column)] == PAPER).all()


def test_probabilities_go_to_one_and_small_ones_to_less() -> None:
    tall = place_axes([0, 1], [0.6, 0.1], SIZE, FONT)
    small = place_axes([0, 1], [0.01, 0.0], SIZE, FONT)
    assert (tall.low, tall.high) == (0, 1)
    assert small.high == pytest.approx(0.011)
    assert place_axes([0, 1], [-0.2, 0.1], SIZE, FONT).low == -0.2


def test_a_mark_is_a_dot_with_a_white_middle() -> None:
    shares, scores = [0.0, 0.5, 1.0], [0.9, 0.5, 0.1]
    plain = draw_chart(shares, scores, SIZE, font_size=FONT, across="", up="")
    marked = draw_chart(shares, scores, SIZE, font_size=FONT, across="", up="", marks=[1])
    column, row = map(round, place_axes(shares, scores, SIZE, FONT).place(0.5, 0.5))
    assert (marked[row, column] == PAPER).all()
    changed = np.argwhere((plain != marked).any(axis=2))
    assert np.abs(changed - (row, column)).max() <= 5


@pytest.mark.parametrize("scores", [[0.0, 0.0], [1.0, 1.0], [1e-30, 0.0], [1e30, -1e30]])
def test_constant_and_extreme_curves_are_drawn(scores: list[float]) -> None:
    chart = draw_chart([0.0, 1.0], scores, SIZE, font_size=FONT, across="share", up="score")
    assert chart.shape == (*SIZE, 3)
