"""Tables as text, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnxplain.study.tables import Table


def as_text(table: Table) -> str:
    """Aligned columns for the terminal, numbers to four digits."""
    lines = _shown(table)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join([table.title, *rows]) + "\n"


def as_csv(table: Table) -> str:
    """Comma-separated values, numbers to their last digit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([table.header, *table.lines])
    return out.getvalue()


def as_markdown(table: Table) -> str:
    """A Markdown table, numbers to four digits."""
    header, *lines = [[cell.replace("|", r"\|") for cell in line] for line in _shown(table)]
    rule = ["---:" if _is_number(table, i) else "---" for i in range(len(header))]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))
    return f"### {table.title}\n\n{rows}\n"


def as_latex(table: Table) -> str:
    """A LaTeX tabular for the package booktabs, numbers to four digits."""
    header, *lines = [" & ".join(map(_escaped, line)) + r" \\" for line in _shown(table)]
    alignment = "".join("r" if _is_number(table, i) else "l" for i in range(len(table.header)))
    parts = [
        f"% {table.title}",
        rf"\begin{{tabular}}{{{alignment}}}",
        *(r"\toprule", header, r"\midrule", *lines, r"\bottomrule"),
        r"\end{tabular}",
    ]
    return "\n".join(parts) + "\n"


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "csv": as_csv,
    "md": as_markdown,
    "tex": as_latex,
}


def _shown(table: Table) -> list[Sequence[str]]:
    return [table.header, *([_cell(cell) for cell in line] for line in table.lines)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(table: Table, column: int) -> bool:
    cells = [line[column] for line in table.lines]
    return all(isinstance(cell, int | float | None) for cell in cells)


_LATEX = str.maketrans(
    {
        **{sign: rf"\{sign}" for sign in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def _escaped(text: str) -> str:
    return text.translate(_LATEX)
