import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from onnxplain.methods.scores.refining import (
    choose_best,
    draw_seen,
    interpolate,
    place_nodes,
    rank_interest,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("n", "step", "nodes"),
    [(9, 4, [0, 4, 8]), (10, 4, [0, 4, 8, 9]), (3, 1, [0, 1, 2]), (1, 4, [0])],
)
def test_nodes_are_every_so_many_positions_and_the_last(n, step, nodes):
    assert place_nodes(n, step).tolist() == nodes


def test_interpolation_equals_scipys_and_keeps_the_nodes():
    nodes = place_nodes(10, 4), place_nodes(13, 4)
    values = RNG.standard_normal((len(nodes[0]), len(nodes[1])))
    full = interpolate(values, nodes, (10, 13))
    places = np.stack(np.indices((10, 13)), axis=-1)
    np.testing.assert_allclose(full, RegularGridInterpolator(nodes, values)(places), atol=1e-12)
    assert np.array_equal(full[np.ix_(*nodes)], values)


def test_a_peak_and_a_cliff_are_of_interest_and_flat_ground_is_not():
    nodes = place_nodes(17, 4), place_nodes(17, 4)
    values = np.zeros((5, 5))
    values[0, 0] = 1.0  # a peak
    values[3:, 3:] = -0.4  # a plain, of which the edge is a cliff
    interest = rank_interest(values, nodes, (17, 17))
    assert interest.max() == interest[0, 0] == 1
    assert interest[4, 16] == 0  # far from both
    assert interest[12, 10] > interest[10, 10] > 0  # nearer the cliff
    assert interest[16, 16] == pytest.approx(0.4)  # height alone


def test_a_constant_map_or_a_single_row_has_no_slope():
    nodes = place_nodes(1, 4), place_nodes(9, 4)
    assert not rank_interest(np.zeros((1, 3)), nodes, (1, 9)).any()
    assert rank_interest(np.ones((1, 3)), nodes, (1, 9)).tolist() == [[1.0] * 9]


def test_the_best_that_were_not_seen_are_chosen_and_ties_go_to_the_first():
    interest = np.array([[3.0, 2.0, 1.0], [2.0, 2.0, 0.0]])
    seen = np.array([[True, False, False], [False, False, False]])
    chosen = choose_best(interest, seen, 2)
    assert chosen.tolist() == [[False, True, False], [True, False, False]]
    assert not choose_best(interest, seen, 0).any()
    assert (choose_best(interest, seen, 5) == ~seen).all()
    assert draw_seen(chosen) == [".#.", "#.."]
