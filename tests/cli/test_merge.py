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
    merged = run("merge", "all/rows.jsonl", "part1/rows.jsonl", "part2/rows.jsonl")
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
    result = run("merge", "a.jsonl", "b.jsonl")
    assert result.exit_code == 0
    assert result.stdout == "a.jsonl: 3 rows\n"
    sources = {key: row["from"] for key, row in index_rows(folder / "a.jsonl").items()}
    assert sources == {"x": "a", "y": "a", "z": "b"}


def test_file_that_does_not_exist_is_one_message(run: Run):
    result = run("merge", "all.jsonl", "none.jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: none.jsonl: cannot be read")
    assert not Path("all.jsonl").exists()
