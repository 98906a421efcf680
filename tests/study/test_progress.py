"""What is counted of a study, and who is told."""

from __future__ import annotations

from onnxplain.study.classifier_study import Step
from onnxplain.study.progress import StudyProgress, WorkCounter, join_reports


def test_counts_add_up_and_every_row_is_told_once() -> None:
    told: list[StudyProgress] = []
    counter = WorkCounter("net", position=1, total=8, on_progress=told.append)
    counter.add_work(evaluations=100, inpaints=3)
    counter.add_step(Step(("a",), ({"key": "a"},), units=2))
    counter.workers = 4
    counter.add_step(Step(("b",), (), units=1))
    assert told == [
        StudyProgress("net", 1, 0, 8, 3),
        StudyProgress("net", 1, 2, 8, 3, rows=({"key": "a"},)),
        StudyProgress("net", 1, 3, 8, 3, workers=4),
    ]


def test_scored_images_alone_are_no_progress() -> None:
    told: list[StudyProgress] = []
    WorkCounter("net", 0, 8, told.append).add_work(evaluations=100, inpaints=0)
    assert told == []


def test_the_bar_and_the_caller_are_told_the_same() -> None:
    moves: list[tuple[int, int, str]] = []
    told: list[StudyProgress] = []
    plain, busy = StudyProgress("net", 0, 3, 8, 0), StudyProgress("net", 0, 4, 8, 2, workers=4)
    report = join_reports(lambda *move: moves.append(move), told.append)
    report(plain)
    report(busy)
    assert moves == [(3, 8, "net"), (4, 8, "net, 2 inpaints, 4 workers")]
    assert told == [plain, busy]


def test_a_bar_moves_without_a_caller() -> None:
    moves: list[tuple[int, int, str]] = []
    join_reports(lambda *move: moves.append(move), None)(StudyProgress("net", 0, 3, 8, 0))
    assert moves == [(3, 8, "net")]
