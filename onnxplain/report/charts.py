"""Curves as drawings: where the lines, ticks and labels of a chart stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxplain.plot.text import choose_ticks, format_value
from onnxplain.report.material import Way

WIDTH, HEIGHT = 560.0, 248.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 14.0, 12.0, 48.0
AXES = {"away": "share of the pixels removed", "back": "share of the pixels brought back"}
N_COLOURS = 8  # of lines, in the page's style


@dataclass(frozen=True)
class Curve:
    """One curve: shares from 0 to 1, the scores there, and the number of its colour."""

    label: str
    shares: Sequence[float]
    scores: Sequence[float]
    number: int


@dataclass(frozen=True)
class Tick:
    """A label of an axis and where it stands."""

    place: float
    text: str


@dataclass(frozen=True)
class DrawnLine:
    """A curve as the points of a polyline, with the number of its colour and its key."""

    label: str
    points: str
    colour: int
    last: str


@dataclass(frozen=True)
class Chart:
    """A chart in units of its drawing.

    Parameters
    ----------
    title, axis : str
        What is shown, and what the horizontal axis is.
    lines : tuple of DrawnLine
    x_ticks, y_ticks : tuple of Tick
    left, right, top, bottom : float
        Edges of the area of the lines.
    reach : float
        Share at the right edge; 0 is at the left.
    alt : str
        The curves in words.
    """

    title: str
    axis: str
    lines: tuple[DrawnLine, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    reach: float
    alt: str
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    width: float = WIDTH
    height: float = HEIGHT


def lay_out_chart(title: str, lines: Sequence[Curve], way: Way) -> Chart:
    """Find the places of curves of one kind in a chart; the template draws it.

    Parameters
    ----------
    title : str
        What is shown.
    lines : sequence of Curve
        The curves.
    way : {'away', 'back'}
        What the horizontal axis counts.
    """
    largest = max((score for line in lines for score in line.scores), default=0.0)
    smallest = min((score for line in lines for score in line.scores), default=0.0)
    high = 1.0 if 0.5 < largest <= 1 else max(largest * 1.05, 1e-6)
    low = min(smallest, 0.0)
    x_length, y_length = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    furthest = max((share for line in lines for share in line.shares), default=1.0) or 1.0
    reach = 1.0 if furthest > 0.7 else furthest

    def place_x(share: float) -> float:
        return round(LEFT + share / reach * x_length, 1)

    def place_y(score: float) -> float:
        return round(TOP + (high - score) / (high - low) * y_length, 1)

    drawn = tuple(
        DrawnLine(
            line.label,
            " ".join(
                f"{place_x(share)},{place_y(score)}"
                for share, score in zip(line.shares, line.scores, strict=True)
            ),
            line.number % N_COLOURS,
            f"{line.scores[-1]:.3g}" if line.scores else "",
        )
        for line in lines
    )
    return Chart(
        title,
        AXES[way],
        drawn,
        tuple(Tick(place_x(tick), format_value(tick, reach)) for tick in choose_ticks(0, reach)),
        tuple(Tick(place_y(tick), format_value(tick, high)) for tick in choose_ticks(low, high)),
        reach,
        "; ".join(
            f"{line.label} from {line.scores[0]:.3g} to {line.scores[-1]:.3g}"
            for line in lines
            if line.scores
        ),
    )
