"""Pictures of explanations: a heatmap over its photo."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from onnxplain.core.data import GREY, Box, Heatmap, Image
from onnxplain.image import list_inferno_colours, resize

Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB

# Bounds of the longer side of a drawn photo, so that the text above it is legible.
MIN_SIDE, MAX_SIDE = 480, 1024
INK, PAPER, GAP = (30, 30, 30), (255, 255, 255), 10
ELLIPSIS = "…"

# Blue below 0 and red above, equally dark at equal distances.
_DIVERGING = np.array(
    [
        (0.08, 0.25, 0.62),
        (0.42, 0.62, 0.9),
        (0.96, 0.96, 0.96),
        (0.93, 0.5, 0.4),
        (0.66, 0.06, 0.12),
    ]
)


def draw_overlay(
    image: Image | Picture,
    heatmap: Heatmap,
    *,
    title: str = "",
    signed: bool | None = None,
    alpha: float = 0.6,
    window: Box | None = None,
) -> Picture:
    """Draw a heatmap over its photo, with a title and a colour bar.

    Parameters
    ----------
    image : (H, W, 3) ndarray of float32 in [0, 1] or uint8
        The photo; drawn in grey, so that all colours come from the heatmap.
    heatmap : (H, W) ndarray of float32
        At the photo's size.
    title : str
        Written above the photo, in up to three lines.
    signed : bool, optional
        True: colours diverge from 0, blue below and red above. False: one scale of colours from
        the smallest value to the largest. If not given, True if any value is negative.
    alpha : float in [0, 1]
        How much the colours cover the photo. In signed maps they fade towards 0.
    window : Box, optional
        The part of the photo that the classifier saw. The rest is faded and has no colours,
        and its values do not affect the range of the colours.

    Returns
    -------
    picture : (rows, columns, 3) ndarray of uint8
        The photo's longer side has 480 to 1024 pixels.

    Raises
    ------
    ValueError
        If the heatmap is not of the photo's size, or has values that are not finite.
    """
    if heatmap.shape != image.shape[:2]:
        raise ValueError(
            f"overlay: the photo has size {image.shape[:2]}, the heatmap {heatmap.shape}"
        )
    if not np.isfinite(heatmap).all():
        raise ValueError("overlay: the heatmap has NaN or infinite values")
    seen = _mark_window(image.shape[:2], window)
    values = heatmap[seen] if seen.any() else heatmap.ravel()
    low, high = float(values.min()), float(values.max())
    if signed is None:
        signed = low < 0
    if signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high

    factor = np.clip(max(image.shape[:2]), MIN_SIDE, MAX_SIDE) / max(image.shape[:2])
    size = (max(round(image.shape[0] * factor), 1), max(round(image.shape[1] * factor), 1))
    grey = _resize_plane(_convert_to_grey(image), size)
    level = _scale_to_unit(_resize_plane(heatmap.astype(np.float32), size), low, high)
    inside = _resize_plane(seen.astype(np.float32), size)
    weight = _weigh_colours(level, alpha, signed) * inside
    base = np.where(inside > 0.5, 0.12 + 0.88 * grey, 0.6 + 0.35 * grey)
    colours = _look_up_colours(level, signed)
    drawn = base[..., None] * (1 - weight[..., None]) + colours * weight[..., None]
    bar = _draw_bar(size[1], low, high, alpha, signed)
    return _stack([_draw_text(title, size[1]), _to_bytes(drawn), bar])


def _convert_to_grey(image: Image | Picture) -> NDArray[np.float32]:
    scale = np.float32(255 if image.dtype == np.uint8 else 1)
    return image.astype(np.float32) @ (GREY / scale)


def _mark_window(size: tuple[int, ...], window: Box | None) -> NDArray[np.bool_]:
    """Mark the pixels of a photo whose centres lie in the window."""
    if window is None:
        return np.ones(size, bool)
    y, x = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    inside: NDArray[np.bool_] = np.logical_and.outer(
        (y > window.top) & (y < window.bottom), (x > window.left) & (x < window.right)
    )
    return inside


def _resize_plane(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return plane if plane.shape == size else resize(plane, size, antialias=True)


def _scale_to_unit(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Scale values from [low, high] to [0, 1]; a constant map becomes 0."""
    if high <= low:
        return np.full_like(values, 0)
    level: NDArray[np.float32] = (values - np.float32(low)) / np.float32(high - low)
    return np.clip(level, 0, 1)


def _look_up_colours(level: NDArray[np.float32], signed: bool) -> NDArray[np.float32]:
    """Return the colour (..., 3) of each level."""
    table = _make_diverging_colours() if signed else list_inferno_colours()
    colours: NDArray[np.float32] = table[np.rint(level * 255).astype(np.intp)]
    return colours


def _make_diverging_colours() -> NDArray[np.float32]:
    levels, anchors = np.linspace(0, 1, 256), np.linspace(0, 1, len(_DIVERGING))
    channels = [np.interp(levels, anchors, _DIVERGING[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _weigh_colours(level: NDArray[np.float32], alpha: float, signed: bool) -> NDArray[np.float32]:
    """Return how much the colours cover the photo: evenly, or if signed, more away from 0."""
    if not signed:
        return np.full_like(level, alpha)
    away = np.sqrt(np.abs(2 * level - 1))
    weight: NDArray[np.float32] = np.minimum(np.float32(alpha * 1.4) * away, np.float32(1))
    return weight


def _draw_bar(width: int, low: float, high: float, alpha: float, signed: bool) -> Picture:
    """Draw the scale of colours, as they look over mid-grey, with its values below."""
    level = np.linspace(0, 1, width, dtype=np.float32)
    weight = _weigh_colours(level, alpha, signed)[:, None]
    colours = np.float32(0.5) * (1 - weight) + _look_up_colours(level, signed) * weight
    font = load_font(_choose_font_size(width) * 0.8)
    bar = np.repeat(_to_bytes(colours)[None], max(width // 40, 12), axis=0)
    strip = PIL.Image.new("RGB", (width, int(font.size * 1.5)), PAPER)
    draw = PIL.ImageDraw.Draw(strip)
    scale = max(high - low, abs(high), 1e-30)
    labels = [
        (0, format_bar_value(low, scale), "la"),
        (width - 1, format_bar_value(high, scale), "ra"),
    ]
    if signed:
        labels.insert(1, (width // 2, "0", "ma"))
    for x, label, anchor in labels:
        draw.text((x, 2), label, INK, font, anchor)
    space = np.full((GAP, width, 3), PAPER, np.uint8)
    return np.concatenate([space, bar, np.asarray(strip)])


def format_bar_value(value: float, scale: float) -> str:
    """Format a number to a hundredth of the scale, without trailing zeros."""
    decimals = 2 - int(np.floor(np.log10(scale)))
    return f"{round(value, decimals) + 0.0:.6g}"


def _draw_text(text: str, width: int) -> Picture:
    """Draw text in up to three lines; a picture without rows if there is no text."""
    font = load_font(_choose_font_size(width))
    lines = break_lines(text, font, width)
    pitch = int(font.size * 1.35)
    strip = PIL.Image.new("RGB", (width, len(lines) * pitch + (pitch // 3 if lines else 0)), PAPER)
    draw = PIL.ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        draw.text((0, i * pitch), line, INK, font)
    return np.asarray(strip)


def break_lines(
    text: str, font: PIL.ImageFont.FreeTypeFont, width: int, most: int = 3
) -> list[str]:
    """Break text into lines between words; lines that do not fit end in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [_shorten(line, font, width) for line in lines]


def _shorten(line: str, font: PIL.ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    line = line[: width // 2]  # no letter is narrower than 2 pixels
    while line and font.getlength(line + ELLIPSIS) > width:
        line = line[:-1]
    return line.rstrip() + ELLIPSIS


def load_font(size: float) -> PIL.ImageFont.FreeTypeFont:
    """Load the font that comes with Pillow, at a size in pixels."""
    font = PIL.ImageFont.load_default(size)
    # Pillow returns its other kind of font only if no size is given.
    assert isinstance(font, PIL.ImageFont.FreeTypeFont)
    return font


def _choose_font_size(width: int) -> float:
    return min(max(width / 26, 14.0), 26.0)


def _to_bytes(picture: NDArray[np.floating]) -> Picture:
    pixels: Picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return pixels


def _stack(pictures: list[Picture]) -> Picture:
    """Stack pictures from top to bottom, centred on white."""
    width = max(picture.shape[1] for picture in pictures)
    rows = []
    for picture in pictures:
        row = np.full((picture.shape[0], width, 3), PAPER, np.uint8)
        left = (width - picture.shape[1]) // 2
        row[:, left : left + picture.shape[1]] = picture
        rows.append(row)
    return np.concatenate(rows)
