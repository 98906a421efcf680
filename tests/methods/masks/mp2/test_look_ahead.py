import contextlib

import numpy as np
import pytest

from onnxplain.core.data import Case, make_rng
from onnxplain.core.flow import FillQuery, Reply
from onnxplain.core.scores import compute_target_scores
from onnxplain.fills import Blur
from onnxplain.methods import MP2
from onnxplain.methods.masks.mp2.growth import Growth
from onnxplain.methods.masks.mp2.look_ahead import LookAhead
from tests.helpers.mp2 import IMAGE, SIZE, NeighbourFill, draw_curved_weights, explain
from tests.helpers.nets import CurvedGradients, Net, Picture, curved
from tests.reference import driver

WEIGHTS = draw_curved_weights(4)
NET = Net(curved(WEIGHTS), SIZE)
CASE = Case("photo", IMAGE, 1, n_classes=10)


def test_every_cell_that_is_left_takes_the_fill_of_its_own_lattice():
    growth, fill = Growth(IMAGE, 6), NeighbourFill()
    growth.remove([8])
    fills = LookAhead(growth)
    driver.run(NET, CASE, fills.update(), fill)
    assert fills.changes_nothing  # the fill of the mask as it is shows the image elsewhere
    driver.run(NET, CASE, fills.fill_lattices(3), fill)
    paint = fill.prepare(IMAGE, None)
    lattices, _ = growth.list_lattices(3)
    for lattice in lattices:
        mask = growth.make_masks([lattice]).render(0, 1)
        inside = mask[0] > 0
        cells = growth.spread(np.isin(np.arange(36), lattice)) > 0
        np.testing.assert_array_equal(
            fills.next_fill[inside & cells], paint(mask)[0][inside & cells]
        )
    assert not fills.changes_nothing
    fills.fix_candidates()
    picture = fills.candidate_fill.prepare(IMAGE, None)
    removed = growth.spread(growth.removed) > 0
    np.testing.assert_array_equal(picture[removed], fills.known_fill[removed])
    np.testing.assert_array_equal(picture[~removed], fills.next_fill[~removed])


def test_a_fill_that_ignores_the_mask_is_left_to_the_job():
    growth = Growth(IMAGE, 6)
    fills = LookAhead(growth)
    driver.run(NET, CASE, fills.update(), Picture(0.5))
    assert fills.known_fill is not None
    driver.run(NET, CASE, fills.fill_lattices(3), Picture(0.5))
    fills.fix_candidates()
    assert fills.known_fill is None
    assert fills.candidate_fill is None


def test_a_picture_to_rank_by_fills_candidates_and_removed_cells():
    fills, picture = LookAhead(Growth(IMAGE, 6)), 1 - IMAGE
    fills.rank_by(picture)
    assert fills.next_fill is fills.ranking_fill is picture
    assert fills.candidate_fill.prepare(IMAGE, None) is picture
    assert fills.known_fill is None


def test_a_lattice_with_one_cell_per_fill_equals_the_exact_look_ahead_of_the_first_step():
    exact, *others = (
        explain(
            NET,
            MP2(grid=6, sweep="full", max_area=2 / 36, look_ahead=look_ahead, lattice=6),
            NeighbourFill(),
        ).values[0]
        for look_ahead in ("exact", "lattice", "static")
    )
    for other in others:
        assert exact.order.tolist() == other.order.tolist()
        np.testing.assert_allclose(exact.details["gains"], other.details["gains"], rtol=1e-4)


@pytest.mark.parametrize(
    ("gain", "look_ahead", "first", "later"),
    [
        *(
            (gain, *fills)
            for gain in ("difference", "gradient")
            for fills in [("lattice", 17, 17), ("static", 17, 1), ("blur", 1, 1)]
        ),
        ("difference", "exact", None, None),
    ],
)
def test_fills_per_step(gain, look_ahead, first, later):
    """A lattice of 4 needs 17 per step: that of the mask as it is, and 16 looked ahead."""
    fill, steps, cells = NeighbourFill(), 3, 12**2
    method = MP2(
        grid=12, gain=gain, sweep="full", max_area=6 / 144, chance=1e-6, look_ahead=look_ahead
    )
    outcome = explain(NET, method, fill, gradients=CurvedGradients(WEIGHTS))
    assert len(outcome.values[0].order) == 2 * steps
    if look_ahead == "exact":  # a fill for every mask that is scored
        assert sum(fill.asked) == outcome.evaluations == sum((cells, cells - 2, cells - 4)) + 4
    else:
        # and one for the last decision whether to stop
        assert sum(fill.asked) == first + later * (steps - 1) + 1


@pytest.mark.parametrize("gain", ["difference", "gradient"])
def test_a_look_ahead_of_every_second_step_is_kept_in_between(gain):
    """Steps 0 and 2 need 17 fills; steps 1 and 3, and the decision whether to stop, need 1."""
    options = {"grid": 12, "gain": gain, "sweep": "full", "max_area": 8 / 144, "chance": 1e-6}

    def run(**more):
        fill = NeighbourFill()
        method = MP2(**options, **more)
        outcome = explain(NET, method, fill, gradients=CurvedGradients(WEIGHTS))
        return outcome.values[0].order.tolist(), sum(fill.asked)

    order, n_fills = run(refresh=2)
    assert n_fills == 2 * 17 + 2 * 1 + 1
    plain, n_plain = run()
    assert n_plain == 4 * 17 + 1
    assert order[:2] == plain[:2]
    # One look-ahead that is never renewed is the static one.
    assert run(refresh=4) == run(look_ahead="static")


@pytest.mark.parametrize("gain", ["difference", "propose", "gradient"])
def test_ranked_by_blur_the_order_is_that_of_mp2_with_a_blur_and_the_stop_the_fills(gain):
    gradients = CurvedGradients(WEIGHTS)
    options = {"grid": 6, "gain": gain, "sweep": "full", "max_area": 10 / 36, "chance": 1e-6}
    by_blur = explain(NET, MP2(**options), Blur(sigma=2), gradients).values[0]
    fill = NeighbourFill()
    method = MP2(**options, look_ahead="blur", blur_sigma=2)
    outcome = explain(NET, method, fill, gradients)
    ranked = outcome.values[0]
    assert ranked.order.tolist() == by_blur.order.tolist()
    np.testing.assert_allclose(
        ranked.details["gains"], by_blur.details["gains"], rtol=1e-3, atol=1e-5
    )
    mask = (ranked.coarse > 0).repeat(4, 0).repeat(4, 1)[None].astype(np.float32)
    composed = fill.prepare(IMAGE, None)(mask)
    probability = NET.scores(composed)[0, 1]
    assert ranked.details["trajectory"][-1][1] == pytest.approx(probability, rel=1e-5)
    assert outcome.evaluations == method.evaluations(SIZE)


def test_the_gradient_with_a_compositing_fill_needs_a_look_ahead():
    def find_gains(look_ahead):
        method = MP2(grid=6, gain="gradient", max_area=2 / 36, chance=1e-6, look_ahead=look_ahead)
        outcome = explain(NET, method, NeighbourFill(), CurvedGradients(WEIGHTS))
        return outcome.values[0].details["gains"]

    assert np.abs(find_gains("lattice")).min() > 0
    with pytest.raises(ValueError, match="look_ahead='exact'"):
        find_gains("exact")


def test_a_fill_that_is_one_picture_is_looked_ahead_once():
    method = MP2(grid=12, gain="gradient", chance=1e-6, max_area=6 / 144)
    flow, asked, reply = method.flow(CASE, make_rng(0)), [], None
    gradients = CurvedGradients(WEIGHTS)
    with contextlib.suppress(StopIteration):
        while True:
            query = flow.send(reply)
            if isinstance(query, FillQuery):
                asked.append(len(query))
                reply = Reply(np.empty(0), images=np.zeros((len(query), *SIZE, 3), np.float32))
            else:
                raw, grads = gradients.score_grads(query.images, np.ones(1, int), query.kind)
                scores = compute_target_scores(raw, 1, outputs=NET.outputs, kind=query.kind)
                reply = Reply(scores, grads=grads)
    assert asked == [1, 4**2]


def test_with_a_fill_that_is_one_picture_looking_ahead_changes_nothing():
    exact, lattice, static = (
        explain(NET, MP2(grid=6, chance=0.3, look_ahead=look_ahead)).values[0].order.tolist()
        for look_ahead in ("exact", "lattice", "static")
    )
    assert exact == lattice == static
