"""``onnxplain merge``: rows of several runs in one file."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run, index_rows, make_words


def test_parts_merged_are_the_whole(run: Run, model: Path, photos: Path, folder: Path):
    whole = run(*make_words(photos, model, "-o", "whole", "--limit", 5))
    for i in (1, 2):
        result = run(
            *make_words(photos, model, "-o", f"part{i}", "--limit", 5, "--shard", f"{i}/2")
        )
        assert result.exit_code == 0
    merged = run("merge", "part1", "part2/rows.jsonl", "-o", "all")
    expected = index_rows(folder / "whole" / "rows.jsonl")
    assert merged.stdout == f"all/rows.jsonl: {len(expected)} rows\n"
    assert index_rows(folder / "all" / "rows.jsonl") == expected
    again = run(*make_words(photos, model, "-o", "all", "--limit", 5))
    assert again.stdout == whole.stdout
    assert index_rows(folder / "all" / "rows.jsonl") == expected


def test_rows_of_the_output_are_kept_and_counted(run: Run, folder: Path):
    for name, keys in (("a", "xy"), ("b", "yz")):
        lines = [f'{{"key": "{key}", "status": "done", "from": "{name}"}}\n' for key in keys]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    result = run("merge", "b.jsonl", "-o", "a.jsonl")
    assert result.exit_code == 0
    assert result.stdout == "a.jsonl: 3 rows\n"
    sources = {key: row["from"] for key, row in index_rows(folder / "a.jsonl").items()}
    assert sources == {"x": "a", "y": "a", "z": "b"}


def test_output_that_is_not_named_changes_nothing(run: Run, folder: Path):
    for name in ("a", "b"):
        (folder / f"{name}.jsonl").write_text(f'{{"key": "{name}", "status": "done"}}\n')
    result = run("merge", "a.jsonl", "b.jsonl")
    assert result.exit_code == 2
    assert "Missing option '-o'" in result.stderr
    assert (folder / "a.jsonl").read_text().count("\n") == 1


def test_file_that_does_not_exist_is_one_message(run: Run):
    result = run("merge", "none.jsonl", "-o", "all.jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: none.jsonl: cannot be read")
    assert not Path("all.jsonl").exists()
