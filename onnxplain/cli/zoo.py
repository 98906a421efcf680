"""``onnxplain zoo``: list and build the models that are known by name."""

from __future__ import annotations

import click

from onnxplain import zoo
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.terminal import show, show_json
from onnxplain.loading import score_photo


@click.group()
def command() -> None:
    """List and build models by name."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
def list_models(as_json: bool) -> None:
    """List the models of the zoo, the default classifier first."""
    models = zoo.list_models()
    width = max(len(model.name) for model in models)
    for model in models:
        if as_json:
            facts = {"name": model.name, "kind": model.kind, "licence": model.licence}
            show_json({**facts, "summary": model.summary})
        else:
            name = f"{model.name:<{width}}"
            show(f"{name}  {model.kind:<10}  {model.licence:<12}  {model.summary}")


@command.command("build")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Build models even if they are in the cache.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
def build_models(names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Build models into the cache folder and print their paths.

    Models are also built on first use. The cache folder is $ONNXPLAIN_CACHE, or the user's cache
    folder if that is not set.
    """
    for name in names:
        with report_errors():
            path = str(zoo.build_model(name, force=force, score=score_photo))
        if as_json:
            show_json({"name": name, "path": path})
        else:
            show(path)
