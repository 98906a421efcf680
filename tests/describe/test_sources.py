"""Descriptions beside a model and in its metadata are read, and written so that they read back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from onnxplain.core.errors import ModelError
from onnxplain.describe.resolve import resolve_spec
from onnxplain.describe.sources import format_spec_toml, read_sources, read_spec_toml
from onnxplain.graph.load import ModelFile
from tests.helpers import models
from tests.helpers.described import get_normalisation, make_net, save_and_read


def test_huggingface_files_are_found_above_the_onnx_folder(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    names = {str(i): f"kind {i}" for i in range(5)}
    (tmp_path / "config.json").write_text(json.dumps({"id2label": names}))
    config = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    spec = resolve_spec(save_and_read(models.convnet(), tmp_path / "onnx"), {})
    assert spec.mean == (0.5,) * 3
    assert spec.class_names[4] == "kind 4"
    assert spec.sources["class_names"] == "config.json (id2label)"


@pytest.mark.parametrize("name", ["model.toml", "config.json", "preprocessor_config.json"])
def test_broken_link_to_a_description_is_an_error(tmp_path: Path, name: str) -> None:
    """Without it, the model would silently get another preprocessing."""
    model = save_and_read(models.convnet(), tmp_path)
    path = tmp_path / name.replace("model", model.path.stem)
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=rf"{path.name}: not a readable \w+ file: No such file"):
        resolve_spec(model, {})


def test_metadata_of_the_file_describes_the_model(tmp_path: Path) -> None:
    proto = models.convnet()
    content = {"range": [0, 255], "mean": [127] * 3, "std": [128] * 3, "class_names": list("abcde")}
    helper.set_model_props(
        proto, {"onnxplain.spec": json.dumps(content), "Image.BitmapPixelFormat": "Bgr8"}
    )
    spec = resolve_spec(save_and_read(proto, tmp_path), {})
    assert (spec.colour, spec.range, spec.class_names) == ("bgr", (0, 255), tuple("abcde"))
    assert spec.sources["mean"] == spec.sources["colour"] == "ONNX metadata"
    props = {"Image.NominalPixelRange": "Normalized_1_1", "names": str(dict(enumerate("vwxyz")))}
    helper.set_model_props(proto, props)
    spec = resolve_spec(save_and_read(proto, tmp_path), {})
    assert get_normalisation(spec) == ((-1, 1), (0,) * 3, (1,) * 3)
    assert spec.class_names == tuple("vwxyz")


def test_written_toml_reads_back_to_the_same_spec(tmp_path: Path) -> None:
    model = make_net(tmp_path)
    flags = {
        "preprocessing": "keras-caffe",
        "fit": "pad",
        "crop": 0.9,
        "border": (124, 116, 104),
        "class_names": ['a "b"', "c\\d", "e\x7f", "\u4e2d", "f"],
    }
    spec = resolve_spec(model, flags)
    (tmp_path / "net.toml").write_text(format_spec_toml(spec))
    again = resolve_spec(model, {})
    assert dataclasses.replace(again, sources={}) == dataclasses.replace(spec, sources={})


def test_defaults_are_written_as_comments_and_numbered_classes_are_not_written(
    tmp_path: Path,
) -> None:
    model = make_net(tmp_path)
    spec = resolve_spec(model, {"range": (0, 1)})
    assert spec.sources["class_names"] == "numbered"
    written = format_spec_toml(spec)
    (tmp_path / "net.toml").write_text(written)
    again = resolve_spec(model, {})
    assert again.sources["range"] == "net.toml"
    guessed = ("colour", "fit", "resize", "interpolation", "border", "centre")
    assert {again.sources[name] for name in guessed} == {"default"}
    assert '# colour = "rgb"  # default\n' in written
    names = dict(enumerate("vwxyz"))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": names}))
    assert resolve_spec(model, {}).class_names == tuple("vwxyz")


@pytest.mark.parametrize(
    "content",
    [
        "mean = ",
        "mena = 0.5",
        "mean = [1, 2]",
        "std = 0",
        "range = [1, 0]",
        'colour = "gbr"',
        "crop = 1.5",
        "resize = [8]",
    ],
)
def test_wrong_entries_of_a_toml_file_are_errors_that_name_the_file(
    content: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"net\.toml"):
        resolve_spec(make_net(tmp_path, net=content), {})


@pytest.mark.parametrize("config", [[1], {"pretrained_cfg": {"mean": "x", "std": 1}}])
def test_damaged_configurations_are_errors_that_name_the_file(config: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve_spec(make_net(tmp_path, config=config), {})


def test_sources_come_in_the_order_in_which_they_count(tmp_path: Path) -> None:
    config = {"mean": [0.5], "std": [0.5], "id2label": dict(enumerate("abcde"))}
    preprocessor = {"image_mean": [0.5], "image_std": [0.5]}
    model = make_net(tmp_path, net="crop = 0.5", config=config, preprocessor_config=preprocessor)
    helper.set_model_props(model.proto, {"Image.BitmapPixelFormat": "Gray8"})
    sources = read_sources(model.path, model.proto)
    assert [source.name for source in sources] == [
        "net.toml",
        "preprocessor_config.json",
        "config.json (timm)",
        "config.json (id2label)",
        "ONNX metadata",
    ]
    assert sources[0].values == {"crop": 0.5}
    assert sources[-1].values == {"colour": "grey"}


def test_toml_of_an_inpainter_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"describes an inpainter.*give the model as --inpainter"):
        resolve_spec(make_net(tmp_path, net="[inpainter]"), {})


@pytest.mark.parametrize(
    "labels", ["../secret.txt", "/dev/zero", "a/../../secret.txt", "C:/secret.txt", 3]
)
def test_labels_that_lead_out_of_the_folder_are_refused(labels: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a\nb\nc\nd\ne\n")
    (tmp_path / "model").mkdir()
    model = make_net(tmp_path / "model", net=f"labels = {json.dumps(labels)}")
    with pytest.raises(ModelError, match=r"net\.toml: labels names a file in the model's folder"):
        resolve_spec(model, {})


def test_labels_below_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "names.txt").write_text("a\nb\nc\nd\ne\n")
    model = make_net(tmp_path, net='labels = "words/../words/names.txt"')
    assert resolve_spec(model, {"range": (0, 1)}).class_names == tuple("abcde")


DEEP = 100_000 * "["


@pytest.mark.parametrize("name", ["net.toml", "config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", [DEEP, '{"mean": 1e400}', "mean = 1e400", "#" * (5 << 20)])
def test_files_beyond_the_bounds_are_errors_that_name_the_file(
    name: str, content: str, tmp_path: Path
) -> None:
    model = make_net(tmp_path)
    prefix = "mean = " if name == "net.toml" and content == DEEP else ""
    (tmp_path / name).write_text(prefix + content)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        resolve_spec(model, {})


@pytest.mark.parametrize(
    "config",
    [
        {"size": {"height": 0, "width": 0}, "crop_size": 4},
        {"size": [1, 2]},
        {"rescale_factor": "x"},
        {"crop_size": "x", "size": 3},
    ],
)
def test_preprocessor_of_another_form_is_an_error_that_names_the_file(
    config: Any, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        resolve_spec(make_net(tmp_path, preprocessor_config=config), {})


def test_metadata_beyond_the_bounds_is_an_error(tmp_path: Path) -> None:
    for content in (DEEP, '{"mean": 1e400}'):
        proto = models.convnet()
        helper.set_model_props(proto, {"onnxplain.spec": content})
        with pytest.raises(ModelError, match="ONNX metadata"):
            resolve_spec(save_and_read(proto, tmp_path), {})


def make_labelled_net(folder: Path, key: str, text: str) -> ModelFile:
    proto = models.convnet()
    helper.set_model_props(proto, {key: text})
    return save_and_read(proto, folder)


@pytest.mark.parametrize(
    "text",
    [
        *("v,w,x,y,z", "v, w, x, y, z", "v\nw\nx\ny\nz\n"),
        *('{"z": 4, "v": 0, "w": 1, "x": 2, "y": 3}', "4: z\n3: y\n2: x\n1: w\n0: v"),
    ],
)
@pytest.mark.parametrize("key", ["names", "labels", "classes"])
def test_class_names_in_metadata_are_read_in_every_usual_form(
    key: str, text: str, tmp_path: Path
) -> None:
    spec = resolve_spec(make_labelled_net(tmp_path, key, text), {"preprocessing": "lite"})
    assert spec.class_names == tuple("vwxyz")
    assert spec.sources["class_names"] == "ONNX metadata"


@pytest.mark.parametrize(
    "text", ["5", "", "five kinds, of things", "{0: 'a', 0: 'b'}", "0: a\n2: b"]
)
def test_metadata_that_hold_no_names_of_these_classes_are_passed_over(
    text: str, tmp_path: Path
) -> None:
    spec = resolve_spec(make_labelled_net(tmp_path, "labels", text), {"preprocessing": "lite"})
    assert spec.sources["class_names"] == "numbered"


def test_toml_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "model.toml"
    path.write_text('colour = "bgr"\n', encoding="utf-8-sig")
    assert read_spec_toml(path, ModelError) == {"colour": "bgr"}


def test_error_in_the_metadata_names_the_file(tmp_path: Path) -> None:
    proto = models.convnet()
    helper.set_model_props(proto, {"onnxplain.spec": "{"})
    with pytest.raises(ModelError, match=r"^odd\.onnx: ONNX metadata: onnxplain\.spec is not"):
        read_sources(tmp_path / "odd.onnx", proto)
