"""The function `onnxplain.write_report`: from results to one HTML file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from onnxplain.core.errors import OutputError
from onnxplain.core.files import check_ending, wrap_write_errors, write_atomic
from onnxplain.report.material import Material, Omission
from onnxplain.report.page import LiveSection, build_page
from onnxplain.report.reading import add_explanation, find_files, read_explanation
from onnxplain.report.study_files import find_rows, find_study
from onnxplain.report.study_reading import read_study
from onnxplain.results import Explanation
from onnxplain.study.result import Study

Results: TypeAlias = str | os.PathLike[str] | Explanation | Study

LIMIT = 50


def write_report(
    results: Results | Iterable[Results],
    output: str | os.PathLike[str] = "report.html",
    *,
    images: str | os.PathLike[str] | None = None,
    heatmaps: str | os.PathLike[str] | None = None,
    title: str = "",
    limit: int = LIMIT,
    live: Callable[[Material], LiveSection] | None = None,
) -> tuple[Omission, ...]:
    """Write results into one HTML file that needs no network, no server and no other file.

    Parameters
    ----------
    results : path, Explanation, Study, or several
        Folders with what ``onnxplain explain`` and ``onnxplain evaluate`` wrote, files of them,
        explanations, or studies.
    output : path
        The HTML file, which is replaced.
    images : path, optional
        The folder of the images that were evaluated; a `Study` knows it.
    heatmaps : path, optional
        The folder in which the evaluation kept its heatmaps; those below the folder of its rows
        are found without it.
    title : str
        Of the page; made from its content if not given.
    limit : int
        Largest number of photos in the page, at least 1.
    live : callable, optional
        Makes the part of the page in which the classifier runs: `onnxplain.report.live.Live`.

    Returns
    -------
    broken : tuple of Omission
        Files that could not be read. The page names them, too.

    Raises
    ------
    OutputError
        If there is no result that can be read, or the file cannot be written; then nothing is
        written.
    LibraryMissing
        If Jinja is not installed.
    ValueError
        If `limit` is below 1, `output` does not end in ``.html``, or a folder is none.

    Examples
    --------
    >>> onnxplain.write_report("explanations", "report.html")  # doctest: +SKIP
    """
    if limit < 1:
        raise ValueError(f"limit must be >= 1, got {limit}")
    if isinstance(results, str | os.PathLike | Explanation | Study):
        results = [results]
    check_ending(Path(output), ".html", "the report")
    places = [None if place is None else Path(place) for place in (images, heatmaps)]
    for name, place in zip(("images", "heatmaps"), places, strict=True):
        if place is not None and not place.is_dir():
            raise ValueError(f"{place}: is not a folder; give that of the {name}, or leave it out")
    material = gather(results, limit, *places)
    output = Path(output)
    with wrap_write_errors(output):
        page = build_page(material, live(material) if live else None, title=title)
        write_atomic(output, page.encode())
    return tuple(material.broken)


def gather(
    given: Iterable[Results], limit: int, images: Path | None = None, heatmaps: Path | None = None
) -> Material:
    """Gather what results show; the parameters are those of `write_report`.

    Raises
    ------
    OutputError
        If none of them can be read.
    """
    material = Material(limit)
    paths = []
    for result in given:
        if isinstance(result, Explanation):
            add_explanation(material, result)
        elif isinstance(result, Study):
            read_study(material, find_study(result, heatmaps))
        else:
            paths.append(Path(result))
    for file in find_files(paths, material):
        if file.suffix.lower() == ".npz":
            read_explanation(material, file)
        else:
            read_study(material, find_rows(file, images, heatmaps))
    if material.is_empty:
        if material.broken:
            more = len(material.broken) - 1
            raise OutputError(
                material.broken[0].reason + (f" (and {more} others like it)" if more else "")
            )
        named = ", ".join(map(str, paths)) or "nothing"
        raise OutputError(
            f"{named}: no results to report; give a folder or files that onnxplain explain or "
            f"evaluate wrote"
        )
    return material
