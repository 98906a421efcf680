"""The pictures of a figure in axes of matplotlib, to go on working with."""

from __future__ import annotations

import textwrap
from typing import Any, TypeAlias

import numpy as np

from onnxplain.core.data import Box, Heatmap, Size
from onnxplain.core.errors import LibraryMissing
from onnxplain.plot.colours import Scale, choose_scale, tint
from onnxplain.plot.figure import LABELS, STYLES, Look
from onnxplain.plot.parts import CONTOURS, Parts, bring_parts, get_seen
from onnxplain.plot.text import ELLIPSIS, Picture

Axes: TypeAlias = Any  # matplotlib.axes.Axes, which is not always installed
MAX_SIDE = 1024  # pixels of the pictures; matplotlib draws them smaller


def plot_figure(
    photo: Picture | None,
    heatmap: Heatmap,
    window: Box | None,
    original: Size,
    look: Look,
    *,
    title: str,
    caption: str,
    axes: Axes | None = None,
) -> tuple[Axes, ...]:
    """Plot a heatmap beside and over its photo.

    Parameters
    ----------
    photo, heatmap, window, original
        As for `onnxplain.plot.parts.bring_parts`.
    look : Look
        Style and colours; its size is that of the figure in hundredths of an inch per picture.
    title : str
        Above the pictures; may have several lines.
    caption : str
        What the numbers are; written below their scale.
    axes : matplotlib.axes.Axes, optional
        Where to plot; a style of several pictures then shows the map over the photo alone. A new
        figure of pyplot if not given.

    Returns
    -------
    axes : tuple of matplotlib.axes.Axes
        One per picture, in pixels of the photo.

    Raises
    ------
    LibraryMissing
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise LibraryMissing(
            f"plots need matplotlib ({error}); pip install 'onnxplain[plot]', or use overlay(), "
            f"which needs nothing"
        ) from error
    kinds = STYLES[look.style]
    if axes is not None:
        kinds = kinds if len(kinds) == 1 else ("overlay",)
        places = (axes,)
    else:
        rows, columns = original
        height = look.size / 100 * min(rows / columns, 2) + 1.4
        _, grid = pyplot.subplots(
            *(1, len(kinds)),
            figsize=(look.size / 100 * len(kinds), height),
            squeeze=False,
            layout="constrained",
        )
        places = tuple(grid[0])
    drawn = bring_parts(photo, heatmap, window, original, min(max(original), MAX_SIDE))
    scale = choose_scale(get_seen(drawn[1], drawn[2]), None, look.colormap)
    parts = Parts(*drawn, scale, look.alpha)
    for place, kind in zip(places, kinds, strict=True):
        place.imshow(parts.draw(kind), extent=(-0.5, original[1] - 0.5, original[0] - 0.5, -0.5))
        place.set_axis_off()
        if len(kinds) > 1:
            place.set_title(LABELS[kind], fontsize="medium")
    _add_scale(places, kinds[-1], scale, look.alpha, caption)
    # A dollar sign in the name of a class begins no formula.
    lines = "\n".join(_wrap(line, 34 * len(kinds), 2) for line in title.splitlines())
    if axes is not None:
        axes.set_title(lines, fontsize="medium", parse_math=False)
    else:
        places[0].figure.suptitle(lines, parse_math=False)
    return places


def _add_scale(
    places: tuple[Axes, ...], kind: str, scale: Scale, alpha: float, caption: str
) -> None:
    """Add the scale of the colours, or the key of the lines, below the pictures."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.lines import Line2D

    if kind == "contour":
        lines = [
            Line2D([], [], color=np.divide(colour, 255), label=f"highest {share:.0%}")
            for share, colour in CONTOURS.items()
        ]
        places[0].legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3)
        return
    low, high = scale.low, scale.high if scale.high > scale.low else scale.low + 1e-9
    table = Scale(0.0, 255.0, scale.colormap).colour(np.arange(256.0))
    if kind == "overlay" and len(places) == 1:
        table = tint(table, alpha)
    colours = ScalarMappable(Normalize(low, high), ListedColormap(table))
    bar = places[0].figure.colorbar(
        colours, ax=list(places), orientation="horizontal", shrink=0.8, aspect=40, pad=0.03
    )
    bar.set_label(_wrap(caption, 40 * len(places), 5), parse_math=False)


def _wrap(text: str, width: int, most: int) -> str:
    """Break text between words; what does not fit into `most` lines ends in an ellipsis."""
    return textwrap.fill(text, width, max_lines=most, placeholder=ELLIPSIS)
