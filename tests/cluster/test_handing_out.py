"""Every task is answered once, whatever happens to the workers; no Ray is needed to show it."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.cluster.handing_out import (
    Answer,
    Answered,
    Event,
    Joined,
    Lost,
    WorkerLost,
    hand_out,
)


class RandomCrew:
    """Workers that answer, die and are replaced at random moments."""

    def __init__(self, seed: int, n: int, deaths: float, poison: set[int] = frozenset()) -> None:
        self.random = random.Random(seed)
        self.deaths, self.poison = deaths, poison
        self.joining = list(range(n))
        self.next = n
        self.held: dict[int, deque[int]] = {}
        self.most_held = 0

    def give(self, worker: int, task: int) -> None:
        self.held[worker].append(task)  # a KeyError if the worker is dead
        self.most_held = max(self.most_held, len(self.held[worker]))

    def wait(self) -> Sequence[Event[Any, Any]]:
        at_work = [worker for worker, own in self.held.items() if own]
        if self.joining and (not at_work or self.random.random() < 0.3):
            worker = self.joining.pop(0)
            self.held[worker] = deque()
            return [Joined(worker)]
        if not at_work:
            return []
        worker = self.random.choice(at_work)
        if self.held[worker][0] in self.poison or self.random.random() < self.deaths:
            del self.held[worker]
            self.joining.append(self.next)
            self.next += 1
            return [Lost(worker, "it was killed")]
        task = self.held[worker].popleft()
        error = ValueError("odd") if task % 7 == 3 else None
        return [Answered(worker, task, None if error else task * task, error)]


@given(
    seed=st.integers(0, 10**6),
    n_workers=st.integers(1, 6),
    n_tasks=st.integers(0, 60),
    deaths=st.floats(0, 0.4),
)
@settings(max_examples=200, deadline=None)
def test_each_task_has_one_answer(seed: int, n_workers: int, n_tasks: int, deaths: float) -> None:
    crew = RandomCrew(seed, n_workers, deaths)
    answers: list[Answer[int, int]] = list(hand_out(crew, range(n_tasks), tries=1000))
    assert Counter(answer.task for answer in answers) == Counter(range(n_tasks))
    for task, value, error in answers:
        assert (value == task * task) != (task % 7 == 3)
        assert isinstance(error, ValueError) == (task % 7 == 3)
    assert crew.most_held <= 2


def test_task_that_kills_its_workers_is_given_up_and_the_others_are_answered() -> None:
    crew = RandomCrew(1, 3, 0.0, poison={5})
    answers = {answer.task: answer for answer in hand_out(crew, range(20))}
    assert sorted(answers) == list(range(20))
    assert isinstance(answers[5].error, WorkerLost)
    assert "3 workers ended" in str(answers[5].error)
    assert all(answers[task].error is None for task in (0, 1, 2, 4, 6, 19))


def test_task_behind_one_that_kills_is_not_blamed() -> None:
    # One worker holds the poison and the task behind it three times.
    crew = RandomCrew(2, 1, 0.0, poison={0})
    answers = {answer.task: answer for answer in hand_out(crew, [0, 1])}
    assert answers[1].value == 1


def test_tasks_are_taken_only_when_there_is_room() -> None:
    taken = []

    def make_tasks() -> Any:
        for task in range(100):
            taken.append(task)
            yield task

    answers = hand_out(RandomCrew(3, 2, 0.0), make_tasks())
    for n, _ in enumerate(answers, 1):
        assert len(taken) <= n + 4


def test_idle_workers_are_served_before_busy_ones() -> None:
    class Recorder(RandomCrew):
        def __init__(self) -> None:
            super().__init__(0, 3, 0.0)
            self.given: list[int] = []
            self.joined = False

        def give(self, worker: int, task: int) -> None:
            self.given.append(worker)
            super().give(worker, task)

        def wait(self) -> Sequence[Event[Any, Any]]:
            if not self.joined:
                self.joined = True
                self.held = {worker: deque() for worker in self.joining}
                joining, self.joining = self.joining, []
                return [Joined(worker) for worker in joining]
            return super().wait()

    crew = Recorder()
    list(hand_out(crew, range(6)))
    assert sorted(crew.given[:3]) == [0, 1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_error_of_the_crew_ends_the_work(error: type[BaseException]) -> None:
    class Broken(RandomCrew):
        def wait(self) -> Sequence[Event[Any, Any]]:
            raise error

    with pytest.raises(error):
        list(hand_out(Broken(0, 1, 0.0), range(3)))
