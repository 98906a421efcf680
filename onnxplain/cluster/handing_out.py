"""Who gets which task: every task is answered once, whatever happens to the workers.

A worker holds a few tasks, so that it never waits for the next one; it answers them in order. If
it is lost, its tasks go to others, and the one that it was at counts a try.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from onnxplain.core.errors import OnnxplainError

T = TypeVar("T")
R = TypeVar("R")
In = TypeVar("In", contravariant=True)

AHEAD = 2  # tasks that a worker holds: the one it is at, and the next
TRIES = 3  # times that a task may take its worker down


class WorkerLost(OnnxplainError):
    """A task whose workers ended without an answer, several times."""


class Joined(NamedTuple):
    """A worker that is ready for its first task."""

    worker: int


class Lost(NamedTuple):
    """A worker that has ended, whatever it was at, and why."""

    worker: int
    reason: str


class Answered(NamedTuple, Generic[T, R]):
    """A worker's answer to a task: a value, or the error that its code raised."""

    worker: int
    task: T
    value: R | None = None
    error: Exception | None = None


Event: TypeAlias = Joined | Lost | Answered[T, R]


class Crew(Protocol[In]):
    """Workers that come and go."""

    def give(self, worker: int, task: In) -> None:
        """Give a task to a worker, to be answered after those that it holds."""
        ...

    def wait(self) -> Sequence[Event[object, object]]:
        """Wait for something to happen, not forever; return what has happened."""
        ...


class Answer(NamedTuple, Generic[T, R]):
    """A task with what became of it: a value, or an error."""

    task: T
    value: R | None
    error: Exception | None


@dataclass(eq=False)
class _Held(Generic[T]):
    """A task, and how often its worker was lost while it was at it."""

    task: T
    lost: int = 0


@dataclass(eq=False)
class _Desk(Generic[T]):
    """The tasks that each worker holds, and the workers that have room for more."""

    held: dict[int, deque[_Held[T]]] = field(default_factory=dict)
    # Places are checked when they are taken: a worker may be lost or busy by then.
    idle: deque[int] = field(default_factory=deque)
    busy: deque[int] = field(default_factory=deque)

    def offer(self, worker: int) -> None:
        """Note that a worker may have room."""
        n = len(self.held[worker])
        if n == 0:
            self.idle.append(worker)
        elif n < AHEAD:
            self.busy.append(worker)

    def find_room(self) -> int | None:
        """Return a worker with room; an idle one if there is one."""
        for places, limit in ((self.idle, 1), (self.busy, AHEAD)):
            while places:
                worker = places[0]
                if worker in self.held and len(self.held[worker]) < limit:
                    return worker
                places.popleft()
        return None

    def take_back(self, worker: int, task: T) -> None:
        """Remove a task that was answered."""
        own = self.held[worker]
        own.remove(next(held for held in own if held.task is task))
        self.offer(worker)


def hand_out(crew: Crew[T], tasks: Iterable[T], *, tries: int = TRIES) -> Iterator[Answer[T, R]]:
    """Have all tasks answered, and yield the answers as they come.

    Parameters
    ----------
    crew : Crew
        The workers.
    tasks : iterable
        Taken one by one, when a worker has room.
    tries : int
        Number of workers that a task may take down; then its answer is a `WorkerLost`.

    Yields
    ------
    answer : Answer
        One per task, in the order in which they end.
    """
    waiting = iter(tasks)
    again: deque[_Held[T]] = deque()
    desk: _Desk[T] = _Desk()
    n_held, more = 0, True
    while True:
        while (more or again) and (worker := desk.find_room()) is not None:
            if again:
                held = again.popleft()
            else:
                task = next(waiting, None)
                if task is None:
                    more = False
                    continue
                held = _Held(task)
            desk.held[worker].append(held)
            desk.offer(worker)
            crew.give(worker, held.task)
            n_held += 1
        if not (more or again or n_held):
            return
        for event in crew.wait():
            if isinstance(event, Joined):
                desk.held[event.worker] = deque()
                desk.offer(event.worker)
            elif isinstance(event, Answered):
                desk.take_back(event.worker, event.task)
                n_held -= 1
                yield Answer(event.task, event.value, event.error)
            else:
                own = desk.held.pop(event.worker, deque())
                n_held -= len(own)
                if own:
                    own[0].lost += 1
                if own and own[0].lost >= tries:
                    failed = own.popleft()
                    yield Answer(failed.task, None, _describe_loss(tries, event.reason))
                again.extendleft(reversed(own))


def _describe_loss(tries: int, reason: str) -> WorkerLost:
    return WorkerLost(f"{tries} workers ended while they were at it, the last one because {reason}")
