"""Class activation maps on nets whose maps are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import onnxplain
from onnxplain.core.data import Image
from onnxplain.graph.surgery import prepend_subtraction
from onnxplain.methods import GradCAM, GradCAMPlusPlus, HiResCAM, LinearApprox, XGradCAM
from onnxplain.methods.layers.reduce import enlarge, grad_cam
from tests.helpers import models
from tests.helpers.inside import add_softmax, explain, open_model
from tests.helpers.specs import photos, spec_of

SIZE = (16, 20)
node = helper.make_node


def compute_cam(model: ModelProto, image: Image, target: int) -> np.ndarray:
    """The original map of [1]_'s section 3: the dense layer's weights times the last layer."""
    changed = ModelProto()
    changed.CopyFrom(model)
    classifier = open_model(changed, spec_of(size=SIZE, classes=5))
    wants = replace(GradCAM().wants, layers=classifier.find_layers("r2"), gradients=False)
    inside = classifier.look_inside(image[None], np.array([target]), wants)
    (w3,) = (numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "w3")
    return np.einsum("c,chw->hw", w3[:, target], inside.layers[0][0][0])


@pytest.mark.parametrize("head", ["logits", "probabilities"])
def test_grad_cam_of_pooling_and_a_dense_layer_is_cam_over_the_number_of_positions(head) -> None:
    plain = models.convnet(SIZE)
    model = plain if head == "logits" else add_softmax(plain)
    classifier = open_model(model, spec_of(size=SIZE, classes=5, head=head))
    images, targets = photos(3, SIZE), (3, 0, 4)
    for result, image, target in zip(
        explain(classifier, GradCAM(), images, targets), images, targets, strict=True
    ):
        cam = compute_cam(plain, image, target) / (8 * 10)
        np.testing.assert_allclose(result.coarse, cam, atol=1e-6)
        np.testing.assert_allclose(result.heatmap, enlarge(np.maximum(cam, 0), SIZE), atol=1e-6)
        assert result.details["layers"] == [{"tensor": "r2", "shape": [8, 8, 10], "is_cut": True}]
        assert result.details["empty"] == (not (cam > 0).any())


@pytest.mark.parametrize("method", [HiResCAM(), XGradCAM(), LinearApprox()])
def test_maps_of_pooling_and_a_dense_layer_are_one(method) -> None:
    """The gradient is the same at every position, so all ways of weighing agree."""
    classifier = open_model(models.convnet(SIZE), spec_of(size=SIZE, classes=5))
    images, targets = photos(2, SIZE), (1, 4)
    for ours, cam in zip(
        explain(classifier, method, images, targets),
        explain(classifier, GradCAM(), images, targets),
        strict=True,
    ):
        np.testing.assert_allclose(ours.coarse, cam.coarse, atol=1e-6)
        is_signed = method == LinearApprox()
        np.testing.assert_allclose(ours.heatmap.min() < 0, is_signed and cam.coarse.min() < 0)


@pytest.mark.parametrize("layer", ["first", "stage:1", "p1", "last"])
def test_linear_approximation_sums_to_the_logit_less_its_bias(layer: str) -> None:
    """At any layer, as rectifiers and max-pooling without biases are linear along a ray."""
    model = models.convnet(SIZE)
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    images, targets = photos(3, SIZE), (0, 1, 2)
    (b3,) = (numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "b3")
    z = classifier.scores(images)[range(3), targets] - b3[list(targets)]
    sums = [m.coarse.sum() for m in explain(classifier, LinearApprox(layer=layer), images, targets)]
    np.testing.assert_allclose(sums, z, rtol=1e-4, atol=1e-5)


def test_grad_cam_plus_plus_records_where_its_weights_are_not_defined() -> None:
    classifier = open_model(models.convnet(SIZE), spec_of(size=SIZE, classes=5))
    (result,) = explain(classifier, GradCAMPlusPlus(), photos(1, SIZE), [3])
    assert result.details["crossed"] == 0  # behind a rectifier


def test_many_images_give_what_each_gives_alone() -> None:
    classifier = open_model(models.convnet(SIZE), spec_of(size=SIZE, classes=5), batch_size=3)
    images, targets = photos(5, SIZE), (3, 0, 4, 1, 1)
    together = explain(classifier, GradCAM(layer="stage:1"), images, targets)
    for result, image, target in zip(together, images, targets, strict=True):
        (alone,) = explain(classifier, GradCAM(layer="stage:1"), [image], [target])
        np.testing.assert_allclose(result.heatmap, alone.heatmap, rtol=1e-5, atol=1e-7)


def test_map_does_not_change_if_the_graph_first_shifts_its_input() -> None:
    model, spec = models.convnet(SIZE), spec_of(size=SIZE, classes=5)
    shifted = prepend_subtraction(model, np.float32(0.5), input="image")
    moved = replace(spec, mean=tuple(m - 0.5 for m in spec.mean))
    images = photos(1, SIZE)
    (plain,) = explain(open_model(model, spec), GradCAM(), images, [2])
    (other,) = explain(open_model(shifted, moved), GradCAM(), images, [2])
    np.testing.assert_allclose(other.heatmap, plain.heatmap, rtol=1e-5, atol=1e-6)


def test_map_without_evidence_is_empty_and_its_signed_map_is_kept() -> None:
    model = models.convnet(SIZE)
    for stored in model.graph.initializer:
        if stored.name == "w3":
            negative = -np.abs(numpy_helper.to_array(stored))
            stored.CopyFrom(numpy_helper.from_array(negative, "w3"))
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    (result,) = explain(classifier, GradCAM(), photos(1, SIZE), [0])
    assert result.details["empty"]
    assert not result.heatmap.any()
    assert result.coarse.min() < 0


def test_channels_last_twin_has_the_same_map() -> None:
    """The same net as exported from Keras: a mean over rows and columns, and NHWC inside."""
    rng = np.random.default_rng(0)
    w1, w2 = (rng.normal(size=size).astype(np.float32) for size in ((3, 6), (6, 4)))
    ends = {}
    for layout in ("nchw", "nhwc"):
        if layout == "nhwc":
            image = ["N", *SIZE, 3]
            first, axes, tensors = node("MatMul", ["image", "w1"], ["a"]), [1, 2], {"w1": w1}
        else:
            image, axes = ["N", 3, *SIZE], [2, 3]
            first = node("Conv", ["image", "w1"], ["a"])
            tensors = {"w1": np.ascontiguousarray(w1.T[:, :, None, None])}
        nodes = [
            first,
            node("Relu", ["a"], ["b"]),
            node("ReduceMean", ["b"], ["mean"], axes=axes, keepdims=0),
            node("MatMul", ["mean", "w2"], ["scores"]),
        ]
        model = models.model(
            nodes,
            {"image": (TensorProto.FLOAT, image)},
            {"scores": (TensorProto.FLOAT, ["N", 4])},
            {**tensors, "w2": w2},
        )
        classifier = open_model(model, spec_of(size=SIZE, classes=4, layout=layout))
        (ends[layout],) = explain(classifier, GradCAM(), photos(1, SIZE), [2])
    np.testing.assert_allclose(ends["nhwc"].heatmap, ends["nchw"].heatmap, rtol=1e-5, atol=1e-7)


def test_contrast_is_a_twin_of_the_raw_map() -> None:
    """Of two classes, it is the difference of their maps."""
    model = models.convnet(SIZE, classes=2)
    classifier = open_model(model, spec_of(size=SIZE, classes=2))
    image = photos(1, SIZE)
    own, other = (explain(classifier, GradCAM(), image, [t])[0].coarse for t in (0, 1))
    (contrast,) = explain(classifier, GradCAM(score="contrast"), image, [0])
    np.testing.assert_allclose(contrast.coarse, own - other, atol=1e-6)


def test_classifiers_that_are_no_files_have_no_layers() -> None:
    def brightness(images):
        mean = images.mean(axis=(1, 2, 3))
        return np.stack([mean, 1 - mean], axis=1)

    classifier = onnxplain.from_callable(brightness, size=SIZE, n_classes=2)
    with pytest.raises(onnxplain.OnnxplainError, match="grad-cam looks inside the classifier"):
        onnxplain.explain(classifier, photos(1, SIZE)[0], "grad-cam")


@pytest.mark.slow
def test_class_map_identity_holds_on_a_real_network() -> None:
    """EfficientNet-Lite0 ends in pooling and a dense layer, so G is constant over positions."""
    classifier = onnxplain.load("efficientnet-lite0", device="cpu", batch_size=2)
    stages = [(layer.tensor, layer.shape) for layer in classifier.find_layers("stages")]
    assert stages[1:] == [
        ("_blocks.2.sum", (24, 56, 56)),
        ("_blocks.4.sum", (40, 28, 28)),
        ("_blocks.10.sum", (112, 14, 14)),
        ("features", (1280, 7, 7)),
    ]
    images = np.concatenate([photos(1, classifier.size), np.zeros((1, 224, 224, 3), np.float32)])
    wants = replace(GradCAM().wants, layers=classifier.find_layers("last"))
    inside = classifier.look_inside(images, np.array([7, 7]), wants)
    values, grads = inside.layers[0]
    assert np.ptp(grads, axis=(2, 3)).max() < 1e-6
    hires = (values * grads).sum(axis=1)
    np.testing.assert_allclose(grad_cam(values, grads), hires, atol=1e-6)
    # The sum of activation times gradient is the logit less the bias of its class.
    rest = inside.logits[:, 7] - hires.sum(axis=(1, 2))
    np.testing.assert_allclose(rest[0], rest[1], atol=1e-4)
