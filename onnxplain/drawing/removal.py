"""How a mask grew: which cells were removed in which order, and the score meanwhile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray

from onnxplain.core.data import Box, Image, Size
from onnxplain.core.flow import NO_FILL
from onnxplain.drawing.arrange import name_class
from onnxplain.drawing.course import Course, choose_points, draw_course
from onnxplain.drawing.view import view_seen
from onnxplain.plot.colours import Scale, to_bytes
from onnxplain.plot.grid import Tile, choose_font_size
from onnxplain.plot.layout import stack
from onnxplain.plot.parts import Parts, bring_parts
from onnxplain.plot.scale_bar import draw_scale_bar
from onnxplain.plot.text import FAINT, Picture, draw_text, load_font
from onnxplain.results import Explanation

MARGIN = 20
STAGES = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of the removed cells at which the photo is shown
N_NUMBERED = 9  # cells whose number is written into them
ALPHA = 0.75
REASONS = {
    "chance": "it stopped as the class is at chance level",
    "exhausted": "it stopped at the largest area allowed",
}


def draw_removal(explanation: Explanation, size: int = 176) -> PIL.Image.Image:
    """Draw the order in which a method removed cells, and the probability as they went.

    Parameters
    ----------
    explanation : Explanation
        By a method that removes cells one after another: ``mp2`` or ``mp2-g``.
    size : int
        Pixels of the longer side of the pictures along the curve; that of the order has twice
        as many.

    Returns
    -------
    picture : PIL.Image.Image
        The cells, coloured by when they were removed; the curve of the probability; and the
        photo at five of its points, as far as the classifier saw it. Removed cells are hatched:
        the classifier saw them filled.

    Raises
    ------
    ValueError
        If the method has no such order.
    """
    order, cells = explanation.order, explanation.coarse
    steps = dict(sorted(explanation.details.get("trajectory", ())))
    if order is None or cells is None or len(steps) < 2:
        raise ValueError(
            f"{explanation.image}: {explanation.method} removed no cells one after another; "
            f"explanations by mp2 and mp2-g show an order, if at least one cell was removed"
        )
    counts, scores = list(steps), list(steps.values())
    shares = [n / cells.size for n in counts]
    points = choose_points(shares, [stage * shares[-1] for stage in STAGES])
    small = _Cells.bring(explanation, size)
    tiles = [
        Tile(
            small.hatch(counts[i]),
            f"{counts[i]} cells, {shares[i]:.0%}",
            caption=f"probability {scores[i]:.3g}",
        )
        for i in points
    ]
    fill = explanation.fill
    filled = "" if fill == NO_FILL else f", removed cells filled with {fill}"
    reason = REASONS.get(explanation.details.get("reason", ""), "")
    course = Course(
        shares,
        scores,
        f"{name_class(explanation)} · class {explanation.target}",
        f"probability {scores[0]:.3g} to {scores[-1]:.3g} with {len(order)} of {cells.size} cells "
        f"removed{reason and '; '}{reason} · {explanation.method}{filled} · "
        f"{Path(explanation.image).name}",
        "share of the cells removed",
        "probability",
        points,
        tiles,
    )
    figure = draw_course(course, size, _draw_order(explanation, 2 * size))
    return PIL.Image.fromarray(stack([figure], 0, MARGIN))


def _draw_order(explanation: Explanation, side: int) -> Picture:
    """Draw the removed cells in colours from first to last, with their scale."""
    large = _Cells.bring(explanation, side)
    picture = large.colour()
    font = choose_font_size(side // 2)
    scale = Scale(0.0, 1.0, "inferno")
    ticks = {0.0: "last", 1.0: "first"}
    width = picture.shape[1]
    bar = draw_scale_bar(scale, max(width, 10 * int(font)), font, [ALPHA], ticks)
    note = "When each cell was removed; cells without a colour were kept."
    return stack([picture, bar, draw_text(note, bar.shape[1], font, FAINT, 6)], 4)


class _Cells:
    """The photo, and when the cell of each pixel was removed, at the size drawn."""

    def __init__(self, photo: Image, when: NDArray[np.intp], n_removed: int) -> None:
        self._photo = photo
        self._when = when  # 0 for the cell that went first; -1 for pixels that were kept
        self._n_removed = n_removed

    @classmethod
    def bring(cls, explanation: Explanation, side: int) -> _Cells:
        """Bring the photo and the order of an explanation to a size."""
        assert explanation.order is not None
        assert explanation.coarse is not None
        view = view_seen(explanation)
        photo, _, _ = bring_parts(view.photo, explanation.heatmap, view.window, view.size, side)
        when = np.full(explanation.coarse.size + 1, -1, np.intp)
        when[explanation.order] = np.arange(len(explanation.order))
        size = photo.shape[0], photo.shape[1]
        found = locate_cells(explanation.coarse.shape, view.window, view.size, size)
        return cls(photo, when[found], len(explanation.order))

    def hatch(self, n: int) -> Picture:
        """Draw the photo without the first `n` cells, which are hatched."""
        gone = (self._when >= 0) & (self._when < n)
        rows, columns = np.indices(gone.shape)
        stripes = np.where((rows + columns) % 6 < 2, np.float32(0.62), np.float32(0.85))
        return to_bytes(np.where(gone[..., None], stripes[..., None], self._photo))

    def colour(self) -> Picture:
        """Draw the removed cells in their colours over the photo, the first ones numbered."""
        removed = self._when >= 0
        early = 1 - self._when / max(self._n_removed - 1, 1)
        scale = Scale(0.0, 1.0, "inferno")
        parts = Parts(self._photo, early.astype(np.float32), removed, scale, ALPHA)
        canvas = PIL.Image.fromarray(parts.draw("overlay"))
        draw = PIL.ImageDraw.Draw(canvas)
        for number in range(min(self._n_removed, N_NUMBERED)):
            rows, columns = np.nonzero(self._when == number)
            if not len(rows):
                continue
            cell = min(np.ptp(rows), np.ptp(columns)) + 1
            if cell >= 8:
                middle = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
                draw.text(middle, str(number + 1), (0, 0, 0), load_font(cell * 0.85), "mm")
        return np.asarray(canvas)


def locate_cells(
    grid: tuple[int, ...], window: Box, original: Size, size: Size
) -> NDArray[np.intp]:
    """Return in which cell of a grid over a window each pixel of a picture lies.

    Parameters
    ----------
    grid : (rows, columns)
        Number of cells.
    window : Box
        What the grid covers, in pixels of the photo.
    original, size : (rows, columns)
        Of the photo, and of the picture of the whole photo.

    Returns
    -------
    cells : (rows, columns) ndarray of int
        Numbers of cells row by row; -1 outside the window.

    Examples
    --------
    >>> locate_cells((1, 2), Box(0, 2, 2, 6), (2, 6), (1, 6)).tolist()
    [[-1, -1, 0, 0, 1, 1]]
    """
    starts, ends = (window.top, window.left), (window.bottom, window.right)
    axes = []
    for cells, start, end, length, pixels in zip(grid, starts, ends, original, size, strict=True):
        middle = (np.arange(pixels) + 0.5) * length / pixels
        cell = np.floor((middle - start) / (end - start) * cells).astype(np.intp)
        axes.append(np.where((cell >= 0) & (cell < cells), cell, -1))
    rows, columns = axes
    numbers: NDArray[np.intp] = rows[:, None] * grid[1] + columns
    numbers[(rows < 0)[:, None] | (columns < 0)] = -1
    return numbers
