"""Crops hold what changed values see, and the plan takes those that save work."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.gradient.crops import Boxes, Stage, clip_patches, cut_stage, plan_stages
from onnxplain.gradient.reach import LocalCut, Locality, Reach, find_local_cuts
from onnxplain.graph.nodes import read_attributes
from tests.helpers.layers import read_grids
from tests.helpers.local_nets import SIZE, make_net


def make_cut(name: str, channels: int, size: int, reach: Reach, work: float) -> LocalCut:
    return LocalCut(name, (2, 3), (channels, size, size), (reach, reach), work)


@pytest.mark.parametrize("seed", range(40))
def test_crops_hold_all_that_changed_values_see(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step, kernel = (int(each) for each in rng.integers(1, [4, 7]))
    before, behind = (int(each) for each in rng.integers(0, kernel, 2))
    size, patch = int(rng.integers(12, 30)), int(rng.integers(1, 9))
    out = (size + before + behind - kernel) // step + 1
    reach = Reach(step, before, kernel - 1 - before)
    cuts = make_cut("x", 1, size, Reach(), 0), make_cut("y", 1, out, reach, 0)
    pair = (np.array([each, each]) for each in (*reach, size))
    starts = np.repeat(np.arange(1 - patch, size)[:, None], 2, axis=1)
    boxes = clip_patches(starts, (patch, patch), (size, size))
    stage = Stage(*cuts, *pair).fit(boxes)
    changed = stage.change(boxes)
    corners = stage.place(changed)
    crop = int(stage.crop[0])
    assert (corners % step == 0).all()
    assert (corners >= 0).all()
    assert ((size - corners - crop) % step == 0).all()
    for (start, _), (stop, _), (first, _), (last, _), (corner, _) in zip(
        *boxes, *changed, corners, strict=True
    ):
        windows = [set(range(o * step - before, o * step - before + kernel)) for o in range(out)]
        differing = [o for o, seen in enumerate(windows) if seen & set(range(start, stop))]
        assert list(range(first, last)) == differing
        for o in differing:
            within = windows[o] & set(range(size))
            assert within <= set(range(corner, corner + crop))


def test_patches_are_clipped_at_the_border() -> None:
    found = clip_patches(np.array([[-2, 3], [8, 9], [-5, 0]]), (4, 2), (10, 10))
    expected = Boxes(np.array([[0, 3], [8, 9], [0, 0]]), np.array([[2, 5], [10, 10], [0, 2]]))
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, two)


def test_stages_are_taken_where_they_save_work() -> None:
    conv = Reach(1, 1, 1)
    cuts = (
        make_cut("image", 3, 100, Reach(), 0),
        make_cut("a", 8, 100, conv, 1e9),
        make_cut("b", 8, 100, conv, 1e9),
        make_cut("c", 8, 50, Reach(2, 0, 1), 1e6),
    )
    stages, saved = plan_stages(Locality(cuts, 1e9, {}, ""), (10, 10))
    assert stages[-1].target.tensor == "c"
    # The changes of 10 pixels need crops of 14 or 16 for two layers; a third of the work is left.
    assert saved == pytest.approx(2 / 3, abs=0.05)
    assert plan_stages(Locality(cuts, 1e12, {}, ""), (10, 10))[1] < 0.01
    assert plan_stages(Locality(cuts, 1e9, {}, ""), (100, 100)) == ((), 0)
    assert plan_stages(Locality(cuts[:1], 1e9, {}, ""), (10, 10)) == ((), 0)


def test_of_neighbours_of_the_same_positions_the_smaller_is_cut() -> None:
    cuts = (
        make_cut("image", 3, 100, Reach(), 0),
        make_cut("conv", 8, 100, Reach(1, 1, 1), 1e9),
        make_cut("relu", 8, 100, Reach(), 1e6),
        make_cut("wide", 64, 100, Reach(), 1e9),
        make_cut("next", 8, 100, Reach(1, 1, 1), 1e9),
    )
    stages, _ = plan_stages(Locality(cuts, 0, {}, ""), (10, 10))
    assert {stage.target.tensor for stage in stages} <= {"relu", "next"}


def test_automatic_pads_are_those_of_the_whole() -> None:
    model = make_net("same_lower")
    locality = find_local_cuts(read_grids(model, SIZE))
    ones = np.array([1, 1])
    whole = Stage(locality.cuts[0], locality.cuts[2], ones, ones, ones, ones)
    pool, conv = cut_stage(model, whole, locality).graph.node
    assert read_attributes(pool)["pads"] == [1, 1, 0, 0]  # 37 x 46, of 2 x 3 with strides of 2
    assert read_attributes(conv)["pads"] == [2, 1, 1, 1]  # 19 x 23, of 4 x 4 with strides of 3
    assert "auto_pad" not in read_attributes(conv)
