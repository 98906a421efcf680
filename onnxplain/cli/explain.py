"""``onnxplain explain``: heatmaps of photos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from onnxplain import registry
from onnxplain.api import Failure, explain_many
from onnxplain.cli.explain_plan import Planned, read_explain_plan
from onnxplain.cli.inpainters import inpainter_flags, inpainter_options
from onnxplain.cli.models import FILE, max_pixels_option, model_flags, model_options
from onnxplain.cli.parameters import Family, completed
from onnxplain.cli.progress import clear_line, progress
from onnxplain.cli.reporting import Interrupted, describe, reported
from onnxplain.cli.sections import SectionedCommand
from onnxplain.core.errors import OutputError
from onnxplain.core.flow import Method
from onnxplain.core.protocols import Fill
from onnxplain.fills import Inpaint
from onnxplain.loading import DEFAULT_INPAINTER, DEFAULT_MODEL, load, load_inpainter
from onnxplain.registry import Entry, parse_entry
from onnxplain.results import Explanation, SavedFiles, check_folder
from onnxplain.runtime import OnnxClassifier

METHODS = Family("method", "", registry.get_methods())
FILLS = Family("fill", "fill-", registry.get_fills())


@click.command(
    cls=SectionedCommand,
    epilog="""Before the colon stands which methods or fills take a parameter.

Exit code: 0, all explained; 1, something failed, the rest is written; 2, a wrong command line.

\b
onnxplain explain photo.jpg
onnxplain explain photo.jpg --method lime --fill blur --target top-3
onnxplain explain *.jpg --model resnet50.onnx --preprocessing torchvision --json
""",
)
@click.argument("images", nargs=-1, required=True, type=FILE, metavar="IMAGE...")
@click.option(
    "-m",
    "--model",
    type=FILE,
    default=DEFAULT_MODEL,
    show_default=True,
    metavar="MODEL",
    help="An ONNX file, or a name that onnxplain zoo list shows.",
)
@click.option(
    "--method",
    shell_complete=completed([*METHODS.classes, *registry.GENERATIVE]),
    metavar="NAME[:KEY=VALUE,...]",
    help=f"{', '.join([*METHODS.classes, *registry.GENERATIVE])}; those with -g fill with an "
    "inpainter.  [default: rise]",
)
@click.option(
    "--fill",
    shell_complete=completed(FILLS.classes),
    metavar="NAME[:KEY=VALUE,...]",
    help=f"What stands in for removed pixels: {', '.join(FILLS.classes)}.  "
    "[default: that of the method's paper]",
)
@click.option(
    "-t",
    "--target",
    multiple=True,
    metavar="CLASS",
    help="Index or name of a class, or top-N; may be given several times.  "
    "[default: the predicted one]",
)
@click.option(
    "--inpainter",
    type=FILE,
    metavar="MODEL",
    help="What fills in the -g methods: an ONNX file, described by the table [inpainter] of the "
    f".toml file beside it or by options, or a name in the zoo.  [default: {DEFAULT_INPAINTER}]",
)
@click.option("--seed", type=int, help="Decides every random draw.  [default: 0]")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=True, path_type=Path),
    default="explanations",
    show_default=True,
    metavar="DIR",
    help="Folder for the overlays (.png), heatmaps (.npz) and records (.json).",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A TOML file with method, fill, target and seed; options win over it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object an explanation.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@max_pixels_option
@model_options
@METHODS.options
@FILLS.options
@inpainter_options
@click.pass_context
def command(
    ctx: click.Context,
    images: tuple[str, ...],
    model: str,
    method: str | None,
    fill: str | None,
    target: tuple[str, ...],
    inpainter: str | None,
    seed: int | None,
    output: Path,
    plan_file: Path | None,
    as_json: bool,
    quiet: bool,
    max_pixels: int,
) -> None:
    """Explain why a classifier sees what it sees in the IMAGEs.

    Writes an overlay, a heatmap and a record of each into a folder, and prints one line each.
    """
    with reported(arguments=True):
        plan = read_explain_plan(plan_file) if plan_file else Planned()
        chosen, implied = _method(ctx, method, plan.method)
        filled = _fill(ctx, fill, plan.fill, implied, chosen.usual_fill, inpainter)
        check_folder(output)
        classifier = load(model, **model_flags(ctx))
    quiet = quiet or as_json
    if not quiet:
        click.echo(_what_runs(classifier), err=True)
    # A method that adapts to what it is told may stop early: the bar shows the most there can be.
    label = "evaluations, at most" if chosen.adaptive else "evaluations"
    with progress(shown=not quiet, label=label) as move:
        with reported(arguments=True):
            outcomes = explain_many(
                classifier,
                images,
                chosen,
                target=target or plan.target or None,
                fill=filled,
                seed=(plan.seed or 0) if seed is None else seed,
                max_pixels=max_pixels,
                on_progress=move,
            )
        with reported():
            failed = _finish(outcomes, output, as_json)
    if failed:
        ctx.exit(1)


def _method(ctx: click.Context, given: str | None, planned: Entry) -> tuple[Method, str | None]:
    """The method asked for, else the planned one, and the fill that its name implies."""
    asked = parse_entry(given) if given else planned
    base, implied = registry.split_generative(asked.name)
    parameters = {**asked.parameters, **METHODS.given(ctx, base)}
    if registry.split_generative(planned.name)[0] == base:
        parameters = {**planned.parameters, **parameters}
    return registry.make_method(base, parameters), implied


def _fill(
    ctx: click.Context,
    given: str | None,
    planned: Entry | None,
    implied: str | None,
    usual: str,
    inpainter: str | None,
) -> Fill:
    """The fill asked for, else the planned one, that of the method's name, or its usual one."""
    asked = parse_entry(given) if given else planned
    if implied and asked and asked.name != implied:
        whose = "--fill" if given else "the plan's fill"
        raise ValueError(f"a method with -g has the fill {implied!r}, got {whose} {asked.name}")
    asked = asked or Entry(implied or usual)
    name = asked.name
    description = inpainter_flags(ctx)
    if (inpainter or description) and name != Inpaint.name:
        raise ValueError(
            "--inpainter and its description are for the -g methods and for --fill inpaint"
        )
    parameters = {**asked.parameters, **(FILLS.given(ctx, name) if name in FILLS.classes else {})}
    if planned and planned.name == name:
        parameters = {**planned.parameters, **parameters}
    painter = None
    if name == Inpaint.name:
        device = model_flags(ctx).get("device", "auto")
        painter = load_inpainter(
            inpainter or DEFAULT_INPAINTER, device=device, description=description
        )
    return registry.make_fill(name, parameters, painter)


def _what_runs(classifier: OnnxClassifier) -> str:
    ran = classifier.provenance
    return (
        f"{ran['model']} on {ran['device']} ({ran['provider']}), batches of "
        f"{classifier.batch_size}, {classifier.workers} at a time"
    )


def _finish(outcomes: Iterator[Explanation | Failure], folder: Path, as_json: bool) -> int:
    """Write and print what comes; how many images failed."""
    failed = 0
    written = 0
    try:
        for outcome in outcomes:
            clear_line()
            if isinstance(outcome, Explanation):
                try:
                    saved = outcome.save(folder)
                except (OutputError, ValueError) as error:
                    outcome = Failure(outcome.image, error)
            if isinstance(outcome, Failure):
                failed += 1
                click.echo(f"Error: {describe(outcome.image, outcome.error)}", err=True)
                continue
            written += 1
            click.echo(_as_json(outcome, saved) if as_json else _as_line(outcome, saved))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {written} explanations are in {folder}") from None
    return failed


def _as_line(explanation: Explanation, saved: SavedFiles) -> str:
    image, overlay = map(click.format_filename, (explanation.image, str(saved.overlay)))
    return (
        f"{image}: {explanation.target_name} ({explanation.target}) "
        f"{explanation.score:.3f}, {explanation.method} with {explanation.fill}, "
        f"{explanation.evaluations} evaluations{_inpaints(explanation)} "
        f"in {explanation.seconds:.1f} s: {overlay}"
    )


def _inpaints(explanation: Explanation) -> str:
    if not explanation.inpaints:
        return ""
    return f" and {explanation.inpaints} inpaints ({explanation.inpaint_share:.0%} of the time)"


def _as_json(explanation: Explanation, saved: SavedFiles) -> str:
    """One JSON object; its keys stay what they are."""
    classifier = explanation.provenance["classifier"]
    return json.dumps(
        {
            "image": explanation.image,
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
    )
