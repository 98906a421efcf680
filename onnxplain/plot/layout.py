"""Where pictures stand on a sheet of paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxplain.plot.text import FAINT, PAPER, Picture, draw_text


def stack(pictures: Sequence[Picture], gap: int, margin: int = 0) -> Picture:
    """Place pictures below one another, at the left of white paper.

    Parameters
    ----------
    pictures : sequence of (rows, columns, 3) ndarray of uint8
        Those without rows are left out.
    gap : int
        Rows between two pictures.
    margin : int
        Pixels of paper on all sides.
    """
    pictures = [picture for picture in pictures if len(picture)]
    width = max(picture.shape[1] for picture in pictures) + 2 * margin
    rows = sum(len(picture) for picture in pictures) + gap * (len(pictures) - 1) + 2 * margin
    paper = make_paper(rows, width)
    top = margin
    for picture in pictures:
        paper[top : top + len(picture), margin : margin + picture.shape[1]] = picture
        top += len(picture) + gap
    return paper


def place_side_by_side(pictures: Sequence[Picture], gap: int) -> Picture:
    """Place pictures beside one another, at the top of white paper, `gap` columns apart."""
    rows = max(len(picture) for picture in pictures)
    columns = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    paper = make_paper(rows, columns)
    left = 0
    for picture in pictures:
        paper[: len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return paper


def label(picture: Picture, text: str, size: float = 14.0) -> Picture:
    """Write a line above a picture."""
    return stack([draw_text(text, picture.shape[1], size, FAINT, 1), picture], 2)


def make_paper(rows: int, columns: int) -> Picture:
    """Return a white picture."""
    return np.full((rows, columns, 3), PAPER, np.uint8)
