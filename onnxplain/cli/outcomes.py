"""The results of ``onnxplain explain``: save and print each explanation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from onnxplain.cli.reporting import Interrupted, format_failure
from onnxplain.cli.terminal import clear_line, show, show_json
from onnxplain.core.errors import DiskFull, OutputError
from onnxplain.core.flow import NO_FILL
from onnxplain.explaining import Failure
from onnxplain.plot import Look
from onnxplain.results import Explanation, SavedFiles


class Counts(NamedTuple):
    """How many explanations were written, and how many images failed."""

    written: int
    failed: int


def save_and_print(
    outcomes: Iterator[Explanation | Failure], folder: Path, look: Look, *, as_json: bool
) -> Counts:
    """Save and print explanations as they are made, and count them and the failed images."""
    n_failed = 0
    written: set[Path | None] = set()  # records: that of an image that is given twice is one
    try:
        for outcome in outcomes:
            clear_line()
            if isinstance(outcome, Explanation):
                try:
                    saved = outcome.save(folder, look)
                except DiskFull as error:  # the next ones would be computed for nothing
                    raise DiskFull(f"{error}; {_count_written(len(written), folder)}") from error
                except (OutputError, ValueError) as error:
                    outcome = Failure(outcome.image, error)
            if isinstance(outcome, Failure):
                n_failed += 1
                show_failure(outcome, as_json=as_json)
                continue
            written.add(saved.record)
            if as_json:
                show_json(_to_json(outcome, saved))
            else:
                show(_to_line(outcome, saved))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {_count_written(len(written), folder)}") from None
    return Counts(len(written), n_failed)


def _count_written(n_written: int, folder: Path) -> str:
    return f"written to {folder}: {n_written} explanation{'' if n_written == 1 else 's'}"


def show_failure(failure: Failure, *, as_json: bool) -> None:
    """Say on stderr why an image cannot be explained, and in JSON on stdout as well."""
    text = format_failure(failure.image, failure.error)
    show(f"Error: {text}", err=True)
    if as_json:
        show_json({"image": failure.image, "status": "error", "error": text})


def _to_line(explanation: Explanation, saved: SavedFiles) -> str:
    image, overlay = map(click.format_filename, (explanation.image, str(saved.overlay)))
    n = explanation.evaluations
    fill = "" if explanation.fill == NO_FILL else f" with {explanation.fill}"
    return (
        f"{image}: {explanation.target_name} ({explanation.target}) "
        f"{explanation.score:.3f}, {explanation.method}{fill}, "
        f"{n} evaluation{'' if n == 1 else 's'}{_format_inpaints(explanation)} "
        f"in {explanation.seconds:.1f} s: {overlay}"
    )


def _format_inpaints(explanation: Explanation) -> str:
    if not explanation.inpaints:
        return ""
    return f" and {explanation.inpaints} inpaints ({explanation.inpaint_share:.0%} of the time)"


def _to_json(explanation: Explanation, saved: SavedFiles) -> dict[str, Any]:
    """Return what is printed as JSON; its keys are stable."""
    classifier = explanation.provenance["classifier"]
    return {
        "image": explanation.image,
        "status": "done",
        "target": explanation.target,
        "target_name": explanation.target_name,
        "score": explanation.score,
        "method": explanation.method,
        "parameters": dict(explanation.parameters),
        "fill": explanation.fill,
        "fill_parameters": dict(explanation.fill_parameters),
        "seed": explanation.seed,
        "heatmap": str(saved.heatmap),
        "overlay": str(saved.overlay),
        "record": str(saved.record),
        "evaluations": explanation.evaluations,
        "seconds": explanation.seconds,
        "inpaints": explanation.inpaints,
        "inpaint_seconds": explanation.inpaint_seconds,
        "inpaint_share": explanation.inpaint_share,
        "model": classifier.get("model"),
        "provider": classifier.get("provider"),
    }
