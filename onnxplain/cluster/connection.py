"""Ray itself: imported quietly, started on this machine or joined where it runs, and given work."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from onnxplain.cluster.ray_settings import LOCAL, Ray
from onnxplain.cluster.worker import ClusterError
from onnxplain.core.errors import LibraryMissing, OnnxplainError, format_in_one_line

ANSWER_SECONDS = 10.0  # in which a cluster must answer; Ray itself tries for two minutes
STORE_BYTES = 200 * 2**20  # of Ray's memory for objects: answers are small, and taken at once


def import_ray() -> Any:
    """Import Ray, and keep it from telling its authors and printing among results.

    Raises
    ------
    LibraryMissing
        If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Without it Ray warns that it will hide GPUs otherwise some day; workers ask for theirs.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray prints such lines among results; the crew logs its losses itself.
    os.environ.setdefault(
        "RAY_DEDUP_LOGS_SKIP_REGEX", "worker died or was killed|node with node id"
    )
    try:
        import ray
    except ImportError as error:
        raise LibraryMissing(
            f"working on several processes needs Ray ({error}); pip install 'onnxplain[ray]'"
        ) from error
    return ray


def connect(ray: Any, settings: Ray) -> None:
    """Start Ray on this machine, or join a cluster.

    Raises
    ------
    ClusterError
        If there is no cluster at the address, or none starts here.
    """
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if settings.address == LOCAL:
            cores = settings.workers and max(settings.workers * settings.cores, 1)
            ray.init(
                "local",
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                **quiet,
            )
        else:
            address = settings.address
            _check_answers(os.environ.get("RAY_ADDRESS", "") if address == "auto" else address)
            ray.init(address, **quiet)
    except Exception as error:  # Ray raises bare ones, too
        if settings.address == LOCAL:
            raise ClusterError(
                f"Ray cannot start on this machine: {format_in_one_line(error)}; try again when "
                f"less runs here, or leave the cluster out"
            ) from error
        raise ClusterError(
            f"cannot reach a Ray cluster at {settings.address!r}: {format_in_one_line(error)}; "
            f"start one there with 'ray start --head', or leave the address out"
        ) from error


def _check_answers(address: str) -> None:
    """Check that something listens at an address, if it is one.

    Raises
    ------
    OSError
        If nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()


def pack_work(work: object) -> bytes:
    """Pickle what workers need, by Ray's pickle, which takes functions of notebooks, too.

    Raises
    ------
    ClusterError
        If it cannot be sent to other processes.
    """
    import_ray()
    from ray import cloudpickle

    try:
        content: bytes = cloudpickle.dumps(work)
    except OnnxplainError:
        raise
    except Exception as error:
        raise ClusterError(
            f"the work cannot be sent to other processes: {format_in_one_line(error)}; give models "
            f"by their path, and functions that can be pickled"
        ) from error
    return content
