"""``onnxplain inspect``: show the description of a model and how it runs on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from onnxplain.cli.inpainters import add_inpainter_options, get_inpainter_flags
from onnxplain.cli.models import (
    FILE,
    add_model_options,
    check_output_is_not_model,
    get_model_flags,
    max_pixels_option,
)
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SectionedCommand
from onnxplain.cli.terminal import show, show_json
from onnxplain.core.files import wrap_write_errors, write_atomic
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.inpainter.inpainter_spec import format_inpainter_toml
from onnxplain.inspection import Inspection, Prediction, inspect_model
from onnxplain.loading import find_model, is_inpainter, load_inpainter


@click.command(cls=SectionedCommand)
@click.argument("model", type=FILE)
@click.option(
    "--image",
    type=FILE,
    metavar="FILE",
    help="A photo to classify under each plausible preprocessing.",
)
@click.option("--label", metavar="CLASS", help="Index or name of the class that the photo shows.")
@click.option(
    "--write-spec",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the description as TOML. If FILE has the name of MODEL with the ending .toml, it "
    "is read with the model.",
)
@click.option("--force", is_flag=True, help="With --write-spec: replace FILE if it exists.")
@click.option(
    "--check-gradient",
    is_flag=True,
    help="Check the model's gradient against differences of its scores.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@max_pixels_option
@add_model_options
@add_inpainter_options
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    image: str | None,
    label: str | None,
    write_spec: Path | None,
    force: bool,
    check_gradient: bool,
    as_json: bool,
    max_pixels: int,
) -> None:
    """Show how MODEL is described, what runs it, and how fast.

    MODEL is an ONNX file, or a name that onnxplain zoo list shows. With a photo, the best classes
    under each plausible preprocessing are also shown.

    A graph is an inpainter if its output is an image, or if the table [inpainter] of its .toml
    file or an --inpainter- option describes it. For an inpainter, the command shows the
    description and whether the graph behaves as described.
    """
    if label is not None and image is None:
        raise click.UsageError("--label needs --image")
    flags = get_model_flags(ctx)
    description = get_inpainter_flags(ctx)
    with report_errors(arguments=True):
        path = find_model(model)
        if write_spec is not None:
            _check_may_write(path, write_spec, force=force)
        device = flags.pop("device", "auto")
        if description or is_inpainter(path):
            if image is not None or check_gradient or flags:
                raise ValueError(
                    f"{path.name} is an inpainter, which takes only the options --device, "
                    f"--write-spec, --force and those that begin with --inpainter-"
                )
            _show_inpainter(path, device, description, write_spec, as_json)
            return
        inspection = inspect_model(
            path,
            image=image,
            label=label,
            device=device,
            batch_size=flags.pop("batch_size", None),
            max_pixels=max_pixels,
            check_gradient=check_gradient,
            flags=flags,
        )
        if write_spec and inspection.spec:
            from onnxplain.describe.sources import format_spec_toml  # imports onnx, which is slow

            _write(format_spec_toml(inspection.spec), write_spec)
    for warning in inspection.warnings:
        show(f"Warning: {warning}", err=True)
    if as_json:
        show_json(inspection.record())
    else:
        show("\n".join(_format_inspection(inspection)))
    if inspection.problem:
        raise click.ClickException(inspection.problem)


def _check_may_write(model: Path, output: Path, *, force: bool) -> None:
    check_output_is_not_model(model, output)
    if output.exists() and not force:
        raise ValueError(f"{output}: already exists; give another name, or --force to replace it")


def _show_inpainter(
    path: Path, device: str, description: Mapping[str, Any], write_spec: Path | None, as_json: bool
) -> None:
    inpainter = load_inpainter(path, device=device, description=description)
    if write_spec:
        _write(format_inpainter_toml(inpainter.spec), write_spec)
    record = inpainter.record()
    if as_json:
        show_json(record)
    else:
        show("\n".join(_format_inpainter(record)))


def _write(text: str, path: Path) -> None:
    with wrap_write_errors(path):
        write_atomic(path, text.encode())


def _format_inpainter(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"{record['inpainter']}, an inpainter  sha256 {record['sha256'][:16]}…"
    yield from _align(
        (name, "any" if entry["value"] is None else _shorten(entry["value"]), entry["source"])
        for name, entry in record["spec"].items()
    )
    facts = ("device", "providers", "placement", "batch_size")
    yield from _align((name, _shorten(record[name]), "") for name in facts)
    yield "what it does:"
    verdicts = {True: "yes", False: "NO", None: "-"}
    yield from _align(
        (check["name"], verdicts[check["passed"]], check["text"]) for check in record["checks"]
    )


def _format_inspection(inspection: Inspection) -> Iterator[str]:
    yield f"{inspection.model}  sha256 {inspection.sha256[:16]}…"
    spec = inspection.spec
    if spec is not None:
        yield from _align(
            (field.name, _describe_field(spec, field.name), spec.sources.get(field.name, ""))
            for field in fields(ModelSpec)
            if field.name != "sources"
        )
    yield from _align((name, _shorten(value), "") for name, value in inspection.facts.items())
    if inspection.rates:
        yield "evaluations per second by batch size:"
        yield from _align(
            (str(rate.batch_size), f"{rate.per_second:.1f}", "") for rate in inspection.rates
        )
    for answer in inspection.answers:
        yield f"{answer.preprocessing}:"
        yield from _format_answer(answer)


def _format_answer(answer: Prediction) -> Iterator[str]:
    if answer.problem:
        yield f"  {answer.problem}"
    classes = list(answer.best)
    if answer.label is not None and answer.label not in classes:
        classes.append(answer.label)
    yield from _align(
        (
            f"{seen.rank}.",
            f"{seen.probability:.3f}  {seen.name} ({seen.target})",
            "the label" if seen == answer.label else "",
        )
        for seen in classes
    )


def _describe_field(spec: ModelSpec, name: str) -> str:
    text = _shorten(getattr(spec, name))
    is_multilabel = name == "head" and text.startswith("multilabel-")
    return f"{text} (independent labels)" if is_multilabel else text


def _shorten(value: Any) -> str:
    """Format a value on one line; long lists are shortened."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {entry}" for key, entry in value.items())
    if not isinstance(value, tuple | list):
        return str(value)
    if len(value) > 6:
        return f"{len(value)}: {', '.join(map(str, value[:3]))}, … {value[-1]}"
    return ", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)


def _align(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Format rows of three texts with the first two columns aligned."""
    rows = list(rows)
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    for first, second, third in rows:
        yield f"  {first:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip()
