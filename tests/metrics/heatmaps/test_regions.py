import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.metrics.heatmaps.regions import ABPC, LeRF, MoRF, rank_regions
from tests.helpers.metrics import judge_with_net
from tests.helpers.nets import Picture, additive, curved
from tests.reference import metrics as reference

RNG = np.random.default_rng(8)
SIZE = (14, 11)
IMAGE = RNG.random((*SIZE, 3), np.float32)
CURVED = curved(RNG.normal(0, 0.3, (*SIZE, 3, 2)).astype(np.float32))
POSITIVE = (RNG.random((*SIZE, 3)) / np.prod(SIZE) / 3).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(patch=st.integers(1, 16), steps=st.integers(1, 60), seed=st.integers(0, 999))
def test_morf_and_lerf_equal_plain_loops(patch, steps, seed):
    heatmap = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    fill = np.full_like(IMAGE, 0.25)
    for metric in (MoRF(patch=patch, steps=steps), LeRF(patch=patch, steps=steps)):
        score = judge_with_net(metric, CURVED, IMAGE, heatmap, fill=Picture(0.25))
        curve, aopc = reference.region_perturbation(
            lambda image: CURVED(image[None])[0, 1],
            IMAGE,
            heatmap.astype(np.float64),
            fill,
            patch,
            steps,
            isinstance(metric, MoRF),
        )
        np.testing.assert_allclose(score.details["curve"], curve, atol=1e-6)
        assert score.value == pytest.approx(aopc, abs=1e-6)


def test_abpc_is_the_difference_of_morf_and_lerf():
    heatmap = RNG.normal(size=SIZE)
    score = judge_with_net(ABPC(patch=3), CURVED, IMAGE, heatmap)
    most = judge_with_net(MoRF(patch=3), CURVED, IMAGE, heatmap).value
    least = judge_with_net(LeRF(patch=3), CURVED, IMAGE, heatmap).value
    assert score.value == pytest.approx(most - least, abs=1e-7)


def test_effects_of_an_additive_net_are_best_and_their_inverse_swaps_the_sign():
    effects = (IMAGE * POSITIVE).sum(axis=2)
    noise = RNG.normal(size=SIZE)
    best, middle, worst = (
        judge_with_net(ABPC(patch=2), additive(POSITIVE), IMAGE, heatmap).value
        for heatmap in (effects, noise, -effects)
    )
    assert best > middle > worst
    assert best == pytest.approx(-worst, abs=1e-6)


def test_regions_of_equal_relevance_go_in_reading_order():
    # .1 has no exact sum: means over regions of other sizes differ in the last digits.
    rank = rank_regions(np.full((10, 7), 0.1), 3, "most")
    np.testing.assert_array_equal(rank[::3, ::3], np.arange(12).reshape(4, 3))


@pytest.mark.parametrize(("scale", "offset"), [(1e-60, 0), (1e-7, 100), (1e50, 0)])
def test_only_the_order_of_regions_matters(scale, offset):
    heatmap = RNG.permutation(SIZE[0] * SIZE[1]).reshape(SIZE) / 1000
    moved = heatmap * scale + offset
    for order in ("most", "least"):
        expected = rank_regions(heatmap, 3, order)
        np.testing.assert_array_equal(rank_regions(moved, 3, order), expected)


def test_there_are_no_more_steps_than_regions():
    assert MoRF(patch=9, steps=100).evaluations((224, 224)) == 101
    assert MoRF(patch=9, steps=100).evaluations((27, 18)) == 7
