"""The options that share work among several processes and machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from onnxplain.cli.kept import get_kept_options, make_kept_option
from onnxplain.cluster import Ray
from onnxplain.cluster.ray_settings import LOCAL

F = TypeVar("F", bound=Callable[..., object])

PREFIX = "ray_"


def parse_address(text: str) -> str:
    """Parse where a cluster is."""
    try:
        return Ray(text).address
    except ValueError as error:
        raise click.BadParameter(f"{error}; write --ray={LOCAL} for this machine") from error


def add_cluster_options(command: F) -> F:
    """Add the options."""
    options = (
        make_kept_option(
            f"{PREFIX}address",
            "--ray",
            type=parse_address,
            is_flag=False,
            flag_value=LOCAL,
            metavar="[ADDRESS]",
            help="Share the work among processes: of this machine (local, the default), of the "
            "cluster that it belongs to (auto), or of the cluster at an address; needs pip install "
            "'onnxplain[ray]'.",
        ),
        make_kept_option(
            f"{PREFIX}workers",
            "--ray-workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Number of workers.  [default: as many as the cluster has room for]",
        ),
        make_kept_option(
            f"{PREFIX}cores",
            "--ray-cores",
            type=click.IntRange(min=1),
            metavar="N",
            help="Cores per worker.  [default: 1]",
        ),
        make_kept_option(
            f"{PREFIX}gpus",
            "--ray-gpus",
            type=click.FloatRange(min=0),
            metavar="X",
            help="GPUs per worker; less than 1 for a share.  [default: 0]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def get_cluster(ctx: click.Context) -> Ray | None:
    """Return the cluster that the options describe; None if they ask for none.

    Raises
    ------
    ValueError
        If there are options for workers without ``--ray``.
    """
    given = get_kept_options(ctx, PREFIX)
    if not given:
        return None
    if "address" not in given:
        flags = ", ".join(f"--ray-{name}" for name in given)
        raise ValueError(f"{flags} is for work on a cluster; add --ray")
    return Ray(**given)
