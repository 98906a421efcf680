"""Interfaces that exporters write are brought to the usual one, and the answers stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.core.scores import to_probabilities
from onnxplain.gradient import GradientError
from onnxplain.graph.adapting import adapt_classifier
from onnxplain.graph.load import read_model
from onnxplain.inspection import inspect_model
from onnxplain.runtime import OnnxClassifier, load_classifier
from tests.helpers import interfaces, models
from tests.helpers.interfaces import SIZE, W
from tests.helpers.specs import photos

IMAGES = photos(4, SIZE)
LOGITS = models.additive_scores(W, IMAGES)
PROBABILITIES = models.additive_scores(W, IMAGES, "probabilities")


def load(proto: ModelProto, folder: Path, external: bool = False, **flags: Any) -> OnnxClassifier:
    path = models.save(proto, folder / "net.onnx", external=external)
    return load_classifier(path, device="cpu", flags={"preprocessing": "unit", **flags})


def check_gradients(classifier: OnnxClassifier) -> None:
    """Compare gradients with the weights: the score is their sum with the pixels."""
    targets = np.array([0, 1, 2, 0])
    _, grads = classifier.gradients().score_grads(IMAGES, targets, "logit")
    np.testing.assert_allclose(grads, W[targets], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("scores_too", [False, True])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_images_and_scores_without_a_batch(
    layout: str, scores_too: bool, external: bool, tmp_path: Path
) -> None:
    proto = interfaces.unbatched(layout, scores_too=scores_too)
    classifier = load(proto, tmp_path, external, head="logits")
    assert (classifier.spec.layout, classifier.size) == (layout, SIZE)
    np.testing.assert_allclose(classifier.scores(IMAGES), LOGITS, rtol=0, atol=1e-5)
    check_gradients(classifier)


@pytest.mark.parametrize("opset", [11, 17])
def test_scores_without_a_batch(opset: int, tmp_path: Path) -> None:
    proto = interfaces.squeeze(models.additive(W, batch=1, opset=opset))
    classifier = load(proto, tmp_path, head="logits")
    np.testing.assert_allclose(classifier.scores(IMAGES), LOGITS, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dims", [[], [1]])
@pytest.mark.parametrize("kind", [TensorProto.BOOL, TensorProto.INT32, TensorProto.FLOAT])
def test_a_switch_of_training_is_off(kind: int, dims: list[int], tmp_path: Path) -> None:
    proto = interfaces.switched("keras_learning_phase:0", kind, dims)
    classifier = load(proto, tmp_path, head="logits")
    np.testing.assert_allclose(classifier.scores(IMAGES), LOGITS, rtol=0, atol=1e-5)
    check_gradients(classifier)


def test_other_inputs_are_named_unless_they_have_a_value(tmp_path: Path) -> None:
    proto = interfaces.switched("keep_prob", TensorProto.FLOAT, [])
    with pytest.raises(ModelError, match=r"needs more than an image: .*'keep_prob' float \(\)"):
        load(proto, tmp_path, head="logits")
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(0), "keep_prob"))
    np.testing.assert_allclose(
        load(proto, tmp_path, head="logits").scores(IMAGES), LOGITS, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["red", "green", "blue"], ("red", "green", "blue")),
        ([7, 8, 9], ("7", "8", "9")),
        ([0, 1, 2], ("class 0", "class 1", "class 2")),
    ],
)
@pytest.mark.parametrize("output", [None, "loss"])
def test_dictionaries_of_scores_are_opened(
    keys: list[Any], names: tuple[str, ...], output: str | None, tmp_path: Path
) -> None:
    classifier = load(interfaces.zipped(keys), tmp_path, output=output)
    assert (classifier.class_names, classifier.spec.output) == (names, "loss")
    scores = to_probabilities(classifier.scores(IMAGES), classifier.outputs)
    np.testing.assert_allclose(scores, PROBABILITIES, rtol=0, atol=1e-5)


def test_names_in_the_metadata_win_over_those_of_a_dictionary(tmp_path: Path) -> None:
    proto = interfaces.zipped(["1", "2", "3"])
    proto.metadata_props.add(key="class_names", value='["a", "b", "c"]')
    assert load(proto, tmp_path).class_names == ("a", "b", "c")


def test_the_usual_interface_is_left_as_it_is(tmp_path: Path) -> None:
    file = read_model(models.save(models.additive(W), tmp_path / "net.onnx"))
    assert adapt_classifier(file) is file


def test_a_changed_interface_keeps_the_hash_of_the_file(tmp_path: Path) -> None:
    file = read_model(models.save(interfaces.zipped(["r", "g", "b"]), tmp_path / "net.onnx"))
    assert adapt_classifier(file).sha256 == file.sha256


def test_float64_goes_in_and_comes_out(tmp_path: Path) -> None:
    classifier = load(interfaces.doubled(), tmp_path, head="logits")
    assert classifier.spec.dtype == "float64"
    np.testing.assert_allclose(classifier.scores(IMAGES), LOGITS, rtol=0, atol=1e-6)
    check_gradients(classifier)


def test_scores_in_another_precision_have_no_gradient(tmp_path: Path) -> None:
    classifier = load(interfaces.doubled_scores(), tmp_path, head="logits")
    np.testing.assert_allclose(classifier.scores(IMAGES), LOGITS, rtol=0, atol=1e-5)
    with pytest.raises(GradientError, match="'scores' holds double and the input float32"):
        classifier.gradients()


def test_quantised_scores_have_no_gradient(tmp_path: Path) -> None:
    classifier = load(interfaces.uint8_scores(), tmp_path)
    np.testing.assert_allclose(
        classifier.scores(IMAGES), PROBABILITIES, rtol=0, atol=1 / 512 + 1e-6
    )
    with pytest.raises(GradientError, match="'scores' holds uint8, which has no gradient"):
        classifier.gradients()


@pytest.mark.parametrize("compose", ["host", "graph"])
def test_int8_is_all_of_its_values_where_the_scale_shows_it(compose: Any, tmp_path: Path) -> None:
    path = models.save(interfaces.int8(1 / 255, -128), tmp_path / "net.onnx")
    classifier = load_classifier(path, device="cpu", flags={"head": "logits"}, compose=compose)
    assert (classifier.spec.range, classifier.spec.sources["range"]) == ((-128, 127), "graph")
    # photos hold bytes, which int8 holds too: nothing is rounded
    np.testing.assert_allclose(classifier.scores(IMAGES), LOGITS, rtol=0, atol=1e-5)
    with pytest.raises(GradientError, match="holds int8, which has no gradient"):
        classifier.gradients()


def test_int8_of_another_scale_has_to_be_said(tmp_path: Path) -> None:
    proto = interfaces.int8(1 / 100, -20)
    with pytest.raises(ModelError, match=r"pass --range with the values of int8 .* -128,127"):
        load(proto, tmp_path, preprocessing=None, head="logits")
    with pytest.raises(ModelError, match="preset unit gives pixels from 0 to 1, where integers"):
        load(proto, tmp_path, head="logits")
    classifier = load(proto, tmp_path, preprocessing=None, head="logits", range=(-20, 80))
    rounded = np.rint(IMAGES * np.float32(100)) / 100
    expected = models.additive_scores(W, rounded)
    np.testing.assert_allclose(classifier.scores(IMAGES), expected, rtol=0, atol=1e-3)


def test_int8_is_inspected_with_a_photo(tmp_path: Path, photo: Path) -> None:
    path = models.save(interfaces.int8(1 / 255, -128), tmp_path / "net.onnx")
    inspected = inspect_model(path, image=photo, device="cpu", flags={"head": "logits"})
    assert [answer.preprocessing for answer in inspected.answers] == ["as described"]


def test_a_softmax_over_one_class_is_refused(tmp_path: Path) -> None:
    proto = models.additive(models.weights(SIZE, classes=1), head="probabilities")
    with pytest.raises(ModelError, match="1 for every image, as a softmax over one class always"):
        load(proto, tmp_path, class_names=("no", "yes"))


def test_several_outputs_of_scores_have_to_be_chosen_from(tmp_path: Path) -> None:
    proto = models.additive(W)
    proto.graph.node.append(helper.make_node("Relu", ["scores"], ["aux"]))
    proto.graph.output.append(helper.make_tensor_value_info("aux", TensorProto.FLOAT, ["N", 3]))
    with pytest.raises(ModelError, match="--output-name scores or --output-name aux"):
        load(proto, tmp_path, head="logits")
    classifier = load(proto, tmp_path, head="logits", output="aux")
    np.testing.assert_allclose(classifier.scores(IMAGES), np.maximum(LOGITS, 0), rtol=0, atol=1e-5)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from onnxplain.image import write_png

    path = tmp_path / "photo.png"
    write_png(path, np.rint(IMAGES[0] * 255).astype(np.uint8))
    return path
