"""Rows of another classifier of the same name are not taken for one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import onnxplain
from onnxplain.core.errors import OutputError
from onnxplain.study.classifier_study import Rules
from onnxplain.study.dataset import Item
from onnxplain.study.recognising import LOOKS, check_same_classifier
from onnxplain.study.rows import RowFile
from tests.helpers.nets import Net
from tests.study.conftest import SIZE, build_plan, red_part, reddish, run_steps, save

PLAN: dict[str, Any] = {"methods": "random", "metrics": "deletion:step=64"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i in range(LOOKS + 2):
        save(tmp_path / "photos" / "yes" / f"{i}.png", reddish(i))
    return tmp_path / "photos"


def test_module_that_was_trained_further_does_not_get_its_old_rows(
    net: Net, photos: Path, tmp_path: Path
):
    before = onnxplain.evaluate(photos, models=net, output=tmp_path / "out", **PLAN)
    trained = Net(lambda images: 0.9 * red_part(images) + 0.05, SIZE)
    wrong = r"'net': for yes/0\.png, its probability of 'yes' was 0\.\d+ and is 0\.\d+; give"
    with pytest.raises(OutputError, match=wrong):
        onnxplain.evaluate(photos, models=trained, output=tmp_path / "out", **PLAN)
    assert trained.calls == [1] * LOOKS
    again = onnxplain.evaluate(photos, models=net, output=tmp_path / "out", **PLAN)
    assert again.rows == before.rows


def test_another_photo_may_have_another_answer(net: Net, photos: Path, tmp_path: Path):
    before = onnxplain.evaluate(photos, models=net, output=tmp_path / "out", **PLAN)
    save(photos / "yes" / "0.png", reddish(77))
    again = onnxplain.evaluate(photos, models=net, output=tmp_path / "out", **PLAN)
    assert len({row["key"] for row in again.rows} & before.keys) == 2 * (LOOKS + 1)


def test_a_file_is_recognised_by_its_checksum(items: list[Item], tmp_path: Path):
    class File(Net):
        provenance = {"model": "net.onnx", "sha256": "ab"}  # noqa: RUF012

    path, file = tmp_path / "rows.jsonl", File(red_part, SIZE)
    run_steps(file, items, path, build_plan(metrics=("deletion:step=64",)))
    file.calls.clear()
    check_same_classifier(file, items, RowFile(path), Rules())
    assert file.calls == []
