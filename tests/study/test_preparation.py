"""What is read, checked and loaded before the first image is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

import onnxplain
from onnxplain.core.errors import ModelError
from onnxplain.registry import Entry
from onnxplain.study.plan import Plan
from onnxplain.study.preparation import prepare
from tests.helpers import models
from tests.helpers.nets import Net
from tests.study.conftest import SIZE, Painter, build_plan, reddish, save

FEW = ("deletion:step=64",)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    for i in range(7):
        save(tmp_path / "photos" / "yes" / f"{i}.png", reddish(i))
    return str(tmp_path / "photos")


def test_all_models_are_loaded_and_named(
    net: Net, photos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "net.onnx"
    onnx.save(models.additive(models.weights(SIZE, classes=2)), path)
    described = Entry(str(path), {"range": (0, 1), "batch_size": 3, "class_names": ("yes", "no")})
    work = prepare(build_plan(metrics=FEW, images=photos, models=(net, described)), device="cpu")
    first, second = work.waiting
    assert (first.name, first.classifier) == ("net", net)
    assert (second.name, second.classifier.batch_size) == (str(path), 3)
    assert {item.label for item in first.items} == {1}
    assert {item.label for item in second.items} == {0}


def test_missing_model_is_an_error_before_any_image_is_read(net: Net, photos: str):
    (Path(photos) / "yes" / "0.png").write_text("not an image")
    plan = build_plan(metrics=FEW, images=photos, models=(net, Entry("nope.onnx")))
    with pytest.raises(ModelError, match="no such file"):
        prepare(plan)
    assert net.calls == []


def test_parts_of_the_images_are_disjoint_and_of_equal_size(net: Net, photos: str):
    plan = build_plan(metrics=FEW, images=photos, models=(net,))
    parts = [
        {item.file for item in prepare(plan, shard=(part, 3)).waiting[0].items}
        for part in (1, 2, 3)
    ]
    assert sorted(map(len, parts)) == [2, 2, 3]
    assert set.union(*parts) == {f"yes/{i}.png" for i in range(7)}


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), 3, "1/2", (1, 2, 3), ("1", "2")])
def test_impossible_part_is_an_error(net: Net, photos: str, shard: Any):
    with pytest.raises(ValueError, match="shard must be a part"):
        prepare(build_plan(images=photos, models=(net,)), shard=shard)


def test_different_classifiers_of_one_name_are_an_error(net: Net, photos: str):
    def prepare_both(second: Net) -> None:
        prepare(build_plan(metrics=FEW, images=photos, models=(net, second)))

    prepare_both(net)
    prepare_both(Net(net.function, (SIZE[0], SIZE[1] + 1)))
    with pytest.raises(ValueError, match="two classifiers have the name 'net'"):
        prepare_both(Net(net.function, SIZE))


def test_loaded_inpainter_is_used_as_it_is(net: Net, photos: str):
    painter = Painter()
    plan = Plan(
        images=photos, models=(net,), methods=(onnxplain.SP(), Entry("lime-g")),
        fills=(Entry("inpaint"),), inpainter=painter,
    )  # fmt: skip
    fills = [explainer.fill.fill for explainer in prepare(plan).explainers]
    assert [fill.inpainter for fill in fills] == [painter, painter]  # type: ignore[attr-defined]
