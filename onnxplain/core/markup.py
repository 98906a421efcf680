"""Values in tables: with four digits, and in HTML whose texts may come from strangers."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any


def escape_html(value: Any) -> str:
    """Return a value as text that HTML shows and does not act on.

    Examples
    --------
    >>> escape_html("<b>R&D</b>")
    '&lt;b&gt;R&amp;D&lt;/b&gt;'
    """
    # File names may hold bytes that are not valid text.
    return html.escape(str(value).encode(errors="replace").decode())


def format_html_table(
    header: Sequence[str], lines: Iterable[Sequence[Any]], *, title: str = "", note: str = ""
) -> str:
    """Format a table as HTML; every text is escaped.

    Parameters
    ----------
    header : sequence of str
        Names of the columns; none if all are empty.
    lines : iterable of sequence
        Cells; numbers stand at the right with four digits, and None is an empty cell.
    title, note : str
        Above and below the table.
    """
    names = "".join(f'<th scope="col">{escape_html(name)}</th>' for name in header)
    head = f"<thead><tr>{names}</tr></thead>" if any(header) else ""
    rows = "".join(f"<tr>{''.join(map(_format_cell, line))}</tr>" for line in lines)
    caption = f"<p><strong>{escape_html(title)}</strong></p>" if title else ""
    after = f"<p>{escape_html(note)}</p>" if note else ""
    return f"<div>{caption}<table>{head}<tbody>{rows}</tbody></table>{after}</div>"


def format_value(value: Any) -> str:
    """Format a value for a table, with four digits if it is a number that is not whole.

    >>> format_value(0.123456), format_value(123456)
    ('0.1235', '123456')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _format_cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, int | float):
        return f'<td style="text-align: right">{format_value(value)}</td>'
    return f'<td style="text-align: left">{escape_html(value)}</td>'
