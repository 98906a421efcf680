"""Text in pictures: fonts, lines that fit, numbers and ticks that can be read."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB
Colour: TypeAlias = tuple[int, int, int]

INK, FAINT, WARNING, PAPER = (28, 28, 30), (96, 96, 102), (160, 82, 0), (255, 255, 255)
ELLIPSIS = "…"
MISSING = "\U0010ffff"  # a character that no font has
# Files of fonts that systems have, for texts that Pillow's own font cannot show.
FALLBACKS = (
    *("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "Arial Unicode.ttf", "msyh.ttc"),
)


def load_font(size: float) -> PIL.ImageFont.FreeTypeFont:
    """Load the font that comes with Pillow, at a size in pixels."""
    font = PIL.ImageFont.load_default(size)
    # Pillow returns its other kind of font only if no size is given.
    assert isinstance(font, PIL.ImageFont.FreeTypeFont)
    return font


def fit_font(text: str, size: float) -> tuple[str, PIL.ImageFont.FreeTypeFont]:
    """Find a font that has every character of a text, and spell the text if none has.

    Pillow's own font has little more than ASCII. For other texts, fonts of the system are tried;
    where none has all characters, letters lose their accents, and what is left becomes ``?``.

    Examples
    --------
    >>> fit_font("espresso", 14)[0]
    'espresso'
    """
    characters = {character for character in text if not character.isspace()}
    for name in (None, *FALLBACKS):
        if all(_has(name, character) for character in characters):
            font = _open(name, size)
            assert font is not None  # it has characters
            return text, font
    spelled = {character: _spell(character) for character in characters}
    return "".join(spelled.get(character, " ") for character in text), load_font(size)


def _open(name: str | None, size: float) -> PIL.ImageFont.FreeTypeFont | None:
    """Open a font of the system by the name of its file, or Pillow's own; None without it."""
    if name is None:
        return load_font(size)
    try:
        return PIL.ImageFont.truetype(name, size)
    except OSError:
        return None


@cache
def _has(name: str | None, character: str) -> bool:
    """Return whether a font has a glyph for a character."""
    font = _open(name, 20)
    if font is None or not character.isprintable():
        return False
    shown, missing = font.getmask(character), font.getmask(MISSING)
    return shown.size != missing.size or bytes(shown) != bytes(missing)


def _spell(character: str) -> str:
    """Return letters without accents in place of a character, or a question mark."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", character)
        if not unicodedata.combining(letter)
    )
    return plain if plain and all(_has(None, letter) for letter in plain) else "?"


def draw_text(
    text: str,
    width: int,
    size: float,
    colour: Colour = INK,
    most: int = 3,
    *,
    keep_end: bool = False,
) -> Picture:
    """Draw text in lines of a width; a picture without rows if there is no text.

    Parameters
    ----------
    text : str
        Broken between words; what does not fit into `most` lines ends in an ellipsis.
    width : int
        Columns of the picture.
    size : float
        Height of the font in pixels.
    colour : (r, g, b)
        Of the letters, in 0 to 255.
    most : int
        Largest number of lines.
    keep_end : bool
        Whether the middle of a line that does not fit is left out, and not its end.
    """
    text, font = fit_font(text, size)
    lines = break_lines(text, font, width, most, keep_end=keep_end)
    pitch = int(size * 1.35)
    strip = PIL.Image.new("RGB", (width, len(lines) * pitch), PAPER)
    draw = PIL.ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        draw.text((0, i * pitch), line, colour, font)
    return np.asarray(strip)


def measure_text(text: str, size: float) -> float:
    """Return the columns that a line of text takes."""
    text, font = fit_font(text, size)
    return font.getlength(text)


def break_lines(
    text: str,
    font: PIL.ImageFont.FreeTypeFont,
    width: int,
    most: int = 3,
    *,
    keep_end: bool = False,
) -> list[str]:
    """Break text into lines between words; lines that do not fit are cut at an ellipsis.

    Words that are longer than a line are broken behind hyphens and the like, if there may be
    several lines.
    """
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines += _split_word(word, font, width) if most > 1 else [word]
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [_shorten(line, font, width, keep_end) for line in lines]


def _split_word(word: str, font: PIL.ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Split a word behind hyphens and the like into lines, if it is longer than a line."""
    lines = [""]
    for piece in re.findall(r"[^-_=,/]+[-_=,/]*|[-_=,/]+", word):
        if lines[-1] and font.getlength(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def _shorten(line: str, font: PIL.ImageFont.FreeTypeFont, width: int, keep_end: bool) -> str:
    if font.getlength(line) <= width:
        return line
    most = min(width // 2, len(line))  # no letter is narrower than 2 pixels
    for n in range(most, 0, -1):
        n_last = n // 2 if keep_end else 0
        last = line[-n_last:] if n_last else ""
        cut = line[: n - n_last].rstrip() + ELLIPSIS + last.lstrip()
        if font.getlength(cut) <= width:
            return cut
    return ELLIPSIS


def choose_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Choose round numbers in a range: multiples of 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    low, high : float
        Ends of the range.
    most : int
        Largest number of ticks, 2 or more.

    Returns
    -------
    ticks : list of float
        From the lowest to the highest; `low` alone if the range is empty.

    Examples
    --------
    >>> choose_ticks(-0.31, 0.42)
    [-0.2, 0.0, 0.2, 0.4]
    """
    if not high > low:
        return [low]
    power = 10.0 ** np.floor(np.log10((high - low) / most))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            break
    return [
        round(float(k * step), 12 - int(np.log10(step))) + 0.0  # never -0
        for k in np.arange(first, last + 1)
    ]


def format_value(value: float, scale: float) -> str:
    """Format a number to a hundredth of the scale, without trailing zeros."""
    decimals = 2 - int(np.floor(np.log10(scale)))
    return f"{round(value, decimals) + 0.0:.6g}"
