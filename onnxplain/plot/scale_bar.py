"""The scale of a figure's colours, with ticks, and the key of its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw

from onnxplain.plot.colours import Scale, tint, to_bytes
from onnxplain.plot.layout import make_paper
from onnxplain.plot.text import INK, Colour, Picture, choose_ticks, format_value, load_font


def draw_scale_bar(
    scale: Scale,
    width: int,
    font_size: float,
    bands: Sequence[float],
    ticks: Mapping[float, str] | None = None,
) -> Picture:
    """Draw which colour is which value, with round numbers below.

    Parameters
    ----------
    scale : Scale
        Of the map.
    width : int
        Columns of the picture.
    font_size : float
        Height of the numbers in pixels.
    bands : sequence of float in [0, 1]
        One band of colours each, as they look when they cover a photo by this share.
    ticks : mapping of float to str, optional
        What stands below which value; round numbers if not given.
    """
    font = load_font(font_size)
    inset = int(font_size * 2)  # half of a long number
    bar = width - 2 * inset
    colours = scale.colour(np.linspace(scale.low, scale.high, bar))
    height = max(int(font_size * 0.8), 10)
    strips = [np.repeat(to_bytes(tint(colours, alpha))[None], height, axis=0) for alpha in bands]
    drawn = np.concatenate(strips)
    paper = make_paper(len(drawn) + int(font_size * 1.9), width)
    paper[: len(drawn), inset : inset + bar] = drawn
    canvas = PIL.Image.fromarray(paper)
    draw = PIL.ImageDraw.Draw(canvas)
    span = scale.high - scale.low
    for tick, text in (_choose_ticks(scale) if ticks is None else ticks).items():
        share = (tick - scale.low) / span if span > 0 else 0.0
        x = inset + round(share * (bar - 1))
        draw.line([(x, len(drawn)), (x, len(drawn) + font_size * 0.35)], INK)
        draw.text((x, len(drawn) + font_size * 0.5), text, INK, font, "ma")
    return np.asarray(canvas)


def _choose_ticks(scale: Scale) -> Mapping[float, str]:
    """Choose round numbers, and write them."""
    whole = max(scale.high - scale.low, abs(scale.high), 1e-30)
    ticks = choose_ticks(scale.low, scale.high)
    return {tick: format_value(tick, whole) for tick in ticks}


def draw_contour_key(contours: Mapping[float, Colour], width: int, font_size: float) -> Picture:
    """Draw what each line of a contour picture encloses."""
    font = load_font(font_size)
    canvas = PIL.Image.fromarray(make_paper(int(font_size * 1.5), width))
    draw = PIL.ImageDraw.Draw(canvas)
    x, middle = 0.0, font_size * 0.7
    for share, colour in contours.items():
        ends = [(x, middle), (x + font_size * 1.6, middle)]
        draw.line(ends, colour, max(round(font_size / 4), 3))
        x += font_size * 2
        text = f"highest {share:.0%}"
        draw.text((x, 0), text, INK, font)
        x += font.getlength(text) + font_size * 1.5
    return np.asarray(canvas)
