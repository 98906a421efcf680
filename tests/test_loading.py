"""Models are found by path or name, and loaded as they are or changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from scipy import stats

import onnxplain
from onnxplain import metrics
from onnxplain.core.errors import ModelError
from onnxplain.core.scores import to_probabilities
from onnxplain.graph.surgery import randomise_layers
from onnxplain.loading import find_model, score_photo
from tests.helpers import models

SIZE = (48, 48)
# Pixels that are multiples of 1/256 are moved without rounding.
IMAGE = (np.random.default_rng(0).integers(0, 256, (*SIZE, 3)) / 256).astype(np.float32)
FAST = onnxplain.SP(patch=12, stride=18)
DESCRIPTION: dict[str, Any] = {"range": (0, 1), "mean": 0.5, "std": 0.25, "device": "cpu"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=[False, True], ids=["one file", "external"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    model, path = models.convnet(SIZE), tmp_path / "net.onnx"
    # ONNX Runtime needs the shape that Reshape takes, 16 bytes, in the file itself.
    onnx.save(model, path, save_as_external_data=request.param, location="w", size_threshold=99)
    return path


def test_shifted_classifier_is_another_file_with_the_same_scores(path: Path):
    plain = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    shifted = onnxplain.load_shifted(path, -2.0, **DESCRIPTION)
    np.testing.assert_array_equal(shifted.scores(IMAGE[None]), plain.scores(IMAGE[None]))
    assert shifted.spec.mean == (1.0, 1.0, 1.0)
    assert shifted.provenance["sha256"] != plain.provenance["sha256"]
    grey = onnxplain.Colour(rgb=(0.5, 0.5, 0.5))
    score = metrics.input_invariance(plain, shifted, IMAGE, FAST, fill=grey)
    assert (score.value, score.details["score_change"]) == (0, 0)


def test_layers_are_randomised_from_the_last_to_the_first(path: Path, tmp_path: Path):
    plain = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    randomised = list(onnxplain.load_randomised(path, **DESCRIPTION))
    assert len(randomised) == 3
    for n, classifier in enumerate(randomised, 1):
        model = randomise_layers(models.convnet(SIZE), n)
        expected = onnxplain.load(
            models.save(model, tmp_path / f"{n}.onnx"), batch_size=4, **DESCRIPTION
        )
        scores = classifier.scores(IMAGE[None])
        np.testing.assert_array_equal(scores, expected.scores(IMAGE[None]))
        assert np.abs(scores - plain.scores(IMAGE[None])).max() > 1e-3
    score = metrics.randomisation(plain, randomised, IMAGE, FAST, fill="black")
    assert len(score.details["spearman"]) == 3
    assert len(list(onnxplain.load_randomised(path, every=2, **DESCRIPTION))) == 2
    with pytest.raises(ValueError, match="every must be >= 1"):
        next(onnxplain.load_randomised(path, every=0, **DESCRIPTION))


def test_sanity_checks_use_the_gradients_of_each_file(path: Path):
    plain = onnxplain.load(path, **DESCRIPTION)
    randomised = list(onnxplain.load_randomised(path, **DESCRIPTION))
    method = onnxplain.MP(estimator="gradient", grid=4, n_steps=3)

    def explain(classifier: Any, target: int) -> Any:
        return onnxplain.explain(classifier, IMAGE, method, target=target).heatmap

    first, *others = (explain(classifier, 0) for classifier in (plain, *randomised))
    score = metrics.randomisation(plain, randomised, IMAGE, method, 0)
    expected = [stats.spearmanr(first, other, axis=None).statistic for other in others]
    assert score.details["spearman"] == pytest.approx(expected, abs=1e-6)
    scores = plain.scores(IMAGE[None])
    maps = [explain(plain, int(target)) for target in (scores.argmax(), scores.argmin())]
    expected = stats.spearmanr(*maps, axis=None).statistic
    assert metrics.class_sensitivity(plain, IMAGE, method).value == pytest.approx(
        expected, abs=1e-6
    )


def test_model_without_weights_cannot_be_randomised(tmp_path: Path):
    mean = onnx.helper.make_node("GlobalAveragePool", ["image"], ["pooled"])
    flat = onnx.helper.make_node("Flatten", ["pooled"], ["scores"])
    model = models.model(
        [mean, flat],
        {"image": (onnx.TensorProto.FLOAT, ["N", 3, 8, 8])},
        {"scores": (onnx.TensorProto.FLOAT, ["N", 3])},
        {},
    )
    path = models.save(model, tmp_path / "mean.onnx")
    with pytest.raises(ModelError, match=r"mean\.onnx: has no layer with weights"):
        next(onnxplain.load_randomised(path, range=(0, 1), head="logits", device="cpu"))


def test_existing_file_is_its_own_model(path: Path):
    assert find_model(str(path)) == path


def test_file_that_does_not_exist_is_an_error():
    with pytest.raises(ModelError, match=r"nowhere/model\.onnx: no such file"):
        onnxplain.load("nowhere/model.onnx")


def test_unknown_zoo_model_gets_a_suggestion():
    with pytest.raises(ModelError, match=r"did you mean 'efficientnet-lite\d'"):
        onnxplain.load("efficientnet-lite")


def test_name_that_is_too_long_for_a_path_is_an_error():
    with pytest.raises(ModelError, match="cannot be opened"):
        find_model("n" * 5000)


def test_photo_is_scored_at_the_size_of_the_classifier(path: Path):
    toml = path.with_suffix(".toml")
    toml.write_text("range = [0, 1]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n")
    photo = np.pad(IMAGE, ((0, 0), (10, 10), (0, 0)))  # whose centre is the image
    scores = score_photo(path, photo)
    classifier = onnxplain.load(path, batch_size=1, device="cpu")
    raw = classifier.scores(IMAGE[None])
    expected = to_probabilities(raw, classifier.outputs)[0]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_model_in_memory_is_the_one_in_the_file(tmp_path: Path):
    proto = models.convnet(SIZE)
    path = models.save(proto, tmp_path / "net.onnx")
    expected = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    for given in (path.read_bytes(), onnx.load(path), proto):
        classifier = onnxplain.load(given, batch_size=4, **DESCRIPTION)
        np.testing.assert_array_equal(classifier.scores(IMAGE[None]), expected.scores(IMAGE[None]))
        assert classifier.gradients()
    assert repr(classifier) == "OnnxClassifier('model.onnx', 48 x 48, 5 classes)"
    assert onnxplain.load_features(path.read_bytes(), **DESCRIPTION)(IMAGE[None]).shape == (1, 8)
    features = onnxplain.gradient_graph(proto, range=(0, 1), mean=0.5, std=0.25)
    assert features == onnxplain.gradient_graph(path, range=(0, 1), mean=0.5, std=0.25)


def test_nothing_lies_beside_a_model_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.toml").write_text('class_names = ["a", "b", "c", "d", "e"]')
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    names = onnxplain.load(models.convnet(SIZE), batch_size=4, **DESCRIPTION).class_names
    assert names[0] == "class 0"
    onnx.save(
        models.convnet(SIZE), "net.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    content = (tmp_path / "net.onnx").read_bytes()
    with pytest.raises(
        ModelError, match=r"external data 'w' is missing.*give the model by its path"
    ):
        onnxplain.load(content, **DESCRIPTION)


@pytest.mark.parametrize("given", [b"", b"no model", b"PK\3\4"])
def test_bytes_that_are_no_model_are_refused(given: bytes):
    with pytest.raises(ModelError, match=r"model\.onnx: .*(empty|not an? ONNX|not ONNX)"):
        onnxplain.load(given)


@pytest.mark.parametrize("given", [3, None, models, [b""]])
def test_what_is_no_model_is_refused(given: Any):
    with pytest.raises(TypeError, match=r"a model is a path, .*from_torch"):
        onnxplain.load(given)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("model.onnx", "model_quantized.onnx"), "model.onnx"),
        (("onnx/model.onnx", "onnx/model_fp16.onnx"), "onnx/model.onnx"),
        (("onnx/decoder.onnx",), "onnx/decoder.onnx"),
        (("resnet.onnx", "readme.md"), "resnet.onnx"),
    ],
)
def test_model_in_a_folder_is_found(tmp_path: Path, names: tuple[str, ...], expected: str):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_model(tmp_path) == tmp_path / expected


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("b.onnx", "a.onnx"), "several ONNX files; give the path of one: a.onnx, b.onnx"),
        (("config.json",), "holds no ONNX file; give the path"),
        (
            ("model.safetensors",),
            "no ONNX file but model.safetensors: export that model to ONNX, or give",
        ),
    ],
)
def test_folder_without_one_model_is_refused(tmp_path: Path, names: tuple[str, ...], text: str):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=text):
        find_model(tmp_path)


def test_folder_of_hugging_face_is_loaded_with_its_configuration(tmp_path: Path):
    (tmp_path / "onnx").mkdir()
    models.save(models.convnet(SIZE), tmp_path / "onnx" / "model.onnx")
    (tmp_path / "config.json").write_text(
        '{"id2label": {"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"}}'
    )
    (tmp_path / "preprocessor_config.json").write_text(
        '{"do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}'
    )
    classifier = onnxplain.load(tmp_path, device="cpu", batch_size=4)
    assert classifier.class_names == tuple("abcde")
    assert classifier.spec.mean == (0.5, 0.5, 0.5)
