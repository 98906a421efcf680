"""``onnxplain zoo``: models by name."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run, parse_lines


def test_zoo_lists_the_default_first_and_builds_it(run: Run):
    listed = parse_lines(run("zoo", "list", "--json").stdout)
    assert [model["name"] for model in listed][:3] == [f"efficientnet-lite{i}" for i in range(3)]
    assert "efficientnet-lite0" in run("zoo", "list").stdout.splitlines()[0]
    (built,) = parse_lines(run("zoo", "build", "efficientnet-lite0", "--json").stdout)
    assert Path(built["path"]).is_file()


def test_misspelt_model_gets_a_suggestion(run: Run):
    result = run("zoo", "build", "efficientnet-lite9")
    assert result.exit_code == 1
    assert "'efficientnet-lite9' is unknown; did you mean 'efficientnet-lite" in result.stderr
