"""``onnxplain evaluate``: methods judged on labelled images."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import click

from onnxplain.cli.inpainters import inpainter_flags, inpainter_options
from onnxplain.cli.models import max_pixels_option, model_flags, model_options
from onnxplain.cli.printing import current, report, tell
from onnxplain.cli.progress import progress
from onnxplain.cli.reporting import Interrupted, reported
from onnxplain.cli.sections import SectionedCommand
from onnxplain.loading import DEFAULT_INPAINTER, DEFAULT_MODEL, load, load_inpainter
from onnxplain.registry import Entry, parse_entry
from onnxplain.results import check_folder
from onnxplain.runtime import OnnxClassifier
from onnxplain.study.dataset import Item, draw_sample, read_items
from onnxplain.study.given import Given
from onnxplain.study.judges import BY_MODEL, JUDGES, check_boxes, check_same_classes, make_judges
from onnxplain.study.plan import Plan, call_loader, make_explainers, read_plan
from onnxplain.study.rows import RowFile
from onnxplain.study.run import find_known_items, study_classifier
from onnxplain.study.writing import check_parquet


def entries(text: str) -> Entry:
    """A name with parameters, as an option has it."""
    try:
        return parse_entry(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def shard_of(text: str) -> tuple[int, int]:
    """Which part of how many: 2/4."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"{text!r} is not a part like 1/4 or 4/4")
    return int(found[1]), int(found[2])


@click.command(
    cls=SectionedCommand,
    epilog="""Parameters follow a name: --method sp:patch=29,stride=2 --metric deletion:fill=black.

Started again, a run goes on where it was stopped, and computes only what changed parameters
touch. Exit code: 0, all judged; 1, something failed; 2, a wrong command line.

\b
onnxplain evaluate photos --annotations labels.csv --limit 100 --method sp --method rise
onnxplain evaluate photos --plan plan.toml --shard 1/2 -o part1
onnxplain merge all/rows.jsonl part1/rows.jsonl part2/rows.jsonl
onnxplain evaluate photos --plan plan.toml -o all
""",
)
@click.argument("images", required=False, type=click.Path(path_type=Path), metavar="[FOLDER]")
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What the images show: a .csv (file, class_index or class_name or both, and xmin, ymin, "
    "xmax, ymax, width, height for boxes), a folder of ImageNet's .xml, or COCO's .json.  "
    "[default: the names of the folders in FOLDER; images beside them have no label, and the "
    "predicted class is explained]",
)
@click.option(
    "--wnids",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .csv with wnid and class_index, where labels are WordNet ids.",
)
@click.option(
    "-m",
    "--model",
    "models",
    type=entries,
    multiple=True,
    metavar="MODEL",
    help="An ONNX file, or a name that onnxplain zoo list shows; may be given several times.  "
    f"[default: {DEFAULT_MODEL}]",
)
@click.option(
    "--method",
    "methods",
    type=entries,
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="A method of onnxplain explain; random, a random heatmap; or given:folder=DIR, heatmaps "
    "made elsewhere, DIR/PATH.npy for the image FOLDER/PATH.jpg, or DIR/NAME.npy where one image "
    "alone is called NAME.  May be given several times.  "
    "[default: random, rise]",
)
@click.option(
    "--fill",
    "fills",
    type=entries,
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="Runs with every method; may be given several times.  [default: that of each method's "
    "paper]",
)
@click.option(
    "--metric",
    "metrics",
    type=entries,
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help=f"{', '.join(JUDGES)}; may be given several times; most take fill=NAME, and "
    f"{' and '.join(BY_MODEL)} model=MODEL, another classifier or a distance of two images.  "
    "[default: deletion, insertion]",
)
@click.option(
    "--inpainter",
    metavar="MODEL",
    help="What fills in the -g methods: an ONNX file or a name in the zoo.  "
    f"[default: {DEFAULT_INPAINTER}]",
)
@click.option(
    "--seed", type=int, help="Decides every random draw, and which images are taken.  [default: 0]"
)
@click.option("--limit", type=int, metavar="N", help="Take so many images, drawn by the seed.")
@click.option(
    "--held-out",
    type=float,
    metavar="SHARE",
    help="Images on which the thresholds of localisation and saliency are chosen; the others "
    "are reported.  [default: 1/3]",
)
@click.option(
    "--only-correct/--all-images",
    default=None,
    help="Whether to leave out images that are classified wrongly.  [default: leave out]",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A TOML file with all of these; options win over it.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="evaluation",
    show_default=True,
    metavar="DIR",
    help="Folder for the rows (rows.jsonl) and tables (.csv, .md, .tex, .parquet).",
)
@click.option(
    "--keep-heatmaps",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the heatmaps as .npy, and use those kept before.",
)
@click.option(
    "--shard",
    type=shard_of,
    metavar="I/N",
    help="Do the I-th of N parts of the images only; give each part a folder of its own, and "
    "join them with onnxplain merge.",
)
@click.option(
    "--parquet",
    is_flag=True,
    help="Write the tables and all scores as Parquet too; needs pip install 'onnxplain[parquet]'.",
)
@click.option("--retry", is_flag=True, help="Do again what failed before.")
@click.option("-q", "--quiet", is_flag=True, help="Print the tables and errors only.")
@max_pixels_option
@model_options
@inpainter_options
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
) -> None:
    """Compare methods, fills and classifiers on the labelled images of FOLDER.

    Writes one row an image, method and metric as it is done, and at the end prints and writes
    tables: means with confidence intervals, and paired tests between methods.
    """
    given: dict[str, Any] = {
        "images": images and str(images),
        "annotations": annotations and str(annotations),
        "wnids": wnids and str(wnids),
        "models": models,
        "methods": methods,
        "fills": fills,
        "metrics": metrics,
        "inpainter": inpainter,
        "seed": seed,
        "limit": limit,
        "held_out": held_out,
        "only_correct": only_correct,
    }
    with reported(arguments=True):
        if parquet:
            check_parquet()
        plan = read_plan(plan_file) if plan_file else Plan()
        plan = replace(plan, **{k: v for k, v in given.items() if v not in (None, ())})
        found = _items(plan)
        items = _part(draw_sample(found, plan.limit, plan.seed), shard)
        flags = model_flags(ctx)
        device = flags.get("device", "auto")
        painter = cache(
            lambda: load_inpainter(
                plan.inpainter or DEFAULT_INPAINTER,
                device=device,
                description=inpainter_flags(ctx),
            )
        )
        asked = make_explainers(plan, painter)
        for one in asked:
            if isinstance(one.method, Given):
                one.method.check(item.file for item in found)
        judging = make_judges(plan, painter, device=device)
        check_boxes(judging, found)
        # All before the first runs for hours, and the last is found to be none.
        waiting = []
        for model in plan.models or (Entry(DEFAULT_MODEL),):
            classifier = call_loader(load, model.name, **{**flags, **model.parameters})
            check_same_classes(judging, classifier.class_names)
            waiting.append((model.name, classifier, _known(items, classifier)))
        check_folder(output)
        if keep_heatmaps:
            check_folder(keep_heatmaps)
        store = RowFile(output / "rows.jsonl")
    keys: set[str] = set()
    while waiting:
        name, classifier, known = waiting.pop(0)  # that is free to go when it is done
        with progress(shown=not quiet, label=name) as move, reported():
            count = _Count(len(known) * len(asked), move)
            try:
                for step in study_classifier(
                    classifier,
                    known,
                    asked,
                    judging,
                    store,
                    seed=plan.seed,
                    only_correct=plan.only_correct,
                    heatmaps=keep_heatmaps,
                    retry=retry,
                    max_pixels=max_pixels,
                    on_progress=count.scored,
                ):
                    keys.update(step.keys)
                    tell(step.rows)
                    count.settled(step.units)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"interrupted; what is done is in {store.path}, and the same command goes on"
                ) from None
    with reported():
        report(lambda: current(store.path, keys), plan, output, parquet=parquet, quiet=quiet)
    if any(store.done[key] == "error" for key in keys):
        ctx.exit(1)


@dataclass
class _Count:
    """What the bar shows of one classifier's study."""

    total: int  # pairs of an image and a method
    move: Callable[[int, int, int], None]
    done: int = 0
    inpaints: int = 0

    def scored(self, evaluations: int, inpaints: int) -> None:
        """Some images were scored, some holes filled."""
        if inpaints:
            self.inpaints += inpaints
            self.move(self.done, self.total, self.inpaints)

    def settled(self, units: int) -> None:
        """Some pairs are judged."""
        self.done += units
        self.move(self.done, self.total, self.inpaints)


def _items(plan: Plan) -> list[Item]:
    """All that the folder holds, whichever of them are taken."""
    if plan.images is None:
        raise ValueError("give the FOLDER of the images, or images = in the plan")
    annotations, wnids = (Path(one) if one else None for one in (plan.annotations, plan.wnids))
    return read_items(Path(plan.images), annotations, wnids)


def _part(items: Sequence[Item], shard: tuple[int, int] | None) -> Sequence[Item]:
    part, parts = shard or (1, 1)
    return items[part - 1 :: parts]


def _known(items: Sequence[Item], classifier: OnnxClassifier) -> list[Item]:
    """The images of classes that the classifier knows; warnings about the others."""
    named = classifier.spec.sources.get("class_names") != "numbered"
    known = find_known_items(items, classifier.class_names, named=named)
    if not named and (one := next((item for item in items if item.class_name), None)):
        click.echo(
            f"Warning: the classifier's classes have no names that could be compared, as "
            f"{one.label} is said to be {one.class_name}; class_index decides (--labels FILE, or "
            f"labels= in the plan, names the classes)",
            err=True,
        )
    if known.disputed:
        click.echo(
            f"Warning: class_index and class_name are not the same class of the classifier, as "
            f"{next(iter(known.disputed))}; of {sum(known.disputed.values())} images class_name "
            f"decides (without that column, class_index does)",
            err=True,
        )
    if items and not known.items:
        raise ValueError(
            f"no label is a class of the classifier, as {next(iter(known.unknown))!r}; labels are "
            f"indices or names of its classes, or WordNet ids with --wnids"
        )
    if known.unknown:
        listed = ", ".join(list(known.unknown)[:5]) + (", ..." if len(known.unknown) > 5 else "")
        click.echo(
            f"Warning: {sum(known.unknown.values())} images are left out, as the classifier has no "
            f"class {listed}",
            err=True,
        )
    return known.items
