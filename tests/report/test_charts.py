"""Charts place lines and ticks where their values are."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.report.charts import Curve, lay_out_chart


def test_points_and_ticks_are_on_one_scale():
    shares, scores = np.linspace(0, 1, 5), np.array([0.9, 0.6, 0.65, 0.1, 0.0])
    chart = lay_out_chart("Deletion", [Curve("sp", shares.tolist(), scores.tolist(), 9)], "away")
    (line,) = chart.lines
    points = np.array([point.split(",") for point in line.points.split()], float)
    x = (points[:, 0] - chart.left) / (chart.right - chart.left)
    y = (chart.bottom - points[:, 1]) / (chart.bottom - chart.top)
    np.testing.assert_allclose(x, shares, atol=1e-3)
    np.testing.assert_allclose(y, scores, atol=1e-3)
    for tick in chart.y_ticks:
        height = (chart.bottom - tick.place) / (chart.bottom - chart.top)
        assert float(tick.text) == pytest.approx(height, abs=1e-3)
    assert [tick.text for tick in chart.x_ticks] == ["0", "0.5", "1"]
    assert line.colour == 1  # there are eight
    assert chart.alt == "sp from 0.9 to 0"


def test_short_walks_and_low_scores_fill_the_chart():
    lines = [Curve("mp2", (0.0, 0.05), (0.02, 0.001), 0), Curve("x", (0.0, 0.02), (0.01, -0.01), 1)]
    chart = lay_out_chart("Removal", lines, "away")
    assert chart.reach == 0.05
    points = np.array(
        [point.split(",") for line in chart.lines for point in line.points.split()], float
    )
    assert points[:, 0].max() == chart.right
    assert chart.top < points[:, 1].min() < chart.top + 0.1 * (chart.bottom - chart.top)
    assert points[:, 1].max() == chart.bottom


def test_chart_without_height_is_drawn():
    chart = lay_out_chart("Flat", [Curve("sp", (0.0,), (0.0,), 0)], "back")
    assert chart.lines[0].points == f"{chart.left},{chart.bottom}"
    assert lay_out_chart("None", [], "back").lines == ()
