"""What the process that writes the rows does with answers; `tests/cluster` has real workers."""

from __future__ import annotations

from pathlib import Path

from onnxplain.cluster import Answer, WorkerLost
from onnxplain.study.classifier_study import Rules
from onnxplain.study.dataset import Item
from onnxplain.study.distributed import Ledger
from onnxplain.study.explainers import make_explainers
from onnxplain.study.judges import make_judges
from onnxplain.study.preparation import Waiting
from onnxplain.study.rows import RowFile, read_rows
from tests.helpers.nets import Net
from tests.study.conftest import build_plan, fail_to_load, run_steps

METHODS = ("mp2:grid=4",)  # what its gain is depends on the classifier
METRICS = ("deletion:step=64", "insertion:step=64")


def lose(net: Net, item: Item, store: RowFile, rules: Rules) -> None:
    """Let a question of both metrics take its workers down."""
    plan = build_plan(METHODS, METRICS)
    explainers, judges = make_explainers(plan, fail_to_load), make_judges(plan)
    ledger = Ledger([Waiting("net", net, [item])], explainers, judges, rules, store)
    (asked,) = ledger.ask()
    ledger.take(Answer(asked, None, WorkerLost("3 workers ended while they were at it")))


def test_lost_question_fails_only_where_there_is_no_row(
    net: Net, items: list[Item], tmp_path: Path
) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "rows.jsonl"
    run_steps(net, items[:1], whole, build_plan(METHODS, METRICS))
    run_steps(net, items[:1], path, build_plan(METHODS, METRICS[:1]))
    before = list(read_rows(path))
    lose(net, items[0], RowFile(path), Rules())
    (lost,) = list(read_rows(path))[len(before) :]
    assert (lost["metric"], lost["status"]) == ("insertion", "error")
    assert "3 workers ended" in lost["error"]
    # Under the keys of one process, so that a later run finds the rows.
    assert {row["key"] for row in read_rows(path)} == {row["key"] for row in read_rows(whole)}


def test_failed_row_is_lost_again_only_if_it_is_retried(
    net: Net, items: list[Item], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    lose(net, items[0], RowFile(path), Rules())
    once = list(read_rows(path))
    lose(net, items[0], RowFile(path), Rules())
    assert list(read_rows(path)) == once
    lose(net, items[0], RowFile(path), Rules(retry=True))
    assert len(list(read_rows(path))) == 2 * len(once) == 4
