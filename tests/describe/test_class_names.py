"""Class names come from the first source whose number of names fits the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.class_names import find_class_names
from onnxplain.describe.fields import SpecSource
from onnxplain.describe.resolve import resolve_spec
from onnxplain.describe.sources import format_spec_toml
from onnxplain.graph.load import read_model
from tests.conftest import shared
from tests.helpers.described import make_net


def test_class_names_are_made_printable(tmp_path: Path) -> None:
    (tmp_path / "net.labels.txt").write_text("a\tb\nc\x1b[31m\nd\ne\nf\n")
    names = resolve_spec(make_net(tmp_path), {"preprocessing": "lite"}).class_names
    assert names == ("a b", "c [31m", "d", "e", "f")


def test_labels_of_the_model_must_fit_but_labels_of_the_folder_need_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n")
    model, flags = make_net(tmp_path), {"preprocessing": "lite"}
    assert resolve_spec(model, flags).sources["class_names"] == "numbered"
    said = "net.onnx: labels.txt: holds 2 class names, the model has 5 classes; these names are not"
    assert said in caplog.text
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    assert resolve_spec(model, flags).class_names == tuple("abcde")
    (tmp_path / "net.labels.txt").write_text("a\nb\n")
    with pytest.raises(ModelError, match="holds 2 class names, the model has 5"):
        resolve_spec(model, flags)


def test_real_label_files_fit_real_models() -> None:
    model = read_model(shared("models/mobilenet_v1_0.25_128_quant.onnx"))
    spec = resolve_spec(model, {"labels": shared("data/eval/imagenet_classes.csv")})
    assert spec.class_names[:2] == ("background", "tench")
    assert len(spec.class_names) == 1001
    assert spec.output_scale == (1 / 256, 0)
    model = read_model(shared("models/squeezenet-places365.onnx"))
    flags = {"mean": [104.05, 112.51, 116.68], "std": 255.0}
    spec = resolve_spec(model, {**flags, "labels": shared("models/categories_places365.txt")})
    assert spec.class_names[0] == "/a/airfield"
    assert spec.range == (0, 255)


def test_own_sources_and_label_files_come_before_the_folders_configuration(
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.onnx"
    own, config = SpecSource("net.toml", {"class_names": "ab"}), SpecSource("config.json", {})
    other = SpecSource("config.json", {"class_names": "cd"})
    assert find_class_names(path, [config, other, own], {"net.toml"}, 2) == (("a", "b"), "net.toml")
    assert find_class_names(path, [config, other], {"net.toml"}, 2) == (("c", "d"), "config.json")
    (tmp_path / "labels.txt").write_text("e\nf\n")
    assert find_class_names(path, [other], set(), 2) == (("e", "f"), "labels.txt")
    (tmp_path / "net.labels.txt").write_text("g\nh\n")
    assert find_class_names(path, [other], set(), 2) == (("g", "h"), "net.labels.txt")


def test_classes_without_names_are_numbered_if_their_number_is_known(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    assert find_class_names(path, [], set(), 3) == (("class 0", "class 1", "class 2"), "numbered")
    assert find_class_names(path, [], set(), 1) == (("class 0", "class 1"), "numbered")
    assert find_class_names(path, [], set(), None) is None


def test_a_thousand_classes_are_taken_for_those_of_imagenet_unless_somebody_names_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.onnx"
    names, source = find_class_names(path, [], set(), 1000) or ((), "")
    assert source == "built-in ImageNet names"
    assert (names[281], names[967], len(names)) == ("tabby, tabby cat", "espresso", 1000)
    other, _ = find_class_names(path, [], set(), 1001) or ((), "")
    assert other == ("background", *names)
    given = SpecSource("net.toml", {"class_names": [f"name {i}" for i in range(1000)]})
    assert find_class_names(path, [given], {"net.toml"}, 1000) == (
        tuple(f"name {i}" for i in range(1000)),
        "net.toml",
    )


def test_a_guess_is_not_written_down_as_if_somebody_had_said_it(tmp_path: Path) -> None:
    spec = replace(
        resolve_spec(make_net(tmp_path), {"preprocessing": "lite"}),
        class_names=("a",) * 1000,
        sources={"class_names": "built-in ImageNet names"},
    )
    assert "class_names" not in format_spec_toml(spec)
