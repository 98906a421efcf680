"""A curve with its axes, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw

from onnxplain.core.data import Size
from onnxplain.plot.layout import make_paper
from onnxplain.plot.text import (
    FAINT,
    INK,
    PAPER,
    Colour,
    Picture,
    choose_ticks,
    format_value,
    load_font,
)

LINE: Colour = (31, 90, 166)
BELOW: Colour = (222, 232, 245)  # the area under the line
RULE: Colour = (226, 226, 230)
N_TICKS = 6
FINE = 3  # lines are drawn this much larger, and shrunk


@dataclass(frozen=True)
class Axes:
    """Where the values of a curve stand on a chart.

    Parameters
    ----------
    size : (rows, columns)
        Of the chart.
    top, left, bottom, right : int
        Pixels around the field in which the curve is drawn.
    end : float
        Value at the right; 0 is at the left.
    low, high : float
        Values at the bottom and the top.
    """

    size: Size
    top: int
    left: int
    bottom: int
    right: int
    end: float
    low: float
    high: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the column and the row of a point, in pixels."""
        rows, columns = self.size
        width, height = columns - self.left - self.right - 1, rows - self.top - self.bottom - 1
        across, up = x / self.end, (y - self.low) / (self.high - self.low)
        return self.left + across * width, self.top + (1 - up) * height


def place_axes(shares: Sequence[float], scores: Sequence[float], size: Size, font: float) -> Axes:
    """Choose the range of both axes: the scores from 0 to 1, or to less if all are small."""
    high, low = max(scores), min(0.0, *scores)
    if high <= 0.5:
        high = max(high * 1.1, 1e-9)
    high = 1.0 if 0.5 < high <= 1 else high
    margins = int(font * 2), int(font * 3.2), int(font * 3.2), int(font * 1.6)
    return Axes(size, *margins, max(shares) or 1.0, low, high)


def draw_chart(
    shares: Sequence[float],
    scores: Sequence[float],
    size: Size,
    *,
    font_size: float,
    across: str,
    up: str,
    marks: Iterable[int] = (),
) -> Picture:
    """Draw a curve of scores over shares, with the area below it.

    Parameters
    ----------
    shares, scores : sequence of float
        The points, of which there are two at least; shares rise from 0, and are written as
        percentages.
    size : (rows, columns)
        Of the chart.
    font_size : float
        Height of the numbers in pixels.
    across, up : str
        What the axes say.
    marks : iterable of int
        Indices of points that get a dot.
    """
    axes = place_axes(shares, scores, size, font_size)
    points = [axes.place(x, y) for x, y in zip(shares, scores, strict=True)]
    canvas = _draw_curve(axes, points, [points[i] for i in marks])
    draw = PIL.ImageDraw.Draw(canvas)
    font = load_font(font_size)
    for tick in choose_ticks(0.0, axes.end, N_TICKS):
        x, bottom = axes.place(tick, axes.low)
        draw.line([(x, bottom), (x, bottom + font_size * 0.3)], INK)
        draw.text((x, bottom + font_size * 0.4), f"{tick * 100:.3g}%", INK, font, "ma")
    for tick in choose_ticks(axes.low, axes.high, N_TICKS):
        left, y = axes.place(0.0, tick)
        text = format_value(tick, axes.high - axes.low)
        draw.text((left - font_size * 0.4, y), text, INK, font, "rm")
    left, bottom = axes.place(0.0, axes.low)
    draw.text((left, bottom + font_size * 1.8), across, FAINT, font, "la")
    draw.text((0, 0), up, FAINT, font, "la")
    return np.asarray(canvas)


def _draw_curve(
    axes: Axes, points: Sequence[tuple[float, float]], dots: Sequence[tuple[float, float]]
) -> PIL.Image.Image:
    """Draw rules, area, line and dots, without text."""
    rows, columns = axes.size
    canvas = PIL.Image.fromarray(make_paper(rows * FINE, columns * FINE))
    draw = PIL.ImageDraw.Draw(canvas)

    def enlarge(point: tuple[float, float]) -> tuple[float, float]:
        return (point[0] + 0.5) * FINE, (point[1] + 0.5) * FINE

    line = [enlarge(point) for point in points]
    ground = [enlarge(axes.place(x, max(axes.low, 0.0))) for x in (axes.end, 0.0)]
    right = (line[-1][0], ground[0][1])
    draw.polygon([*line, right, ground[1]], BELOW)
    for tick in choose_ticks(axes.low, axes.high, N_TICKS):
        ends = [enlarge(axes.place(x, tick)) for x in (0.0, axes.end)]
        draw.line(ends, INK if tick == 0 else RULE, FINE)
    draw.line(line, LINE, 2 * FINE, "curve")
    for x, y in map(enlarge, dots):
        radius = 4 * FINE
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, PAPER, LINE, 2 * FINE)
    return canvas.resize((columns, rows), PIL.Image.Resampling.BOX)
