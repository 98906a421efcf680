import numpy as np
import pytest

from onnxplain.methods.scores.coalitions import (
    count_pairs,
    draw_hadamard_pairs,
    draw_shapley_pairs,
    list_all_pairs,
    make_hadamard,
    weigh_by_shapley_draw,
    weigh_by_shapley_kernel,
)


def test_a_hadamard_matrix_is_that_of_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    for order in (1, 2, 8, 64):
        np.testing.assert_array_equal(make_hadamard(order), linalg.hadamard(order))


@pytest.mark.parametrize(("n", "pairs"), [(1, 2), (4, 8), (7, 8), (8, 16), (49, 64), (63, 64)])
def test_a_replicate_has_the_smallest_power_of_two_above_the_players(n, pairs):
    assert count_pairs(n) == pairs


@pytest.mark.parametrize("n_players", [3, 49, 63])
def test_folded_designs_clear_main_effects_of_each_other_and_of_pairs(n_players):
    signs = draw_hadamard_pairs(np.random.default_rng(0), n_players, 64)
    np.testing.assert_array_equal(signs.T @ signs, 64 * np.eye(n_players))
    folded = np.concatenate([signs, -signs])
    assert (folded.sum(axis=0) == 0).all()
    product = folded[:, 0] * folded[:, 1]
    np.testing.assert_array_equal(product @ folded, 0)


def test_every_set_is_as_likely_as_any_other_in_a_hadamard_design():
    rng = np.random.default_rng(0)
    rows = np.concatenate([draw_hadamard_pairs(rng, 3, 4) for _ in range(4000)])
    counts = np.bincount(((rows > 0) @ [1, 2, 4]), minlength=8)
    np.testing.assert_allclose(counts / len(rows), 1 / 8, atol=0.008)  # 3 standard errors


def test_players_beyond_the_orthogonal_columns_still_get_columns_of_their_own():
    signs = draw_hadamard_pairs(np.random.default_rng(0), 70, 64)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.linalg.matrix_rank(np.concatenate([signs[:, :60], signs[:, 60:]], axis=1)) == 64
    gram = np.abs(signs.T @ signs - 64 * np.eye(70))
    assert gram.max() < 64  # no two players are always together


def test_shapley_pairs_are_drawn_by_the_square_root_of_the_kernel():
    signs = draw_shapley_pairs(np.random.default_rng(0), 5, 60_000)
    sizes = np.bincount((signs > 0).sum(axis=1), minlength=6)
    root = np.array([0, 1 / 4, 1 / 6, 1 / 6, 1 / 4, 0]) ** 0.5
    np.testing.assert_allclose(sizes / len(signs), root / root.sum(), atol=0.006)
    np.testing.assert_allclose((signs > 0).mean(axis=0), 0.5, atol=0.006)


def test_weights_make_up_for_the_draw():
    signs = draw_shapley_pairs(np.random.default_rng(0), 5, 60_000)
    sizes = (signs > 0).sum(axis=1)
    weighted = np.bincount(sizes, weigh_by_shapley_draw(signs), minlength=6)
    kernel = np.array([0, 1 / 4, 1 / 6, 1 / 6, 1 / 4, 0])
    np.testing.assert_allclose(weighted / weighted.sum(), kernel / kernel.sum(), atol=0.006)


def test_all_pairs_hold_every_set_once():
    signs = list_all_pairs(4)
    rows = np.concatenate([signs, -signs]) > 0
    assert sorted(rows @ [1, 2, 4, 8]) == list(range(16))
    assert (signs[0] == 1).all()


def test_the_kernel_is_that_of_the_paper():
    kept = np.array([[1, -1, -1, -1], [1, 1, -1, -1]])
    # (M - 1) / (C(M, k) k (M - k)), theorem 2 of Lundberg & Lee
    np.testing.assert_allclose(weigh_by_shapley_kernel(kept), [3 / (4 * 3), 3 / (6 * 2 * 2)])
