"""What every method that looks at layers must keep, and what it says of bad layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxplain
from onnxplain.core.flow import ByLayer
from onnxplain.engine.settle import looks_at_attention
from onnxplain.graph.surgery import prepend_subtraction
from onnxplain.methods import Combined, EigenCAM, GradCAM, NormGrad
from onnxplain.registry import METHODS
from tests.helpers import models
from tests.helpers.inside import explain, make_quantised, open_model
from tests.helpers.nets import Picture
from tests.helpers.specs import photos, spec_of
from tests.helpers.transformers import make_net_for

SIZE = (16, 20)
NAMES = [name for name, cls in METHODS.items() if isinstance(cls(), ByLayer)]
# Those that look at layers of any kind, which a user chooses.
CHOOSING = sorted(
    name for name in NAMES if name != "fullgrad" and not looks_at_attention(METHODS[name]())
)
GRADIENT_FREE = {"eigen-cam", "score-cam", "ablation-cam"}
SPEC = spec_of(size=SIZE, classes=5)
node = helper.make_node


@pytest.mark.parametrize("name", NAMES)
def test_five_images_give_what_each_gives_alone(name: str) -> None:
    classifier = open_model(make_net_for(name, SIZE), SPEC, batch_size=3)
    images, targets, method = photos(5, SIZE), (3, 0, 4, 1, 1), METHODS[name]()
    together = explain(classifier, method, images, targets, Picture(0.5))
    for result, image, target in zip(together, images, targets, strict=True):
        (alone,) = explain(classifier, method, [image], [target], Picture(0.5))
        top = max(np.abs(alone.heatmap).max(), 1e-6)
        np.testing.assert_allclose(result.heatmap, alone.heatmap, rtol=1e-5, atol=1e-5 * top)


@pytest.mark.parametrize("name", NAMES)
def test_map_does_not_change_if_the_graph_first_shifts_its_input(name: str) -> None:
    model = make_net_for(name, SIZE)
    shifted = prepend_subtraction(model, np.float32(0.5), input="image")
    moved = replace(SPEC, mean=tuple(m - 0.5 for m in SPEC.mean))
    images, method = photos(1, SIZE), METHODS[name]()
    (plain,) = explain(open_model(model, SPEC), method, images, [2], Picture(0.5))
    (other,) = explain(open_model(shifted, moved), method, images, [2], Picture(0.5))
    top = np.abs(plain.heatmap).max()
    np.testing.assert_allclose(other.heatmap, plain.heatmap, rtol=1e-4, atol=2e-5 * top)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_every_map_have_a_meaning(name: str) -> None:
    classifier = open_model(make_net_for(name, SIZE), SPEC)
    (result,) = explain(classifier, METHODS[name](), photos(1, SIZE), [0], Picture(0.5))
    assert len(result.meaning.text) > 20


def make_at(name: str, layer: str):
    return METHODS[name](**{"layers" if name == "combined" else "layer": layer})


@pytest.mark.parametrize("name", CHOOSING)
def test_layers_that_do_not_exist_are_refused_with_the_nearest_names(name: str) -> None:
    classifier = open_model(models.convnet(SIZE), SPEC)
    with pytest.raises(
        onnxplain.OnnxplainError, match=r"no layer 'r3' .* the nearest names are '.*', '.*', '.*'; "
    ):
        explain(classifier, make_at(name, "r3"), photos(1, SIZE), [0])


@pytest.mark.parametrize("name", CHOOSING)
def test_layers_without_a_grid_are_refused(name: str) -> None:
    classifier = open_model(models.convnet(SIZE), SPEC)
    with pytest.raises(onnxplain.OnnxplainError, match=r"'flat' has no grid .* choose last, stage"):
        explain(classifier, make_at(name, "flat"), photos(1, SIZE), [0])


@pytest.mark.parametrize("name", sorted(set(CHOOSING) - {"combined"}))
def test_several_layers_are_refused_by_methods_of_one(name: str) -> None:
    classifier = open_model(models.convnet(SIZE), SPEC)
    with pytest.raises(ValueError, match="'stages' are 2: r1, r2; choose one"):
        explain(classifier, make_at(name, "stages"), photos(1, SIZE), [0])


@pytest.mark.parametrize("name", CHOOSING)
def test_quantised_networks_are_refused_with_the_methods_that_take_them(name: str) -> None:
    classifier = open_model(make_quantised(SIZE), spec_of(size=SIZE, classes=3))
    # The last layer is a real number behind all quantised ones, and has a gradient.
    method = make_at(name, "inner" if name != "combined" else "inn*")
    if name in GRADIENT_FREE:
        (result,) = explain(classifier, method, photos(1, SIZE), [0], Picture(0.5))
        assert np.ptp(result.coarse) > 0
        return
    with pytest.raises(onnxplain.OnnxplainError) as raised:
        explain(classifier, method, photos(1, SIZE), [0])
    message = str(raised.value)
    assert message.startswith(f"{name}: ")
    assert "methods that need no gradients: ablation-cam, eigen-cam, score-cam, " in message


def test_fused_operators_are_named_with_the_methods_that_take_them() -> None:
    """As ONNX Runtime writes them into files that it has optimised."""
    model = models.convnet(SIZE)
    fused = node("FusedConv", ["p1", "w2"], ["r2"], domain="com.microsoft", name="conv+relu")
    fused.attribute.extend(
        [
            helper.make_attribute("activation", "Relu"),
            helper.make_attribute("pads", [1, 1, 1, 1]),
        ]
    )
    kept = [*model.graph.node[:3], fused, *model.graph.node[5:]]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    classifier = open_model(model, SPEC)
    with pytest.raises(onnxplain.OnnxplainError) as raised:
        explain(classifier, GradCAM(layer="r1"), photos(1, SIZE), [0])
    message = str(raised.value)
    assert "grad-cam: " in message
    assert "conv+relu" in message
    assert "FusedConv" in message
    assert "methods that need no gradients: ablation-cam, eigen-cam" in message
    (behind,) = explain(classifier, GradCAM(), photos(1, SIZE), [0])
    (values,) = explain(classifier, EigenCAM(layer="r1"), photos(1, SIZE), [0])
    assert behind.details["layers"][0]["tensor"] == "r2"
    assert np.ptp(values.coarse) > 0


@pytest.mark.parametrize("name", ["grad-cam", "hires-cam", "layer-cam"])
def test_map_with_evidence_against_the_class_alone_is_said_to_be_empty(name: str, caplog) -> None:
    model = models.convnet(SIZE)
    for stored in model.graph.initializer:
        if stored.name == "w3":
            # Larger at some positions than at others, and never for the class.
            negative = -np.abs(numpy_helper.to_array(stored))
            stored.CopyFrom(numpy_helper.from_array(negative, "w3"))
    classifier = open_model(model, SPEC)
    (result,) = explain(classifier, METHODS[name](), photos(1, SIZE), [0])
    assert result.details["empty"]
    assert not result.heatmap.any()
    if name == "layer-cam":  # no gradient is positive, so nothing is left
        assert not result.coarse.any()
    else:
        assert result.coarse.min() < 0
        assert "nothing in the layer speaks for the class; the signed map is kept" in caplog.text


def make_transformer() -> object:
    """Make tokens of patches with a class token, one attention, and a head that reads the token."""
    rng = np.random.default_rng(0)
    draw = {
        "patches": (6, 3, 4, 4),
        "token": (1, 1, 6),
        "q": (6, 6),
        "k": (6, 6),
        "v": (6, 6),
        "head": (6, 5),
    }
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in draw.items()}
    tensors |= {
        "flat": np.array([0, 6, 20], np.int64),
        "ones": np.ones(6, np.float32),
        "scale": np.array(0.5, np.float32),
        "nought": np.array(0, np.int64),
        "place": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "ends": np.array([1, 6], np.int64),
    }
    nodes = [
        node("Conv", ["image", "patches"], ["grid"], strides=[4, 4]),
        node("Reshape", ["grid", "flat"], ["rows"]),
        node("Transpose", ["rows"], ["bare"], perm=[0, 2, 1]),
        node("Shape", ["bare"], ["shape"]),
        node("Gather", ["shape", "place"], ["n"]),
        node("Concat", ["n", "ends"], ["wide"], axis=0),
        node("Expand", ["token", "wide"], ["tokens0"]),
        node("Concat", ["tokens0", "bare"], ["tokens"], axis=1),
        node("LayerNormalization", ["tokens", "ones"], ["normed"], axis=-1),
        node("MatMul", ["normed", "q"], ["queries"]),
        node("MatMul", ["normed", "k"], ["keys"]),
        node("MatMul", ["normed", "v"], ["values"]),
        node("Transpose", ["keys"], ["keys_t"], perm=[0, 2, 1]),
        node("MatMul", ["queries", "keys_t"], ["products"]),
        node("Mul", ["products", "scale"], ["scaled"]),
        node("Softmax", ["scaled"], ["weights"], axis=-1),
        node("MatMul", ["weights", "values"], ["attended"]),
        node("Add", ["tokens", "attended"], ["block"]),
        node("LayerNormalization", ["block", "ones"], ["final"], axis=-1),
        node("Gather", ["final", "nought"], ["first"], axis=1),
        node("MatMul", ["first", "head"], ["scores"]),
    ]
    return models.model(
        nodes,
        {"image": (TensorProto.FLOAT, ["N", 3, *SIZE])},
        {"scores": (TensorProto.FLOAT, ["N", 5])},
        tensors,
    )


@pytest.mark.parametrize("name", sorted(set(CHOOSING) - GRADIENT_FREE - {"combined"}))
def test_tokens_that_no_later_layer_reads_have_an_empty_map_that_names_a_better_layer(
    name: str, caplog
) -> None:
    classifier = open_model(make_transformer(), SPEC)
    (result,) = explain(classifier, make_at(name, "final"), photos(1, SIZE), [0])
    assert not result.heatmap.any()
    assert result.details["empty"]
    assert (
        "no later layer reads this one's grid, or it has no values; try layer=last" in caplog.text
    )
    (better,) = explain(classifier, make_at(name, "last"), photos(1, SIZE), [0])
    assert better.details["layers"][0]["tensor"] == "normed"
    assert better.coarse.any()


def test_combined_layers_of_which_one_is_not_read_are_named() -> None:
    classifier = open_model(make_transformer(), SPEC)
    method = Combined(layers="[nf][oi]*", how="sum")
    (result,) = explain(classifier, method, photos(1, SIZE), [0])
    assert "final" in result.details["constant_layers"]
    assert "normed" not in result.details["constant_layers"]
    (alone,) = explain(classifier, NormGrad(), photos(1, SIZE), [0])
    assert np.corrcoef(result.heatmap.ravel(), alone.heatmap.ravel())[0, 1] > 0.99
