"""Real workers, on node processes of this machine: rows and heatmaps as in one process."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain
from onnxplain.cluster import connection
from onnxplain.cluster import crew as crews
from onnxplain.cluster.worker import ClusterError
from onnxplain.core.errors import ModelError
from onnxplain.study.distributed import WORKERS_FILE
from onnxplain.study.rows import Row
from tests.helpers.processes import running
from tests.study.conftest import reddish, save

METHODS = ["rise:n_masks=60,grid=4", "sp:patch=4,stride=4", "mp2:gain=difference,grid=4"]
METRICS = ["deletion:step=32", "insertion:step=64"]


def index(study: onnxplain.Study) -> dict[str, Row]:
    return {row["key"]: row for row in study.rows}


def evaluate(classifier: Any, photos: Path, output: Path, **options: Any) -> onnxplain.Study:
    return onnxplain.evaluate(
        photos,
        models=classifier,
        **{"methods": METHODS, "metrics": METRICS, "only_correct": False, **options},
        output=output,
    )


def read_lines(output: Path) -> list[Row]:
    return [json.loads(line) for line in (output / "rows.jsonl").read_text().splitlines()]


def test_rows_are_those_of_one_process(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    alone = evaluate(classifier, photos, tmp_path / "alone")
    progress: list[Any] = []
    shared = evaluate(
        classifier,
        photos,
        tmp_path / "shared",
        cluster=onnxplain.Ray(),
        on_progress=progress.append,
    )
    assert index(shared) == index(alone)  # to the bit, as both use one batch size
    assert len(index(alone)) == 6 + 6 * 3 * 2
    counts = Counter(row["key"] for row in read_lines(tmp_path / "shared"))
    assert set(counts.values()) == {1}
    assert (progress[-1].done, progress[-1].total) == (18, 18)
    assert max(step.workers for step in progress) == 2
    workers = json.loads((tmp_path / "shared" / WORKERS_FILE).read_text())["workers"]
    assert len({worker["node"] for worker in workers}) == 2
    assert all(len(worker["cores"]) == 1 for worker in workers)


def test_second_call_computes_only_what_is_missing(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    evaluate(classifier, photos, tmp_path / "rows", methods=METHODS[:1])
    before = read_lines(tmp_path / "rows")
    study = evaluate(classifier, photos, tmp_path / "rows", cluster=onnxplain.Ray())
    after = read_lines(tmp_path / "rows")
    assert after[: len(before)] == before
    assert {row["method"] for row in after[len(before) :]} == {"sp", "mp2"}
    assert index(study) == index(evaluate(classifier, photos, tmp_path / "alone"))


def test_photo_that_cannot_be_read_is_a_row_and_the_others_go_on(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    (photos / "yes" / "3.png").write_bytes(b"no photo")
    alone = evaluate(classifier, photos, tmp_path / "alone")
    shared = evaluate(classifier, photos, tmp_path / "shared", cluster=onnxplain.Ray())
    assert index(shared) == index(alone)
    assert [row["image"] for row in shared.failures] == ["yes/3.png"]


def test_several_classifiers_are_studied_one_after_the_other(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes((tmp_path / "net.onnx").read_bytes() + b"")
    other = onnxplain.load(path, range=(-1, 1), class_names=("no", "yes"), batch_size=4)
    both = [classifier, other]
    alone = evaluate(both, photos, tmp_path / "alone", methods=METHODS[1:2])
    shared = evaluate(
        both, photos, tmp_path / "shared", methods=METHODS[1:2], cluster=onnxplain.Ray()
    )
    assert index(shared) == index(alone)


def test_heatmaps_are_those_of_one_process(nodes: Any, classifier: Any, photos: Path) -> None:
    paths = sorted(photos.rglob("*.png"))
    asked = {"method": "rise:n_masks=60,grid=4", "target": ["no", "yes"], "fill": "black"}
    alone = {
        (e.image, e.target): e.heatmap for e in onnxplain.explain_many(classifier, paths, **asked)
    }
    counted: list[tuple[int, int, int]] = []
    shared = {
        (e.image, e.target): e.heatmap
        for e in onnxplain.explain_many(
            classifier,
            paths,
            **asked,
            cluster=onnxplain.Ray(),
            on_progress=lambda *counts: counted.append(counts),
        )
    }
    assert alone.keys() == shared.keys()
    for key, heatmap in alone.items():
        np.testing.assert_array_equal(shared[key], heatmap)
    assert counted[-1] == (360, 360, 0)


def test_model_that_changes_is_an_error_that_says_so(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no longer a model")
    with pytest.raises(ModelError, match=r"net\.onnx"):
        evaluate(classifier, photos, tmp_path / "rows", cluster=onnxplain.Ray())


def test_other_versions_are_an_error_that_names_them(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {**crews.list_versions(), "numpy": "0.1"}
    monkeypatch.setattr(crews, "list_versions", lambda: versions)  # of this process alone
    with pytest.raises(ClusterError, match=r"numpy .*, not 0\.1; install the same"):
        evaluate(classifier, photos, tmp_path / "rows", cluster=onnxplain.Ray())


def test_function_that_cannot_be_sent_is_an_error(ray: Any, photos: Path, tmp_path: Path) -> None:
    lock = threading.Lock()

    def redness(images: Any) -> Any:
        with lock:
            red = images[..., 0].mean(axis=(1, 2))
        return np.stack([1 - red, red], axis=1)

    net = onnxplain.from_callable(redness, size=(8, 8), class_names=("no", "yes"))
    with pytest.raises(ClusterError, match="cannot be sent to other processes"):
        evaluate(net, photos, tmp_path / "rows", cluster=onnxplain.Ray())


def list_workers() -> list[int]:
    """Return the processes of the workers of this test's cluster."""
    found = subprocess.run(["pgrep", "-f", "ray::Worker"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_worker_that_is_killed_is_replaced_and_nothing_is_lost(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    slow = {"methods": ["rise:n_masks=8000,grid=4"], "metrics": METRICS[:1]}
    alone = evaluate(classifier, photos, tmp_path / "alone", **slow)
    killed: list[int] = []
    paused: list[int] = []

    def kill_one(progress: Any) -> None:
        if progress.done and not killed:
            killed.append(list_workers()[0])
            os.kill(killed[0], signal.SIGKILL)
            # The other one pauses, as else it may have done all before the new one has started.
            paused.extend(set(list_workers()) - {*killed})
            for worker in paused:
                os.kill(worker, signal.SIGSTOP)
        elif set(list_workers()) - {*killed, *paused}:
            resume()

    def resume() -> None:
        while paused:
            os.kill(paused.pop(), signal.SIGCONT)

    try:
        shared = evaluate(
            classifier,
            photos,
            tmp_path / "shared",
            **slow,
            cluster=onnxplain.Ray(),
            on_progress=kill_one,
        )
    finally:
        resume()
    assert killed
    assert index(shared) == index(alone)
    assert set(Counter(row["key"] for row in read_lines(tmp_path / "shared")).values()) == {1}
    assert len(json.loads((tmp_path / "shared" / WORKERS_FILE).read_text())["workers"]) == 3


def test_node_that_dies_and_one_that_joins_late(
    nodes: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    slow = {"methods": ["rise:n_masks=8000,grid=4", "sp:patch=2,stride=1"], "metrics": METRICS}
    alone = evaluate(classifier, photos, tmp_path / "alone", **slow)
    third = nodes.add_node(num_cpus=1)
    changed: list[Any] = []

    def change_nodes(progress: Any) -> None:
        if progress.done >= 2 and not changed:
            nodes.remove_node(third, allow_graceful=False)
            changed.append(nodes.add_node(num_cpus=1))

    shared = evaluate(
        classifier,
        photos,
        tmp_path / "shared",
        **slow,
        cluster=onnxplain.Ray(),
        on_progress=change_nodes,
    )
    nodes.remove_node(changed[0])
    assert index(shared) == index(alone)
    assert set(Counter(row["key"] for row in read_lines(tmp_path / "shared")).values()) == {1}


@pytest.mark.slow
def test_twenty_kills_lose_and_double_nothing(nodes: Any, classifier: Any, tmp_path: Path) -> None:
    for i in range(100):
        save(tmp_path / "many" / "yes" / f"{i}.png", reddish(i))
    methods = ["rise:n_masks=2000,grid=4", "sp:patch=2,stride=1", "lime:n_samples=1000"]
    asked = {"methods": methods, "metrics": METRICS[:1]}
    alone = evaluate(classifier, tmp_path / "many", tmp_path / "alone", **asked)
    rng = random.Random(0)
    moments, kills = sorted(rng.sample(range(5, 290), 20)), []

    def kill(progress: Any) -> None:
        if len(kills) < 20 and progress.done >= moments[len(kills)]:
            kills.append(rng.choice(list_workers()))
            os.kill(kills[-1], signal.SIGKILL)

    shared = evaluate(
        classifier,
        tmp_path / "many",
        tmp_path / "shared",
        **asked,
        cluster=onnxplain.Ray(),
        on_progress=kill,
    )
    assert len(kills) == 20
    assert index(shared) == index(alone)
    assert len(index(alone)) == 100 + 300
    assert set(Counter(row["key"] for row in read_lines(tmp_path / "shared")).values()) == {1}


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_address_that_nobody_answers_is_an_error_at_once(ray: Any, prefix: str) -> None:
    with socket.socket() as bound:  # nobody listens, and nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        address = f"{prefix}127.0.0.1:{bound.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ClusterError, match=f"cannot reach a Ray cluster at '{address}'"):
            connection.connect(ray, onnxplain.Ray(address))
    assert time.monotonic() - began < 2 * connection.ANSWER_SECONDS


def test_ray_that_cannot_start_here_is_an_error(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Exception("The current node timed out during startup.")  # noqa: TRY002 (as Ray does)

    # What it waits for cannot be made to fail by itself: machines that are too busy.
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ClusterError, match=r"cannot start on this machine: .*node timed out"):
        connection.connect(ray, onnxplain.Ray())


SCRIPT = """
import signal, sys, onnxplain
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start some jobs without
photos, output, model = sys.argv[1:]
net = onnxplain.load(model, range=(0, 1), class_names=("no", "yes"), batch_size=4)
onnxplain.evaluate(
    photos, models=net, methods="rise:n_masks=80000,grid=4", metrics="deletion:step=32",
    only_correct=False, output=output, cluster=onnxplain.Ray(workers=1),
)
"""


def test_interrupt_ends_the_workers_and_keeps_the_rows(
    ray: Any, classifier: Any, photos: Path, tmp_path: Path
) -> None:
    for i in range(6, 200):  # so many that the work is not over when the signal comes
        save(photos / "yes" / f"{i}.png", reddish(i))
    arguments = [photos, tmp_path / "rows", tmp_path / "net.onnx"]
    words = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    rows = tmp_path / "rows" / "rows.jsonl"
    deadline = time.monotonic() + 120
    with running(words, stderr=subprocess.PIPE, start_new_session=True) as process:
        while not (rows.exists() and "score" in rows.read_text()):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "the same call or command continues it" in text
    assert all(row["status"] != "error" for row in read_lines(tmp_path / "rows"))
