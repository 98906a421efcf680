"""``onnxplain evaluate``: compare methods on labelled images."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import click

from onnxplain import registry
from onnxplain.cli.clusters import add_cluster_options, get_cluster
from onnxplain.cli.inpainters import add_inpainter_options, get_inpainter_flags
from onnxplain.cli.models import add_model_options, get_model_flags, max_pixels_option, white_option
from onnxplain.cli.parameters import make_entry_completer
from onnxplain.cli.paths import PATH
from onnxplain.cli.printing import StudyView, print_study
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import SectionedCommand
from onnxplain.cli.terminal import show
from onnxplain.cli.topics import write_named
from onnxplain.loading import DEFAULT_INPAINTER, DEFAULT_MODEL
from onnxplain.metrics.by_model import BY_MODEL
from onnxplain.metrics.naming import NAMED_METRICS
from onnxplain.registry import Entry, parse_entry
from onnxplain.report import write_report
from onnxplain.study.evaluate import evaluate
from onnxplain.study.plan import Plan, read_plan
from onnxplain.study.result import Study
from onnxplain.study.writing import check_parquet


def parse_entry_option(text: str) -> Entry:
    """Parse a name with parameters."""
    try:
        return parse_entry(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def parse_shard(text: str) -> tuple[int, int]:
    """Parse a part and the number of parts: ``2/4``."""
    numbers = re.fullmatch(r"(\d+)/(\d+)", text)
    if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise click.BadParameter(f"{text!r} is not a part like 1/4 or 4/4")
    return int(numbers[1]), int(numbers[2])


@click.command(
    cls=SectionedCommand,
    folded=("model_", "ray_", "inpainter_"),
    common=("model_device", "model_batch_size", "ray_address"),
    write_named=write_named,
    epilog="""Parameters follow a name: --method sp:patch=29,stride=2 --metric deletion:fill=black.

A run that is started again continues where it was stopped, and computes only what is missing or
affected by changed parameters. Exit code: 0, everything was judged; 1, something failed; 2, the
command line is wrong.

\b
onnxplain evaluate photos --annotations labels.csv --limit 100 --method sp --method rise
onnxplain evaluate photos --plan plan.toml --shard 1/2 -o part1
onnxplain merge part1 part2 -o all
onnxplain evaluate photos --plan plan.toml -o all
""",
)
@click.argument("images", required=False, type=PATH, metavar="[FOLDER]")
@click.option(
    "--annotations",
    type=PATH,
    metavar="FILE",
    help="What the images show: a .csv (file, class_index or class_name or both, and xmin, ymin, "
    "xmax, ymax, width, height for boxes), a folder of ImageNet's .xml, or COCO's .json.  "
    "[default: each folder in FOLDER is a class; images beside these folders have no label and "
    "are explained for the predicted class]",
)
@click.option(
    "--wnids",
    type=PATH,
    metavar="FILE",
    help="A .csv with the columns wnid and class_index; needed if labels are WordNet ids.",
)
@click.option(
    "-m",
    "--model",
    "models",
    type=parse_entry_option,
    multiple=True,
    metavar="MODEL",
    help="An ONNX file, or a name that onnxplain zoo list shows; may be given several times.  "
    f"[default: {DEFAULT_MODEL}]",
)
@click.option(
    "--method",
    "methods",
    type=parse_entry_option,
    shell_complete=make_entry_completer(registry.get_methods()),
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="A method of onnxplain explain; random, a random heatmap; or given:folder=DIR, heatmaps "
    "made elsewhere: DIR/PATH.npy for the image FOLDER/PATH.jpg, or DIR/NAME.npy if only one image "
    "has the name NAME.  May be given several times.  "
    "[default: random, rise]",
)
@click.option(
    "--fill",
    "fills",
    type=parse_entry_option,
    shell_complete=make_entry_completer(registry.get_fills()),
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="What replaces removed pixels; every method runs with every fill.  May be given "
    "several times.  [default: the fill of each method's paper]",
)
@click.option(
    "--metric",
    "metrics",
    type=parse_entry_option,
    shell_complete=make_entry_completer(NAMED_METRICS),
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help=f"{', '.join(NAMED_METRICS)}; most take fill=NAME; "
    f"{' and '.join(BY_MODEL)} take model=MODEL, another classifier or a distance between two "
    "images.  May be given several times.  "
    "[default: deletion, insertion]",
)
@click.option(
    "--inpainter",
    metavar="MODEL",
    help="The inpainter of the -g methods: an ONNX file or a name in the zoo.  "
    f"[default: {DEFAULT_INPAINTER}]",
)
@click.option(
    "--seed", type=int, help="Decides every random draw, and which images are taken.  [default: 0]"
)
@click.option("--limit", type=int, metavar="N", help="Take N images, drawn by the seed.")
@click.option(
    "--held-out",
    type=float,
    metavar="SHARE",
    help="Share of the images on which the thresholds of localisation and saliency are chosen; the "
    "other images are reported.  [default: 1/3]",
)
@click.option(
    "--only-correct/--all-images",
    default=None,
    help="Whether to leave out images that are classified wrongly.  [default: leave out]",
)
@click.option(
    "--plan",
    "plan_file",
    type=PATH,
    metavar="FILE",
    help="A TOML file with the settings above; options override it.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    default="evaluation",
    show_default=True,
    metavar="DIR",
    help="Folder for the rows (rows.jsonl) and tables (.csv, .md, .tex, .parquet), and for "
    "report.html if onnxplain[report] is installed.",
)
@click.option(
    "--keep-heatmaps",
    type=PATH,
    metavar="DIR",
    help="Keep heatmaps as .npy in DIR, and use those that are already there.",
)
@click.option(
    "--shard",
    type=parse_shard,
    metavar="I/N",
    help="Judge only the I-th of N parts of the images; give each part its own --output, and "
    "join the rows with onnxplain merge.",
)
@click.option(
    "--parquet",
    is_flag=True,
    help="Write the tables and all scores as Parquet too; needs pip install 'onnxplain[parquet]'.",
)
@click.option("--retry", is_flag=True, help="Repeat work that failed before.")
@click.option("-q", "--quiet", is_flag=True, help="Print the tables and errors only.")
@max_pixels_option
@white_option
@add_model_options
@add_cluster_options
@add_inpainter_options
@click.pass_context
def command(
    ctx: click.Context,
    images: Path | None,
    annotations: Path | None,
    wnids: Path | None,
    models: tuple[Entry, ...],
    methods: tuple[Entry, ...],
    fills: tuple[Entry, ...],
    metrics: tuple[Entry, ...],
    inpainter: str | None,
    seed: int | None,
    limit: int | None,
    held_out: float | None,
    only_correct: bool | None,
    plan_file: Path | None,
    output: Path,
    keep_heatmaps: Path | None,
    shard: tuple[int, int] | None,
    parquet: bool,
    retry: bool,
    quiet: bool,
    max_pixels: int,
    white: int | None,
) -> None:
    """Compare methods, fills and classifiers on the labelled images of FOLDER.

    One row per image, method and metric is written as the work is done. At the end, tables are
    written and printed: means with confidence intervals, and paired tests between methods.
    """
    with report_errors(), StudyView(quiet=quiet) as view:
        try:
            if parquet:
                check_parquet()
            plan = read_plan(plan_file) if plan_file else Plan()
            study = evaluate(
                images,
                plan=plan,
                models=_describe_models(ctx, plan, models),
                methods=methods or None,
                fills=fills or None,
                metrics=metrics or None,
                annotations=annotations,
                wnids=wnids,
                inpainter=_describe_inpainter(ctx, plan, inpainter),
                seed=seed,
                limit=limit,
                held_out=held_out,
                only_correct=only_correct,
                output=output,
                keep_heatmaps=keep_heatmaps,
                shard=shard,
                retry=retry,
                device=get_model_flags(ctx).get("device", "auto"),
                max_pixels=max_pixels,
                white=white,
                cluster=get_cluster(ctx),
                on_progress=view.update,
            )
        except (ValueError, TypeError) as error:
            if view.is_running:  # a fault of the program, not of the command line
                raise
            raise click.UsageError(str(error)) from error
    with report_errors():
        view.print_earlier_failures(study)
        if parquet:
            study.write_parquet()
        print_study(study, quiet=quiet)
        if find_spec("jinja2"):
            _write_report(study, keep_heatmaps, quiet=quiet)
    if study.failures:
        ctx.exit(1)


def _write_report(study: Study, heatmaps: Path | None, *, quiet: bool) -> None:
    """Write the page of a study beside its tables, and say where it is."""
    page = study.output / "report.html"
    kept = heatmaps if heatmaps is not None and heatmaps.is_dir() else None
    for failure in write_report(study, page, heatmaps=kept):
        show(f"Warning: not in {page.name}: {failure.reason}", err=True)
    if not quiet:
        show(f"{page}: the photos, maps, curves and tables in one page", err=True)


def _describe_models(ctx: click.Context, plan: Plan, models: tuple[Entry, ...]) -> list[Entry]:
    """Add the model options to every model; a model's own parameters override them."""
    flags = get_model_flags(ctx)
    named = models or plan.models or (Entry(DEFAULT_MODEL),)
    return [
        Entry(model.name, {**flags, **model.parameters})
        for model in named
        if isinstance(model, Entry)  # always so in a plan file
    ]


def _describe_inpainter(ctx: click.Context, plan: Plan, inpainter: str | None) -> Entry:
    """Add the inpainter options to the inpainter."""
    name = str(inpainter or plan.inpainter or DEFAULT_INPAINTER)
    return Entry(name, get_inpainter_flags(ctx))
