import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxplain.methods.masks.mp2.growth import Growth

IMAGE = np.random.default_rng(0).random((12, 18, 3), np.float32)


def make_growth(gains, grid=3):
    growth = Growth(IMAGE, grid)
    growth.record_gains(range(grid**2), np.array(gains, float))
    return growth


def test_cells_rank_by_falling_gain_and_equals_in_row_order():
    growth = make_growth([1, 3, 2, 3, 0, 1, 2, 3, -1])
    assert growth.rank_cells() == [1, 3, 7, 2, 6, 0, 5, 4, 8]
    assert growth.rank_by(-growth.gains)[:2] == [8, 4]


def test_removed_cells_leave_every_ranking_and_keep_their_gains_in_order():
    growth = make_growth([1, 3, 2, 3, 0, 1, 2, 3, -1])
    growth.remove([7, 2])
    growth.remove([8])
    assert growth.order == (7, 2, 8)
    assert growth.gains_of_order == (3.0, 2.0, -1.0)
    assert growth.removed.nonzero()[0].tolist() == [2, 7, 8]
    for ranking in (growth.rank_cells(), growth.rank_tried(), growth.rank_up_to_date()):
        assert ranking == [1, 3, 6, 0, 5, 4]


def test_a_new_step_makes_gains_outdated_until_they_are_found_again():
    growth = make_growth([5, 4, 3, 2, 1, 0, 0, 0, 0])
    assert growth.knows_best(9, caution=0)
    growth.start_step()
    assert growth.rank_up_to_date() == []
    assert growth.rank_outdated(0) == growth.rank_tried() == list(range(9))
    growth.record_gains([1, 2], np.array([4.0, 9.0]))
    assert growth.rank_up_to_date() == [2, 1]
    assert growth.rank_outdated(0) == [0, 3, 4, 5, 6, 7, 8]
    assert growth.knows_best(1, caution=0)
    assert not growth.knows_best(2, caution=0)  # cell 0 is second


def test_cells_near_the_last_removed_promise_more_with_caution():
    growth = make_growth([5, 4, 3, 2, 1, 1, 1, 1, 1])
    growth.remove([8])
    growth.start_step()
    # The scale is the root mean square of the gains, 2.56; cells 4, 5 and 7 are 1 cell away.
    assert growth.rank_outdated(0) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert growth.rank_outdated(1) == [0, 1, 2, 4, 5, 7, 3, 6]
    growth.record_gains([0, 1, 2], np.array([5.0, 4.0, 3.0]))
    assert growth.knows_best(3, caution=0)
    assert growth.knows_best(2, caution=1)
    assert not growth.knows_best(3, caution=1)  # cell 4 promises 3.56


def test_adopted_gains_are_up_to_date_but_count_as_not_tried():
    growth = Growth(IMAGE, 2)
    gains = np.array([1.0, 2.0, 4.0, 3.0])
    growth.adopt_gains(gains)
    gains[:] = 0
    assert growth.rank_up_to_date() == [2, 3, 1, 0]
    assert growth.rank_tried() == []


def test_its_arrays_are_not_for_others_to_write():
    growth = make_growth(range(9))
    for array in (growth.gains, growth.removed):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_the_gain_of_a_set_is_shared_by_its_cells_which_stay_untried():
    growth = Growth(IMAGE, 3)
    growth.share_gain(np.array([0, 1, 3]), 6.0)
    assert growth.gains.tolist() == [2, 2, 0, 2, 0, 0, 0, 0, 0]
    assert growth.rank_tried() == []
    growth.record_gains([3], np.array([5.0]))
    # The scale is how far the gain of cell 3 was from its share: 3 log-odds.
    assert growth.rank_outdated(1) == [0, 1, 2, 4, 5, 6, 7, 8]
    assert not growth.knows_best(1, caution=1.1)  # cells 0 and 1 promise 5.3
    assert growth.knows_best(1, caution=0.9)


@given(st.integers(1, 9))
def test_sets_of_cells_half_a_grid_apart_hold_every_cell_once(grid):
    sets = Growth(np.zeros((9, 9, 3), np.float32), grid).list_quarters()
    assert sorted(np.concatenate(sets).tolist()) == list(range(grid**2))
    half = (grid + 1) // 2
    assert len(sets) == half**2
    for cells in sets:
        row, column = np.divmod(cells, grid)
        assert len(set(row % half)) == len(set(column % half)) == 1
        assert len(cells) == 4 or grid % 2


def test_lattices_hold_every_third_cell_of_both_directions():
    lattices, numbers = Growth(np.zeros((9, 9, 3), np.float32), 5).list_lattices(3)
    assert len(lattices) == 9
    assert lattices[0].tolist() == [0, 3, 15, 18]
    for number, lattice in enumerate(lattices):
        assert (numbers[lattice] == number).all()
    assert sum(len(lattice) for lattice in lattices) == 25


def test_masks_remove_each_set_besides_what_is_removed():
    growth = Growth(IMAGE, 3)
    growth.remove([4])
    masks = growth.make_masks([[], [0, 8]]).render(0, 2)
    cells = np.zeros((2, 3, 3))
    cells[:, 1, 1] = 1
    cells[1, 0, 0] = cells[1, 2, 2] = 1
    np.testing.assert_array_equal(masks, np.kron(cells, np.ones((4, 6))))


def test_pictures_are_joined_along_the_mask():
    growth = Growth(IMAGE, 3)
    growth.remove([1])
    joined = growth.join(IMAGE, 1 - IMAGE)
    np.testing.assert_array_equal(joined[:4, 6:12], 1 - IMAGE[:4, 6:12])
    np.testing.assert_array_equal(joined[4:], IMAGE[4:])


def test_probabilities_are_recorded_with_the_cells_removed_by_then():
    growth = Growth(IMAGE, 3)
    growth.record_probability(0.9)
    growth.remove([1, 2])
    growth.record_probability(0.4)
    assert growth.trajectory == ((0, 0.9), (2, 0.4))
