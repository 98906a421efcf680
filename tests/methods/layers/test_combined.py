"""Combined maps against the maps of each layer, joined one pixel at a time."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import get_args

import numpy as np
import pytest

from onnxplain import methods
from onnxplain.core.params import build
from onnxplain.methods import Combined, NormGrad
from onnxplain.methods.layers.combined import BASES, PUBLISHED, Base
from onnxplain.registry import METHODS
from tests.helpers.inside import explain, open_convnet
from tests.helpers.specs import photos

SIZE = (16, 20)


def make_base(name: str, layer: str) -> methods.GradCAM:
    if name == "norm-grad-selective":
        return NormGrad(layer=layer, phase="scaling", aggregate="filter-norm")
    return METHODS[name](layer=layer)


def join(heatmaps: list[np.ndarray], weights: list[float], how: str) -> np.ndarray:
    """Section 4.3 of the paper, one pixel at a time."""
    joined = np.zeros(SIZE)
    for u in np.ndindex(*SIZE):
        values = []
        for heatmap in heatmaps:
            low, high = float(heatmap.min()), float(heatmap.max())
            values.append((float(heatmap[u]) - low) / (high - low) if high > low else 0.0)
        pairs = list(zip(values, weights, strict=True))
        joined[u] = sum(w * v for v, w in pairs) if how == "sum" else prod(v**w for v, w in pairs)
    return joined


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("how", ["sum", "product"])
def test_map_is_that_of_each_layer_joined(base: str, how: str) -> None:
    classifier, images, targets = open_convnet(SIZE, 5), photos(2, SIZE), (1, 3)
    ours = explain(classifier, Combined(base=base, how=how, weights="1,3"), images, targets)
    parts = [
        explain(classifier, make_base(base, layer), images, targets)
        for layer in ("stage:1", "stage:2")
    ]
    for own, *maps in zip(ours, *parts, strict=True):
        expected = join([part.heatmap for part in maps], [0.25, 0.75], how)
        # A root of what is almost 0 turns the last digit into more.
        np.testing.assert_allclose(own.heatmap, expected, atol=2e-3 if how == "product" else 1e-5)
        assert own.details["weights"] == [0.25, 0.75]
        assert own.details["forwards"] == 1
        assert [layer["tensor"] for layer in own.details["layers"]] == ["r1", "r2"]


def test_every_base_is_offered() -> None:
    assert set(BASES) == set(get_args(Base))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("uniform", [0.5, 0.5]),
        ("linear", [1 / 3, 2 / 3]),
        ("2,6", [0.25, 0.75]),
        ("2/6", [0.25, 0.75]),
        ((0.5, 1.5), [0.25, 0.75]),
        (np.array([1, 0]), [1, 0]),
    ],
)
def test_weights_have_names_or_numbers(weights, expected: list[float]) -> None:
    method = Combined(weights=weights)
    assert replace(method) == method
    (result,) = explain(open_convnet(SIZE, 5), method, photos(1, SIZE), [0])
    np.testing.assert_allclose(result.details["weights"], expected)


def test_plans_give_weights_as_lists() -> None:
    assert build(Combined, {"weights": [1, 3]}) == Combined(weights="1,3")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_are_of_as_many_layers_as_the_authors_looked_at(name: str) -> None:
    assert len(PUBLISHED[name]) == (5 if name.endswith("vgg16") else 4)
    assert sum(PUBLISHED[name]) == pytest.approx(1, abs=2e-3)
    with pytest.raises(ValueError, match=rf"weights={name} are \d numbers, .* are 2: r1, r2; give"):
        explain(open_convnet(SIZE, 5), Combined(weights=name), photos(1, SIZE), [0])


@pytest.mark.parametrize("weights", ["", "unifrom", "1,two", "1,-1", "0,0", "nan,1", (), "inf,1"])
def test_other_weights_are_refused(weights) -> None:
    with pytest.raises(ValueError, match=r"weights are uniform, linear, activation-vgg16.*got"):
        Combined(weights=weights)


def test_layers_of_one_position_are_refused() -> None:
    with pytest.raises(ValueError, match="'scores' has one position"):
        explain(open_convnet(SIZE, 5), Combined(layers="biases"), photos(1, SIZE), [0])


def test_constant_maps_are_zero_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """Of a black photo no channel has a value, as the net has no biases in its convolutions."""
    blank = np.zeros((1, *SIZE, 3), np.float32)
    for how in ("sum", "product"):
        (result,) = explain(open_convnet(SIZE, 5), Combined(how=how), blank, [0])
        assert result.details["constant_layers"] == ["r1", "r2"]
        assert result.details["empty"]
        assert "the map is empty: those of r1, r2 are the same everywhere" in caplog.text
        assert not result.heatmap.any()


def test_one_layer_is_its_own_map() -> None:
    classifier, image = open_convnet(SIZE, 5), photos(1, SIZE)
    (ours,) = explain(classifier, Combined(layers="last"), image, [0])
    (plain,) = explain(classifier, NormGrad(), image, [0])
    span = np.ptp(plain.heatmap)
    np.testing.assert_allclose(
        ours.heatmap, (plain.heatmap - plain.heatmap.min()) / span, atol=1e-5
    )
