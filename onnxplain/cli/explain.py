"""``onnxplain explain``: make heatmaps of photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from onnxplain import registry
from onnxplain.api import check_question, explain_many, name_evaluations
from onnxplain.cli.clusters import add_cluster_options, get_cluster
from onnxplain.cli.explain_images import find_images
from onnxplain.cli.explain_plan import ExplainPlan, read_explain_plan
from onnxplain.cli.inpainters import add_inpainter_options, get_inpainter_flags
from onnxplain.cli.models import (
    add_model_options,
    get_model_flags,
    max_pixels_option,
    white_option,
)
from onnxplain.cli.outcomes import save_and_print, show_failure
from onnxplain.cli.parameters import ParameterOptions, make_entry_completer
from onnxplain.cli.paths import FILE, PATH
from onnxplain.cli.progress import show_progress
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SECTIONS, SectionedCommand
from onnxplain.cli.terminal import show
from onnxplain.cli.topics import write_lists, write_named
from onnxplain.core.flow import Method
from onnxplain.core.params import build
from onnxplain.core.protocols import Fill
from onnxplain.fills import Inpaint
from onnxplain.loading import DEFAULT_INPAINTER, DEFAULT_MODEL, describe, load_inpainter
from onnxplain.plot import Look
from onnxplain.registry import Entry, parse_entry
from onnxplain.results import open_folder
from onnxplain.runtime import OnnxClassifier

METHODS = ParameterOptions("method", "", registry.get_methods())
FILLS = ParameterOptions("fill", "fill-", registry.get_fills())
TWINS = registry.GENERATIVE.items()
FIGURES = ParameterOptions("figure", "figure-", {"figure": Look})


@click.command(
    cls=SectionedCommand,
    folded=SECTIONS,
    common=("model_device", "model_preprocessing", "model_labels"),
    write_named=write_named,
    write_lists=write_lists,
    epilog="""Exit code: 0, everything was explained; 1, something failed, and the rest was
written; 2, the command line is wrong.

\b
onnxplain explain photo.jpg
onnxplain explain photo.jpg --method lime --fill blur --target top-3
onnxplain explain *.jpg -m resnet50.onnx --preprocessing torchvision --json
onnxplain explain photos/ --recursive
curl -s https://example.org/photo.jpg | onnxplain explain -
onnxplain explain --method rise --help
""",
)
@click.argument("images", nargs=-1, required=True, type=FILE, metavar="IMAGE...")
@click.option(
    "-r", "--recursive", is_flag=True, help="Look for photos in the folders below a folder, too."
)
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
    shell_complete=make_entry_completer(
        {**METHODS.classes, **{twin: METHODS.classes[name] for twin, (name, _) in TWINS}}
    ),
    metavar="NAME[:KEY=VALUE,...]",
    help="One of the methods below, with parameters if you like: rise:n_masks=8000.  "
    "[default: rise]",
)
@click.option(
    "--fill",
    shell_complete=make_entry_completer(FILLS.classes),
    metavar="NAME[:KEY=VALUE,...]",
    help="What replaces removed pixels, one of the fills below.  [default: that of the method's "
    "paper]",
)
@click.option(
    "-t",
    "--target",
    multiple=True,
    metavar="CLASS",
    help="Index of a class, its name or a part that only its name has, or top-N; may be given "
    "several times.  "
    "[default: the predicted class]",
)
@click.option(
    "--inpainter",
    type=FILE,
    metavar="MODEL",
    help="The inpainter of the -g methods: an ONNX file or a name in the zoo.  "
    f"[default: {DEFAULT_INPAINTER}]",
)
@click.option("--seed", type=int, help="Decides every random draw.  [default: 0]")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default="explanations",
    show_default=True,
    metavar="DIR",
    help="Folder for the pictures (.png), heatmaps (.npz) and records (.json).",
)
@click.option(
    "--plan",
    "plan_file",
    type=PATH,
    metavar="FILE",
    help="A TOML file with method, fill, target and seed; options override it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per explanation.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@max_pixels_option
@white_option
@add_model_options
@add_cluster_options
@METHODS.add_options
@FILLS.add_options
@FIGURES.add_options
@add_inpainter_options
@click.pass_context
def command(
    ctx: click.Context,
    images: tuple[str, ...],
    recursive: bool,
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
    white: int | None,
) -> None:
    """Explain why a classifier sees what it sees in the IMAGEs.

    An IMAGE is a file, a folder of photos, a pattern such as 'photos/*.jpg', or - for a file from
    standard input. For each explanation, a picture, a heatmap and a record are written into a
    folder, and one line is printed.
    """
    with report_errors(arguments=True):
        plan = read_explain_plan(plan_file) if plan_file else ExplainPlan()
        look = build(Look, FIGURES.get_parameters(ctx, "figure"))
        chosen, implied = _choose_method(ctx, method, plan.method)
        make_fill = _choose_fill(ctx, fill, plan.fill, implied, chosen, inpainter)
        cluster = get_cluster(ctx)
        ctx.with_resource(open_folder(output))
        found = find_images(images, recursive=recursive)
    for failure in found.failures:
        show_failure(failure, as_json=as_json)
    if not found.images:
        ctx.exit(1)
    asked = target or plan.target or None
    seed = (plan.seed or 0) if seed is None else seed
    with report_errors(arguments=True):
        described = describe(model, **get_model_flags(ctx))
        check_question(
            chosen, asked, seed, class_names=described.class_names, size=described.size
        )  # before what may take a minute
        chosen_fill = make_fill()
        classifier = described.open()
    quiet = quiet or as_json
    if not quiet:
        show(_describe_run(classifier), err=True)
    with show_progress(shown=not quiet, label=name_evaluations(chosen)) as move:
        with report_errors(arguments=True):
            outcomes = explain_many(
                classifier,
                found.images,
                chosen,
                target=asked,
                fill=chosen_fill,
                seed=seed,
                max_pixels=max_pixels,
                white=white,
                cluster=cluster,
                on_progress=move,
            )
        with report_errors():
            counts = save_and_print(outcomes, output, look, as_json=as_json)
    if not quiet and counts.written:
        show(f"{output}: {counts.written} x .png, .npz and .json", err=True)
    if n_failed := counts.failed + len(found.failures):
        if not quiet and counts.written:
            show(f"{n_failed} failed: see the errors above", err=True)
        ctx.exit(1)


def _choose_method(
    ctx: click.Context, given: str | None, planned: Entry
) -> tuple[Method, str | None]:
    """Return the method of the command line or the plan, and the fill that its name implies."""
    wanted = parse_entry(given) if given else planned
    base, implied = registry.split_generative(wanted.name)
    parameters = {**wanted.parameters, **METHODS.get_parameters(ctx, base)}
    if registry.split_generative(planned.name)[0] == base:
        parameters = {**planned.parameters, **parameters}
    return registry.make_method(base, parameters), implied


def _choose_fill(
    ctx: click.Context,
    given: str | None,
    planned: Entry | None,
    implied: str | None,
    method: Method,
    inpainter: str | None,
) -> Callable[[], Fill]:
    """Choose the fill of the command line, of the plan, of the method's name, or of its paper.

    It is returned as a function, since an inpainter takes time to load.
    """
    wanted = parse_entry(given) if given else planned
    if implied and wanted and wanted.name != implied:
        source = "--fill" if given else "the plan's fill"
        raise ValueError(
            f"a method with -g has the fill {implied!r}, but {source} is {wanted.name}"
        )
    wanted = wanted or Entry(implied or method.usual_fill)
    name = wanted.name
    registry.check_may_fill(method, name)
    description = get_inpainter_flags(ctx)
    if (inpainter or description) and name != Inpaint.name:
        raise ValueError(
            "--inpainter and the --inpainter- options need a -g method or --fill inpaint"
        )
    options = FILLS.get_parameters(ctx, name) if name in FILLS.classes else {}
    parameters = {**wanted.parameters, **options}
    if planned and planned.name == name:
        parameters = {**planned.parameters, **parameters}
    if name != Inpaint.name:
        made = registry.make_fill(name, parameters)
        return lambda: made
    device = get_model_flags(ctx).get("device", "auto")

    def load_fill() -> Fill:
        painter = load_inpainter(
            inpainter or DEFAULT_INPAINTER, device=device, description=description
        )
        return registry.make_fill(name, parameters, painter)

    return load_fill


def _describe_run(classifier: OnnxClassifier) -> str:
    """Format which model runs on which device, and in which batches."""
    ran = classifier.provenance
    return (
        f"{ran['model']} on {ran['device']} ({ran['provider']}), batches of "
        f"{classifier.batch_size}, {classifier.workers} at a time"
    )
