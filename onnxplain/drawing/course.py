"""A curve with the pictures along it: what removals of cells and of pixels have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain.plot.chart import draw_chart
from onnxplain.plot.grid import Row, Tile, choose_font_size, draw_grid
from onnxplain.plot.layout import make_paper, place_side_by_side, stack
from onnxplain.plot.text import FAINT, Picture, draw_text

GAP = 14
MIN_CHART = 300


@dataclass(frozen=True, eq=False)
class Course:
    """A curve, and pictures at some of its points.

    Parameters
    ----------
    shares, scores : sequence of float
        The curve.
    title, subtitle : str
        Above it.
    across, up : str
        What the axes say.
    points : sequence of int
        Indices of the points that have a picture.
    tiles : sequence of Tile
        These pictures, with what stands around them.
    """

    shares: Sequence[float]
    scores: Sequence[float]
    title: str
    subtitle: str
    across: str
    up: str
    points: Sequence[int]
    tiles: Sequence[Tile]


def draw_course(course: Course, size: int, beside: Picture | None = None) -> Picture:
    """Draw titles, a chart with a dot per picture, and the pictures below it.

    Parameters
    ----------
    course : Course
        What is drawn.
    size : int
        Pixels of the longer side of the pictures along the curve.
    beside : ndarray, optional
        A picture at the left of the chart.
    """
    font = choose_font_size(size)
    strip = draw_grid([Row("", course.tiles)], size)
    room = strip.shape[1] - (beside.shape[1] + GAP if beside is not None else 0)
    height = max(len(beside) if beside is not None else 0, int(size * 1.4), 180)
    chart = draw_chart(
        course.shares,
        course.scores,
        (height, max(room, MIN_CHART)),
        font_size=font,
        across=course.across,
        up=course.up,
        marks=course.points,
    )
    body = chart if beside is None else place_side_by_side([beside, chart], GAP)
    width = max(body.shape[1], strip.shape[1])
    texts = [
        draw_text(course.title, width, font * 1.25, most=2),
        draw_text(course.subtitle, width, font, FAINT, 3),
    ]
    return stack([*texts, make_paper(2, 1), body, strip], GAP // 2)


def choose_points(shares: Sequence[float], wanted: Sequence[float]) -> list[int]:
    """Return the index of the point nearest to each wanted share, each point once.

    Examples
    --------
    >>> choose_points([0.0, 0.3, 0.6, 1.0], [0.0, 0.1, 0.2, 1.0])
    [0, 1, 3]
    """
    distances = np.abs(np.subtract.outer(np.asarray(wanted), np.asarray(shares)))
    return list(dict.fromkeys(distances.argmin(axis=1).tolist()))
