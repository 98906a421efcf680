"""Methods that follow attention, against the formulas of their papers in float64."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from onnxplain import AttentionRollout, GenericAttention, TransformerAttribution
from onnxplain.core.errors import ModelError
from onnxplain.core.flow import Method
from tests.helpers.inside import explain, open_convnet
from tests.helpers.specs import photos
from tests.helpers.transformers import FORMS, Form, Vit, draw_weights, open_vit
from tests.reference import transformers as reference

CLASS = Vit()
REGISTERS = Vit(prefix=3)
MEAN = Vit(prefix=0, head="mean")
PATCHES = Vit(head="mean of patches")
NETS = {"class": CLASS, "registers": REGISTERS, "mean": MEAN, "mean of patches": PATCHES}
TARGET = 1


@cache
def draw_photos(vit: Vit) -> np.ndarray:
    return photos(2, vit.size)


@cache
def run_reference(vit: Vit, place: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return attention and its slopes for a photo."""
    weights, image = draw_weights(vit), draw_photos(vit)[place].astype(float)
    _, attentions = reference.run_vit(vit, weights, image)
    return attentions, reference.measure_slopes(vit, weights, image, TARGET)


def check(vit: Vit, method: Method, form: Form, expected: list[np.ndarray]) -> None:
    found = explain(open_vit(vit, form), method, list(draw_photos(vit)), [TARGET] * 2)
    for result, relevance in zip(found, expected, strict=True):
        map_ = reference.show(vit, relevance)
        assert result.coarse is not None
        np.testing.assert_allclose(result.coarse, map_, atol=1e-5 * np.abs(map_).max())
        assert result.heatmap.shape == vit.size


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETS)
def test_rollout_is_the_product_of_what_blocks_pass_on(name: str, form: Form) -> None:
    vit = NETS[name]
    expected = [reference.roll_out(run_reference(vit, place)[0]) for place in (0, 1)]
    for joint in expected:
        np.testing.assert_allclose(joint.sum(axis=1), 1)
    check(vit, AttentionRollout(), form, expected)


@pytest.mark.parametrize("discard", [0.0, 0.6])
@pytest.mark.parametrize("fuse", ["mean", "max", "min"])
def test_rollout_with_other_heads_and_without_small_weights(fuse: str, discard: float) -> None:
    expected = [
        reference.roll_out(run_reference(CLASS, place)[0], fuse, discard) for place in (0, 1)
    ]
    check(CLASS, AttentionRollout(fuse=fuse, discard=discard), "split", expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETS)
def test_generic_attention_is_what_the_paper_defines(name: str, form: Form) -> None:
    vit = NETS[name]
    runs = [run_reference(vit, place) for place in (0, 1)]
    check(vit, GenericAttention(), form, [reference.follow_attention(*run) for run in runs])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETS)
def test_transformer_attribution_is_what_the_authors_define(name: str, form: Form) -> None:
    vit = NETS[name]
    expected = []
    for place, image in enumerate(draw_photos(vit)):
        _, slopes = run_reference(vit, place)
        relevance = reference.attribute(vit, draw_weights(vit), image.astype(float), TARGET)
        expected.append(reference.follow_attention(relevance, slopes))
    check(vit, TransformerAttribution(), form, expected)


@pytest.mark.parametrize("form", FORMS)
def test_slopes_and_relevance_of_one_run_are_those_of_two(form: Form) -> None:
    net, images, targets = open_vit(CLASS, form), draw_photos(CLASS), np.array([TARGET, 0])
    both = TransformerAttribution().at(net.find_layers("attention")).wants
    found = net.look_inside(images, targets, both)
    relevance = net.look_inside(images, targets, replace(both, slopes=False))
    slopes = net.look_inside(images, targets, replace(both, slopes=False, rules=None))
    assert found.facts == relevance.facts
    for (values, grads), (others, expected) in zip(
        found.layers, relevance.layers + slopes.layers, strict=True
    ):
        np.testing.assert_allclose(values, others, rtol=1e-5)
        np.testing.assert_allclose(grads, expected, atol=1e-6 * np.abs(expected).max())


def test_transformer_attribution_runs_forwards_once() -> None:
    (found,) = explain(open_vit(CLASS), TransformerAttribution(), list(draw_photos(CLASS)[:1]), [1])
    assert (found.details["forwards"], found.details["backwards"]) == (1, 2)
    assert TransformerAttribution().evaluations(CLASS.size) == 1


def test_one_block_of_generic_attention_is_the_identity_and_what_speaks_for_the_class() -> None:
    vit = Vit(blocks=1)
    attentions, slopes = run_reference(vit, 0)
    expected = np.maximum(attentions[0] * slopes[0], 0).mean(0)[0, 1:].reshape(vit.grid)
    image = draw_photos(vit)[0]
    (found,) = explain(open_vit(vit), GenericAttention(), [image], [TARGET])
    assert found.coarse is not None
    np.testing.assert_allclose(found.coarse, expected, atol=1e-5 * expected.max())


def test_rollout_is_the_same_for_every_class_and_takes_no_gradient() -> None:
    image = draw_photos(CLASS)[0]
    first, second = explain(open_vit(CLASS), AttentionRollout(), [image] * 2, [0, 2])
    np.testing.assert_array_equal(first.heatmap, second.heatmap)
    assert (first.details["forwards"], first.details["backwards"]) == (1, 0)
    assert first.details["tokens"] == {"grid": [2, 3], "prefix": 1, "read": [0, 1]}


def test_generic_attention_tells_classes_apart() -> None:
    image = draw_photos(CLASS)[0]
    first, second = explain(open_vit(CLASS), GenericAttention(), [image] * 2, [0, 2])
    assert np.abs(first.heatmap - second.heatmap).max() > 0.1 * first.heatmap.max()


@pytest.mark.parametrize("method", [AttentionRollout, GenericAttention, TransformerAttribution])
def test_other_models_and_layers_are_refused(method: type[Method]) -> None:
    image = photos(1, (16, 20))[0]
    with pytest.raises(ModelError, match="no attention: no softmax multiplies values"):
        explain(open_convnet((16, 20)), method(), [image], [0])
    with pytest.raises(ValueError, match="attention of all blocks, got the layer 'last'"):
        explain(open_vit(CLASS), method(layer="last"), [draw_photos(CLASS)[0]], [0])  # type: ignore[call-arg]
