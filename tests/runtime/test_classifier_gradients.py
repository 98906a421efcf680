"""The gradients that a loaded classifier gives to methods."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

import onnxplain
from onnxplain.api import explain_many
from onnxplain.core.errors import ModelError
from onnxplain.core.scores import compute_target_scores
from onnxplain.engine.settle import settle_method
from onnxplain.gradient import GradientError, Wish
from onnxplain.methods import MP, MP2
from onnxplain.results import Explanation
from onnxplain.runtime import OnnxClassifier, gradient_building, load_classifier
from tests.conftest import shared
from tests.helpers import models

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["probability", "log-odds", "logit"])
def test_gradients_of_a_real_classifier_are_the_slope_of_its_scores(kind):
    path = shared("models/squeezenet-places365.onnx")
    flags = {"preprocessing": "bytes", "colour": "bgr", "mean": (104.05, 112.51, 116.68)}
    classifier = load_classifier(path, flags={**flags, "std": (255.0, 255.0, 255.0)}, batch_size=2)
    # Smooth images: the net is piecewise linear, and noise lies on too many of its kinks.
    ramp = np.linspace(0.2, 0.8, 224, dtype=np.float32)
    image = np.stack([np.outer(ramp, ramp), np.outer(ramp[::-1], ramp), 1 - np.outer(ramp, ramp)])
    image = image.transpose(1, 2, 0).astype(np.float32)
    target = int(classifier.scores(image[None]).argmax())
    raw, grads = classifier.gradients().score_grads(image[None], np.array([target]), kind)
    np.testing.assert_allclose(raw, classifier.scores(image[None]), rtol=1e-4, atol=1e-4)
    direction = grads[0] / np.linalg.norm(grads[0])
    step = 2e-4
    moved = np.stack([image + step * direction, image - step * direction]).astype(np.float32)
    ahead, behind = compute_target_scores(
        classifier.scores(moved), target, outputs=classifier.outputs, kind=kind
    )
    slope = float((grads[0] * direction).sum())
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=0.05)


def test_a_quantised_classifier_has_no_gradients_and_says_what_to_do():
    classifier = load_classifier(shared("models/mobilenet_v1_0.25_128_quant.onnx"), batch_size=1)
    with pytest.raises(GradientError, match=r"uint8.*gain=difference"):
        classifier.gradients()


def test_a_function_has_no_gradients_and_says_what_to_do():
    classifier = onnxplain.from_callable(
        lambda images: np.ones((len(images), 2)), size=(8, 8), n_classes=2, name="mine"
    )
    with pytest.raises(ModelError, match="mine: a function has no gradient"):
        classifier.gradients()


def loaded(folder: Path, model: ModelProto) -> OnnxClassifier:
    path = models.save(model, folder / "tiny.onnx")
    return load_classifier(path, flags={"range": (0, 1)}, batch_size=2)


def begun_with(nodes: Sequence[NodeProto], model: ModelProto) -> ModelProto:
    """The model after some nodes, which take `image` and make `begun`."""
    for node in model.graph.node:
        node.input[:] = ["begun" if name == "image" else name for name in node.input]
    later = [*model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *later])
    return model


@pytest.fixture
def refused(tmp_path: Path) -> OnnxClassifier:
    """Casts to float64 have a rule, which refuses these once it sees them."""
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["wide"], name="widen", to=TensorProto.DOUBLE),
        node("Abs", ["wide"], ["same"]),
        node("Cast", ["same"], ["begun"], to=TensorProto.FLOAT),
    ]
    return loaded(tmp_path, begun_with(nodes, models.convnet((16, 16))))


@pytest.mark.parametrize(
    ("method", "how"),
    [(MP2(grid=2), ("gain", "difference")), (MP(grid=2, n_steps=2), ("estimator", "spsa"))],
)
def test_what_is_refused_only_while_building_is_gone_without(
    refused: OnnxClassifier, method: MP | MP2, how: tuple[str, str]
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for found in explain_many(refused, [photo, photo], method):
        assert isinstance(found, Explanation)
        assert found.parameters[how[0]] == how[1]


def test_gradients_that_a_method_needs_are_refused_with_the_node_and_what_works(
    refused: OnnxClassifier,
) -> None:
    with pytest.raises(GradientError, match=r"tiny.onnx: node .widen. .*estimator=spsa of mp"):
        settle_method(MP(estimator="gradient"), refused)


@pytest.mark.parametrize("there_are_some", [True, False])
def test_whether_there_are_gradients_is_found_out_once(
    tmp_path: Path,
    refused: OnnxClassifier,
    monkeypatch: pytest.MonkeyPatch,
    there_are_some: bool,
) -> None:
    built, build = [], gradient_building.build_gradient

    def counting(model: ModelProto, wish: Wish, *rest: object, **options: object) -> object:
        built.append(wish.kind)
        return build(model, wish, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(gradient_building, "build_gradient", counting)
    classifier = loaded(tmp_path, models.convnet((16, 16))) if there_are_some else refused
    assert built == []
    for _ in range(3):
        found = settle_method(MP2(), classifier)[1]
        assert (found is not None) == there_are_some
        if found is not None:
            found.score_grads(np.zeros((1, 16, 16, 3), np.float32), np.array([0]), "log-odds")
    assert built == ["log-odds"]


def test_a_model_that_calls_a_function_of_its_own_has_gradients(tmp_path: Path) -> None:
    model = begun_with(
        [helper.make_node("Twice", ["image"], ["begun"], domain="mine")], models.convnet((16, 16))
    )
    standard = [one for one in model.opset_import if not one.domain]
    twice = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], [twice], standard))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    assert settle_method(MP2(), loaded(tmp_path, model))[1] is not None


def test_a_model_of_an_old_opset_has_gradients(tmp_path: Path) -> None:
    """Its Upsample is brought to a Resize, which has a rule."""
    node, w = helper.make_node, np.ones((5, 3, 1, 1), np.float32) / 7
    nodes = [
        node("Upsample", ["image", "scales"], ["large"], mode="nearest"),
        node("Conv", ["large", "w"], ["maps"]),
        node("GlobalAveragePool", ["maps"], ["pooled"]),
        node("Flatten", ["pooled"], ["scores"]),
    ]
    inputs = {"image": (onnx.TensorProto.FLOAT, ["N", 3, 16, 16])}
    outputs = {"scores": (onnx.TensorProto.FLOAT, ["N", 5])}
    tensors = {"scales": np.array([1, 1, 2, 2], np.float32), "w": w}
    model = models.model(nodes, inputs, outputs, tensors, opset=9, ir_version=4)
    assert settle_method(MP2(), loaded(tmp_path, model))[1] is not None


@pytest.mark.parametrize("head", ["sigmoid", "logit"])
@pytest.mark.parametrize("output_rank", [1, 2])
@pytest.mark.parametrize("kind", ["probability", "log-odds"])
def test_one_number_an_image_has_the_gradient_of_its_sigmoid(
    tmp_path: Path, head: str, output_rank: int, kind: str
) -> None:
    """Log-odds of the second class are the weighted sum of the pixels."""
    w = models.weights((6, 6), 1) * 0.1
    made = models.additive(
        w, head="sigmoid" if head == "sigmoid" else "logits", output_rank=output_rank
    )
    flags = {"range": (0, 1), "class_names": ("no", "yes"), "head": head}
    path = models.save(made, tmp_path / "net.onnx")
    classifier = load_classifier(path, device="cpu", batch_size=2, flags=flags)
    images = RNG.random((2, 6, 6, 3), np.float32)
    _, grads = classifier.gradients().score_grads(images, np.array([1, 0]), kind)
    p = 1 / (1 + np.exp(-models.additive_scores(w, images)[:, 0]))
    slope = np.ones(2) if kind == "log-odds" else p * (1 - p)
    want = np.array([1, -1])[:, None, None, None] * slope[:, None, None, None] * w
    np.testing.assert_allclose(grads, want, atol=1e-5)
