"""``onnxplain inspect``: what a model wants, and what it does here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from onnxplain.cli.inpainters import inpainter_flags, inpainter_options
from onnxplain.cli.models import FILE, check_spares, max_pixels_option, model_flags, model_options
from onnxplain.cli.reporting import reported
from onnxplain.cli.sections import SectionedCommand
from onnxplain.core.files import wrap_write_errors, write_atomic
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.inpainter.inpainter_spec import format_inpainter_toml
from onnxplain.inspection import Inspection, Prediction, inspect_model
from onnxplain.loading import find_model, is_inpainter, load_inpainter
from onnxplain.runtime import OnnxInpainter


@click.command(cls=SectionedCommand)
@click.argument("model", type=FILE)
@click.option(
    "--image", type=FILE, metavar="FILE", help="A photo, to compare plausible preprocessings."
)
@click.option("--label", metavar="CLASS", help="Index or name of the class that it shows.")
@click.option(
    "--write-spec",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what is known as TOML; MODEL with the ending .toml is read with the model.",
)
@click.option("--force", is_flag=True, help="With --write-spec: replace FILE if it is there.")
@click.option(
    "--check-gradient",
    is_flag=True,
    help="Compare the model's gradient with differences of its scores.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@max_pixels_option
@model_options
@inpainter_options
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
    """Show what MODEL wants, what runs it, and how fast.

    MODEL is an ONNX file or a name that onnxplain zoo list shows. With a photo it also shows
    the best classes under each plausible preprocessing.

    A graph that answers with a picture is an inpainter, and so is one that the table
    [inpainter] of its .toml file or an option describes as such. Of these it shows the
    description, and whether the graph behaves so.
    """
    if label is not None and image is None:
        raise click.UsageError("--label goes with --image")
    flags = model_flags(ctx)
    description = inpainter_flags(ctx)
    with reported(arguments=True):
        path = find_model(model)
        if write_spec is not None:
            check_spares(path, write_spec)
            if write_spec.exists() and not force:
                raise ValueError(
                    f"{write_spec}: is there already; give another name, or --force to replace it"
                )
        if description or is_inpainter(path):
            device = flags.pop("device", "auto")
            if image is not None or check_gradient or flags:
                raise ValueError(
                    f"{path.name} is an inpainter: of the options --device, --write-spec, --force "
                    f"and those that begin with --inpainter- are for it"
                )
            painter = load_inpainter(path, device=device, description=description)
            _show_inpainter(painter, write_spec, as_json)
            return
        found = inspect_model(
            path,
            image=image,
            label=label,
            device=flags.pop("device", "auto"),
            batch_size=flags.pop("batch_size", None),
            max_pixels=max_pixels,
            check_gradient=check_gradient,
            flags=flags,
        )
        if write_spec and found.spec:
            from onnxplain.describe.sources import format_spec_toml  # it imports onnx

            _write(format_spec_toml(found.spec), write_spec)
    for warning in found.warnings:
        click.echo(f"Warning: {warning}", err=True)
    text = json.dumps(found.record()) if as_json else "\n".join(_lines(found))
    click.echo(text)
    if found.problem:
        raise click.ClickException(found.problem)


def _show_inpainter(painter: OnnxInpainter, write_spec: Path | None, as_json: bool) -> None:
    if write_spec:
        _write(format_inpainter_toml(painter.spec), write_spec)
    record = painter.record()
    click.echo(json.dumps(record) if as_json else "\n".join(_inpainter_lines(record)))


def _inpainter_lines(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"{record['inpainter']}, an inpainter  sha256 {record['sha256'][:16]}…"
    yield from _table(
        (name, "any" if one["value"] is None else _shown(one["value"]), one["source"])
        for name, one in record["spec"].items()
    )
    facts = ("device", "providers", "placement", "batch_size")
    yield from _table((name, _shown(record[name]), "") for name in facts)
    yield "what it does:"
    passed = {True: "yes", False: "NO", None: "-"}
    yield from _table((one["name"], passed[one["passed"]], one["text"]) for one in record["checks"])


def _write(text: str, path: Path) -> None:
    with wrap_write_errors(path):
        write_atomic(path, text.encode())


def _lines(found: Inspection) -> Iterator[str]:
    yield f"{found.model}  sha256 {found.sha256[:16]}…"
    if found.spec is not None:
        yield from _table(
            (one.name, _shown(getattr(found.spec, one.name)), found.spec.sources.get(one.name, ""))
            for one in fields(ModelSpec)
            if one.name != "sources"
        )
    yield from _table((name, _shown(value), "") for name, value in found.facts.items())
    if found.rates:
        yield "evaluations a second by batch size:"
        yield from _table(
            (str(rate.batch_size), f"{rate.per_second:.1f}", "") for rate in found.rates
        )
    for answer in found.answers:
        yield f"{answer.preprocessing}:"
        yield from _answer(answer)


def _answer(answer: Prediction) -> Iterator[str]:
    if answer.problem:
        yield f"  {answer.problem}"
    rows = list(answer.best)
    if answer.label is not None and answer.label not in rows:
        rows.append(answer.label)
    yield from _table(
        (f"{one.rank}.", f"{one.probability:.3f}  {one.name} ({one.target})", _mark(one, answer))
        for one in rows
    )


def _mark(one: Any, answer: Prediction) -> str:
    return "the label" if one == answer.label else ""


def _shown(value: Any) -> str:
    """A value on one line: long lists are cut."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    if not isinstance(value, tuple | list):
        return str(value)
    if len(value) > 6:
        return f"{len(value)}: {', '.join(map(str, value[:3]))}, … {value[-1]}"
    return ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)


def _table(rows: Any) -> Iterator[str]:
    rows = list(rows)
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    for first, second, third in rows:
        yield f"  {first:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip()
