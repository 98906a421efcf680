"""What ``onnxplain evaluate`` prints: a bar, failures as they happen, and the tables."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Self

from onnxplain.cli.progress import Move, show_progress
from onnxplain.cli.terminal import clear_line, show
from onnxplain.study.overview import WIDTH, format_overview
from onnxplain.study.preparation import log as study_log
from onnxplain.study.progress import StudyProgress
from onnxplain.study.result import ROWS_FILE, Study
from onnxplain.study.rows import Row
from onnxplain.study.verdicts import Verdicts


class StudyView:
    """Shows a running study on stderr: one bar per classifier, notices and failures.

    Parameters
    ----------
    quiet : bool
        Whether to show no bar.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar = ExitStack()
        self._move: Move | None = None
        self._position = -1
        self._printed: set[str] = set()  # keys of the rows of this run
        self._notices = _NoticePrinter(logging.WARNING)

    @property
    def is_running(self) -> bool:
        """Whether all arguments have been checked and the first classifier is running."""
        return self._move is not None

    def __enter__(self) -> Self:
        study_log.addHandler(self._notices)
        study_log.propagate = False
        return self

    def __exit__(self, *error: object) -> None:
        study_log.removeHandler(self._notices)
        study_log.propagate = True
        self._bar.close()

    def update(self, progress: StudyProgress) -> None:
        """Print the failures among new rows, and move the bar."""
        # Workers may end the last questions on a classifier after the first ones on the next.
        if self._move is None or progress.position > self._position:
            self._bar.close()
            bar = show_progress(shown=not self._quiet, label=progress.model)
            self._move = self._bar.enter_context(bar)
            self._position = progress.position
        print_failed_rows(progress.rows)
        self._printed.update(row["key"] for row in progress.rows)
        if progress.position == self._position:
            self._move(progress.done, progress.total, progress.inpaints, progress.workers)

    def print_earlier_failures(self, study: Study) -> None:
        """Print what failed in an earlier run and was not done again."""
        print_failed_rows(
            (row for row in study.failures if row["key"] not in self._printed),
            note=" (in an earlier run; --retry does it again)",
        )


class _NoticePrinter(logging.Handler):
    """Prints log messages as warnings of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        show(f"Warning: {record.getMessage()}", err=True)


def print_failed_rows(rows: Iterable[Row], note: str = "") -> None:
    """Print what failed, each with a note."""
    for row in rows:
        if row["status"] == "error":
            clear_line()
            parts = (row.get("image"), row.get("method"), row.get("metric"))
            where = ", ".join(part for part in parts if part)
            show(f"Error: {where}: {row.get('error')}{note}", err=True)


def print_study(study: Study, *, quiet: bool) -> None:
    """Print the means; unless `quiet`, also counts of images, limits, and where the rest is."""
    if not quiet:
        show("\n".join(_count_images(study)), err=True)
    show(format_overview(study.tables["means"]), end="")
    if quiet:
        return
    for limit in study.limits:
        show("\n".join(textwrap.wrap(f"Note: {limit}.", WIDTH)), err=True)
    names = ", ".join(study.tables)
    show(f"{study.output}: {names} (.csv, .md, .tex) and {ROWS_FILE}", err=True)


def _count_images(study: Study) -> list[str]:
    """Format how many images each classifier classified correctly, one line per classifier."""
    verdicts = Verdicts()
    for row in study.iterate_rows():
        if row["kind"] == "image":
            verdicts.add(row)
    lines = []
    for name, counts in verdicts.count_by_name().items():
        line = f"{name}: {counts}"
        if study.plan.only_correct and counts.wrong and not counts.right + counts.unlabelled:
            line += "; --all-images judges wrongly classified images too"
        lines.append(line)
    return lines
