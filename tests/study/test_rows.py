"""The row file: appended, cut off, merged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from onnxplain.core.errors import OutputError
from onnxplain.study import rows
from onnxplain.study.rows import Row, RowFile, lock_rows, make_key, merge_rows, read_rows


def make_row(key: str, status: str = "done", **more: object) -> Row:
    return {"key": key, "status": status, **more}


def test_rows_are_read_by_the_next_process(tmp_path: Path):
    path = tmp_path / "deep" / "rows.jsonl"
    RowFile(path).append([make_row("a", text="é"), make_row("b", "error")])
    RowFile(path).append([make_row("b")])
    assert RowFile(path).done == {"a": "done", "b": "done"}
    assert list(read_rows(path)) == [make_row("a", text="é"), make_row("b", "error"), make_row("b")]


def test_line_cut_off_anywhere_is_removed_and_rows_are_added(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    RowFile(path).append([make_row("a"), make_row("b", text="x" * 70_000)])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in (0, 1, 12, first - 2, first, first + 1, first + 66_000, len(whole) - 2):
        path.write_bytes(whole[:cut])
        store = RowFile(path)
        assert list(store.done) == (["a"] if cut >= first else [])
        store.append([make_row("c")])
        assert [row["key"] for row in read_rows(path)] == [*(["a"] if cut >= first else []), "c"]


def test_whole_last_row_counts_without_its_newline(tmp_path: Path):
    path, other = tmp_path / "rows.jsonl", tmp_path / "other.jsonl"
    RowFile(path).append([make_row("a"), make_row("b")])
    path.write_bytes(path.read_bytes()[:-1])
    assert [row["key"] for row in read_rows(path)] == ["a", "b"]
    assert merge_rows([path], other) == 2
    store = RowFile(path)
    store.append([make_row("c")])
    assert list(store.done) == [row["key"] for row in read_rows(path)] == ["a", "b", "c"]


FOREIGN = ['{"mine": 1}', "title = 1", "{ ", '{"key": "a"}', '{"key": ["a"], "status": "done"}']


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("line", FOREIGN)
def test_foreign_file_is_an_error_and_stays_unchanged(tmp_path: Path, line: str, end: str):
    foreign, rows = tmp_path / "notes.json", tmp_path / "rows.jsonl"
    foreign.write_text(line + end)
    RowFile(rows).append([make_row("a")])
    for use in (
        lambda: RowFile(foreign),
        lambda: merge_rows([rows], foreign),
        lambda: merge_rows([foreign], rows),
    ):
        with pytest.raises(OutputError, match=r"notes.json: line 1 is not a row of an evaluation"):
            use()
    assert foreign.read_text() == line + end
    assert [row["key"] for row in read_rows(rows)] == ["a"]


@pytest.mark.parametrize("line", ["{", "[]", '{"key": "a"}', "7"])
def test_other_damage_is_an_error_that_names_the_line(tmp_path: Path, line: str):
    path = tmp_path / "rows.jsonl"
    RowFile(path).append([make_row("a")])
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(OutputError, match="line 2 is not a row of an evaluation"):
        RowFile(path)


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        RowFile(tmp_path / "file" / "rows.jsonl")


def test_merge_keeps_each_key_once_and_prefers_done_rows(tmp_path: Path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    RowFile(first).append([make_row("a"), make_row("b", "error"), make_row("c", "error", n=1)])
    RowFile(second).append(
        [make_row("b"), make_row("a"), make_row("c", "error", n=2), make_row("d")]
    )
    assert merge_rows([first, second], tmp_path / "all" / "rows.jsonl") == 4
    assert list(read_rows(tmp_path / "all" / "rows.jsonl")) == [
        make_row("a"),
        make_row("b"),
        make_row("d"),
        make_row("c", "error", n=1),
    ]


def test_merge_copies_lines_whatever_their_ends_and_marks(tmp_path: Path):
    first, second, merged = (tmp_path / f"{name}.jsonl" for name in ("1", "2", "all"))
    rows = [make_row("a", text="é"), make_row("b", "error"), make_row("c", value=0.1)]
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    first.write_bytes(b"\xef\xbb\xbf" + lines[0] + b"\r\n" + lines[1])
    second.write_bytes(lines[2])
    assert merge_rows([first, second], merged) == 3
    assert merged.read_bytes().count(b"\n") == 3
    assert list(read_rows(merged)) == [rows[0], rows[2], rows[1]]


def test_merge_may_overwrite_a_file_that_it_reads(tmp_path: Path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    RowFile(first).append([make_row("a")])
    RowFile(second).append([make_row("b")])
    merge_rows([first, second], first)
    assert [row["key"] for row in read_rows(first)] == ["a", "b"]


def test_merge_keeps_the_rows_of_its_output(tmp_path: Path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    RowFile(first).append([make_row("a"), make_row("b", "error")])
    RowFile(second).append([make_row("b"), make_row("c")])
    assert merge_rows([second], first) == 3
    assert [row["key"] for row in read_rows(first)] == ["a", "b", "c"]
    assert all(row["status"] == "done" for row in read_rows(first))


def test_merge_writes_under_another_name_until_it_is_done(tmp_path: Path):
    """Two merges into one file must not share a part, and the name may have full length."""
    source, output = tmp_path / "1.jsonl", tmp_path / ("n" * 255)
    RowFile(source).append([make_row("a")])
    merge_rows([source], output)
    assert [row["key"] for row in read_rows(output)] == ["a"]
    assert {path.name for path in tmp_path.iterdir()} == {source.name, output.name}


def test_merge_of_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(OutputError, match="cannot be read"):
        merge_rows([tmp_path / "none"], tmp_path / "all")


def test_keys_differ_if_anything_does():
    identity = {"seed": 0, "parameters": {"a": 1, "b": (1, 2)}, "name": "x"}
    assert make_key(identity) == make_key(
        {"name": "x", "parameters": {"b": [1, 2], "a": 1}, "seed": 0}
    )
    others = [{**identity, "seed": 1}, {**identity, "name": "y"}, {**identity, "parameters": {}}]
    assert len({make_key(other) for other in (identity, *others)}) == 4


@pytest.mark.parametrize("more", ['"value": NaN', '"value": 1e400', f'"value": {100_000 * "["}'])
def test_row_beyond_the_bounds_is_an_error_that_names_file_and_line(tmp_path: Path, more: str):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"key": "a", "status": "done", {more}}}\n')
    for use in (lambda: RowFile(path), lambda: merge_rows([path], tmp_path / "all.jsonl")):
        with pytest.raises(OutputError, match=r"rows\.jsonl: line 1 is not a row"):
            use()


def test_rows_are_written_by_one_at_a_time(tmp_path: Path):
    path, other = tmp_path / "deep" / "rows.jsonl", tmp_path / "rows.jsonl"
    RowFile(other).append([make_row("a")])
    for _ in range(2):  # it is free again afterwards
        with lock_rows(path):
            RowFile(path).append([make_row("b")])
            with pytest.raises(OutputError, match="another evaluation is writing"), lock_rows(path):
                pass
            with pytest.raises(OutputError, match="another evaluation is writing"):
                merge_rows([other], path)
            assert [row["key"] for row in read_rows(path)][-1] == "b"
    assert merge_rows([other], path) == 2


HOLD = """
import sys, time
from pathlib import Path
from onnxplain.study.rows import lock_rows
with lock_rows(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_of_a_killed_process_is_free(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another evaluation is writing"), lock_rows(path):
            pass
        process.kill()
    with lock_rows(path):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_pipe_is_no_file_of_rows(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match=r"pipe: cannot be read: it is a device or a pipe"):
        merge_rows([tmp_path / "pipe"], tmp_path / "rows.jsonl")


def test_rows_that_are_gone_are_noticed(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    store = RowFile(path)
    store.append([make_row("a"), make_row("b"), make_row("c", "error"), make_row("c")])
    store.check(("a", "b", "c"))
    path.unlink()
    with pytest.raises(OutputError, match="3 of the 3 rows are gone"):
        store.check(("a", "b", "c"))
    store.append([make_row("b")])
    with pytest.raises(OutputError, match="2 of the 3 rows are gone"):
        store.check(("a", "b", "c"))
    store.check(("b",))


def test_file_that_nobody_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "rows.jsonl"
    RowFile(path).append([make_row("a")])
    store = RowFile(path)
    store.append([make_row("b")])
    read: list[Path] = []
    monkeypatch.setattr(rows, "read_rows", lambda path: read.append(path) or read_rows(path))
    store.check(("a", "b"))
    assert not read
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"x"'))
    with pytest.raises(OutputError, match="1 of the 2 rows are gone"):
        store.check(("a", "b"))
    assert read == [path]
