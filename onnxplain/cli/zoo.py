"""``onnxplain zoo``: classifiers and an inpainter by name."""

from __future__ import annotations

import json

import click

from onnxplain import zoo
from onnxplain.cli.reporting import reported
from onnxplain.loading import score_photo


@click.group()
def command() -> None:
    """List and build models by name."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a model.")
def list_models(as_json: bool) -> None:
    """List the models of the zoo, the default classifier first."""
    models = zoo.list_models()
    width = max(len(one.name) for one in models)
    for one in models:
        if as_json:
            facts = {"name": one.name, "kind": one.kind, "licence": one.licence}
            click.echo(json.dumps({**facts, "summary": one.summary}))
        else:
            click.echo(f"{one.name:<{width}}  {one.kind:<10}  {one.licence:<12}  {one.summary}")


@command.command("build")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Build it even if it is in the cache.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a model.")
def build_models(names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Build models into the cache folder and print their paths.

    They are built on first use anyway; the cache folder is $ONNXPLAIN_CACHE or the user's.
    """
    for name in names:
        with reported():
            path = str(zoo.build_model(name, force=force, score=score_photo))
        click.echo(json.dumps({"name": name, "path": path}) if as_json else path)
