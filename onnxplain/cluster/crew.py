"""Workers that Ray starts, on this machine or on a cluster, and that are replaced when they die."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from onnxplain.cluster.connection import connect, import_ray, pack_work
from onnxplain.cluster.handing_out import Answered, Event, Joined, Lost
from onnxplain.cluster.ray_settings import Ray
from onnxplain.cluster.worker import ClusterError, Worker, list_versions
from onnxplain.core.errors import format_in_one_line

log = logging.getLogger(__name__)

Answering: TypeAlias = Callable[[Any], Any]

PATIENCE = 1.0  # seconds between two looks at how many workers there should be
FALSE_STARTS = 5  # workers that may die one after the other before they are ready


class Opener(Protocol):
    """Makes the function that answers tasks; called once by every worker."""

    def __call__(self, halvings: int) -> Answering:
        """Open what is needed, with batches halved as often as memory has run out."""
        ...


class WorkerFacts(NamedTuple):
    """Where a worker runs."""

    node: str
    host: str
    pid: int
    cores: tuple[int, ...]  # that it could use; once it is ready, that it uses


@dataclass(eq=False)
class _Member:
    """A worker, from its start on."""

    actor: Any
    halvings: int
    facts: WorkerFacts | None = None
    cores: frozenset[int] = frozenset()  # that it uses


class RayCrew:
    """Workers that Ray starts; made by `gather_crew`.

    Parameters
    ----------
    ray : module
        Ray, connected to a cluster.
    settings : Ray
        How many workers there are, and their size.
    opener : Opener
        What every worker does.

    Attributes
    ----------
    seen : list of WorkerFacts
        All workers that were ready at some time.
    """

    def __init__(self, ray: Any, settings: Ray, opener: Opener) -> None:
        self._ray = ray
        self._settings = settings
        self._content = ray.put(pack_work(opener))
        self._members: dict[int, _Member] = {}
        self._calls: dict[Any, tuple[int, str, Any]] = {}  # reference: worker, step, task
        self._started = 0
        self._false_starts = 0
        self._checked = 0.0
        self._ready: set[int] = set()
        self.seen: list[WorkerFacts] = []

    @property
    def alive(self) -> int:
        """Number of workers that are ready."""
        return len(self._ready)

    def give(self, worker: int, task: Any) -> None:
        """Give a task to a worker, to be answered after those that it holds."""
        call = self._members[worker].actor.answer.remote(task)
        self._calls[call] = worker, "answer", task

    def wait(self) -> Sequence[Event[Any, Any]]:
        """Wait for something to happen, or a second; return what has happened.

        Raises
        ------
        ClusterError
            If no worker can be started.
        """
        if time.monotonic() - self._checked > PATIENCE:
            self._fill_up()
        if not self._calls:
            time.sleep(PATIENCE)
            return []
        done, _ = self._ray.wait(
            list(self._calls), num_returns=1, timeout=PATIENCE, fetch_local=True
        )
        return [event for call in done if (event := self._follow(call)) is not None]

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for member in self._members.values():
            self._ray.kill(member.actor)
        self._members.clear()
        self._calls.clear()

    def _fill_up(self) -> None:
        """Start workers until there are as many as there should be."""
        self._checked = time.monotonic()
        wanted = self._settings.workers or self._count_rooms()
        for _ in range(wanted - len(self._members)):
            self._start(halvings=0)

    def _count_rooms(self) -> int:
        """Count the workers that the machines which have joined so far have room for."""
        settings = self._settings
        rooms = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                by_cores = int(has.get("CPU", 0) // settings.cores)
                by_gpus = int(has.get("GPU", 0) / settings.gpus) if settings.gpus else by_cores
                rooms += min(by_cores, by_gpus)
        if not rooms:
            raise ClusterError(
                f"no machine of the cluster has {settings.cores} cores and {settings.gpus:g} GPUs "
                f"for a worker; ask for less, or add a machine"
            )
        return rooms

    def _start(self, halvings: int) -> None:
        worker, self._started = self._started, self._started + 1
        remote = self._ray.remote(num_cpus=self._settings.cores, num_gpus=self._settings.gpus)
        actor = remote(Worker).remote()
        self._members[worker] = _Member(actor, halvings)
        self._calls[actor.look_around.remote()] = worker, "look", None

    def _follow(self, call: Any) -> Event[Any, Any] | None:
        """Return what a call that has ended means; go on with the start of a worker."""
        entry = self._calls.pop(call, None)
        if entry is None or entry[0] not in self._members:
            return None
        worker, step, task = entry
        member = self._members[worker]
        try:
            result = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            raise ClusterError(f"a worker failed: {format_in_one_line(error)}") from error
        except self._ray.exceptions.RayError as error:
            return self._replace(worker, error)
        if step == "look":
            member.facts = WorkerFacts(*result)
            member.cores = self._choose_cores(member.facts)
            opened = member.actor.open.remote(
                self._content, sorted(member.cores), member.halvings, os.getcwd(), list_versions()
            )
            self._calls[opened] = worker, "open", None
            return None
        value, failure = result
        if step == "answer":
            return Answered(worker, task, value, failure)
        if failure is not None:
            raise failure
        self._false_starts = 0
        assert member.facts is not None
        self.seen.append(member.facts._replace(cores=tuple(sorted(member.cores))))
        self._ready.add(worker)
        return Joined(worker)

    def _choose_cores(self, facts: WorkerFacts) -> frozenset[int]:
        """Choose cores of a machine that no other worker uses, so that threads do not compete."""
        used = {
            core
            for member in self._members.values()
            if member.facts is not None and member.facts.node == facts.node
            for core in member.cores
        }
        free = [core for core in facts.cores if core not in used]
        # Another program's workers may share the machine: then cores are shared, too.
        return frozenset((free or list(facts.cores))[: self._settings.cores])

    def _replace(self, worker: int, error: Exception) -> Lost:
        """Start another worker for one that died."""
        member = self._members.pop(worker)
        self._calls = {call: entry for call, entry in self._calls.items() if entry[0] != worker}
        reason = _describe_death(error)
        if worker not in self._ready:
            self._false_starts += 1
        self._ready.discard(worker)
        if self._false_starts >= FALSE_STARTS:
            raise ClusterError(
                f"{FALSE_STARTS} workers ended one after the other before they were ready, the "
                f"last one because {reason}; try fewer workers, or a smaller model"
            )
        log.warning("a worker ended because %s; starting another", reason)
        self._start(member.halvings + _is_out_of_memory(error))
        return Lost(worker, reason)


@contextmanager
def gather_crew(settings: Ray, opener: Opener) -> Iterator[RayCrew]:
    """Start workers, and end them whatever happens.

    Raises
    ------
    LibraryMissing
        If Ray is not installed.
    ClusterError
        If there is no cluster at the address.
    """
    ray = import_ray()
    connected = ray.is_initialized()  # the caller's own connection stays open
    if not connected:
        connect(ray, settings)
    try:
        crew = RayCrew(ray, settings, opener)
        try:
            yield crew
        finally:
            crew.close()
    finally:
        if not connected:
            ray.shutdown()


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether Ray ended a worker to save memory, which it suspects of every other death."""
    return type(error).__name__ == "OutOfMemoryError" or "running low on memory" in str(error)


def _describe_death(error: Exception) -> str:
    if _is_out_of_memory(error):
        return "memory ran out"
    return f"it died ({format_in_one_line(error).split('. ')[0][:200]})"
