"""``onnxplain inspect``: show the description of a model and how it runs on this machine."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxplain.cli.inpainters import add_inpainter_options, get_inpainter_flags
from onnxplain.cli.models import (
    add_model_options,
    check_output_is_not_model,
    get_model_flags,
    max_pixels_option,
)
from onnxplain.cli.paths import FILE, PATH
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SectionedCommand
from onnxplain.cli.terminal import show, show_json
from onnxplain.core.files import wrap_write_errors, write_atomic
from onnxplain.describe.inpainter.inpainter_spec import format_inpainter_toml
from onnxplain.inspection import Inspection, Prediction, inspect_model
from onnxplain.loading import find_model, is_inpainter, load_inpainter

if TYPE_CHECKING:  # imports onnx, which is slow
    from onnxplain.graph.outline import Outline, Port


@click.command(cls=SectionedCommand, folded=("inpainter_",))
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
    type=PATH,
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

    MODEL is an ONNX file, or a name that onnxplain zoo list shows. Its inputs, outputs and
    operators are shown in any case, then what is known of how to feed it, with sources, and what
    is missing. With a photo, the best class under each plausible preprocessing is also shown.

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
            tf32=flags.pop("tf32", False),
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
    if write_spec and inspection.spec:
        show(f"{write_spec}: written", err=True)
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
        show(f"{write_spec}: written", err=True)
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
    yield from _format_outline(inspection.outline)
    if known := inspection.list_known():
        yield "known, and where from:"
        yield from _align(
            (name, _describe_field(name, value), source) for name, value, source in known
        )
    if inspection.known is not None and inspection.known.missing:
        yield "missing, and the options to try:"
        for names, options in inspection.known.missing.items():
            yield from wrap_line(f"{names}: {options}")
    if inspection.facts:
        yield "how it runs here:"
    yield from _align((name, _shorten(value), "") for name, value in inspection.facts.items())
    if inspection.rates:
        yield "evaluations per second by batch size:"
        yield from _align(
            (str(rate.batch_size), f"{rate.per_second:.1f}", "") for rate in inspection.rates
        )
    if inspection.answers:
        yield "what it answers to the photo under each plausible preprocessing:"
        yield from _align(map(_format_answer, inspection.sort_answers()))
        yield from wrap_line(f"verdict: {inspection.verdict or 'none of them gives scores'}")


def _format_outline(outline: Outline) -> Iterator[str]:
    yield "graph:"
    ports = [("input", port) for port in outline.inputs]
    ports += [("output", port) for port in outline.outputs]
    rows = [(kind, port.name, f"{port.dtype} {_format_dims(port)}") for kind, port in ports]
    opsets = [f"{number} of {domain}" for domain, number in outline.opsets.items()]
    yield from _align([*rows, ("opset", ", ".join(opsets), "")])
    counts = ", ".join(f"{name} {count}" for name, count in outline.operators.items())
    yield from wrap_line(f"operators: {counts}")


def _format_dims(port: Port) -> str:
    return "of unknown shape" if port.dims is None else " x ".join(map(str, port.dims))


def _format_answer(answer: Prediction) -> tuple[str, str, str]:
    if answer.problem:
        return answer.preprocessing, "-", answer.problem
    best, label = answer.best[0], answer.label
    note = ""
    if label is not None and label != best:
        note = f"; the label {label.probability:.3f} at rank {label.rank}"
    elif label is not None:
        note = ", the label"
    return (
        answer.preprocessing,
        f"{best.probability:.3f}",
        f"{_shorten_name(best.name)} ({best.target}){note}",
    )


def wrap_line(text: str) -> list[str]:
    """Wrap a text at the width of help, indented."""
    return textwrap.wrap(
        text, 98, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )


def _shorten_name(name: str) -> str:
    """Return the first synonym of a class, no longer than a column has room for."""
    first = name.split(",")[0]
    return first if len(first) <= 24 else f"{first[:23]}…"


def _describe_field(name: str, value: Any) -> str:
    text = _shorten([_shorten_name(part) for part in value] if name == "class_names" else value)
    is_multilabel = name == "head" and text.startswith("multilabel-")
    return f"{text} (independent labels)" if is_multilabel else text


def _shorten(value: Any) -> str:
    """Format a value on one line; long lists are shortened."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {entry}" for key, entry in value.items())
    if not isinstance(value, tuple | list):
        return str(value)
    if len(value) > 6:
        return f"{len(value)}: {value[0]}, {value[1]}, … {value[-1]}"
    return ", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)


def _align(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Format rows of three texts with the first two columns aligned."""
    rows = list(rows)
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    for first, second, third in rows:
        yield f"  {first:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip()
