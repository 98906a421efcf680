"""WordNet ids, as `read_items` takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.study.dataset import read_items


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,class\n", "no column"),
        ("wnid,class_index\nn01,x\n", "line 2: class_index"),
        (None, "No"),
    ],
)
def test_bad_wordnet_ids_are_errors_that_name_their_file(
    tmp_path: Path, text: str | None, problem: str
):
    (tmp_path / "a.jpg").touch()
    if text is not None:
        (tmp_path / "ids.csv").write_text(text)
    with pytest.raises(ValueError, match=f"ids.csv: cannot be read as WordNet ids: .*{problem}"):
        read_items(tmp_path, wnids=tmp_path / "ids.csv")
