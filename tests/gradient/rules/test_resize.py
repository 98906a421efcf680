"""The rule of Resize."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from onnxplain.gradient import GradientError
from tests.helpers.gradients import Scored, assert_rule, draw_normal, ints


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("where", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("to", [(7, 3), (4, 10)])
def test_resize_to_sizes(mode: str, where: str, to: tuple[int, int]) -> None:
    constants = {3: ints(1, 2, *to)}
    assert_rule(
        "Resize",
        draw_normal(1, 2, 4, 5),
        constants=constants,
        mode=mode,
        coordinate_transformation_mode=where,
        nearest_mode="floor",
    )


def test_resize_by_scales_with_a_growing_batch() -> None:
    scales = np.array([1, 1, 2, 1.5], np.float32)
    assert_rule("Resize", draw_normal(2, 3, 4, 6), constants={2: scales}, mode="linear", grows=True)


@pytest.mark.parametrize("where", ["half_pixel", "asymmetric"])
def test_resize_by_a_scale_that_keeps_the_size_moves_every_place(where: str) -> None:
    """8 times 1.1 is 8 places, which lie closer together than those before."""
    scales = np.array([1, 1, 1.1, 2], np.float32)
    how = {"mode": "linear", "coordinate_transformation_mode": where}
    assert_rule("Resize", draw_normal(1, 2, 8, 8), constants={2: scales}, **how)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_resize_that_keeps_proportions_is_refused(policy: str) -> None:
    """Its scale is not that of the sizes before and after."""
    slots = ["x", "", "", "sizes"]
    node = helper.make_node("Resize", slots, ["y"], keep_aspect_ratio_policy=policy, axes=[2, 3])
    scored = Scored([node], {"x": draw_normal(1, 1, 4, 5)}, {"sizes": ints(7, 7)})
    with pytest.raises(GradientError, match=r"\(Resize\).*keep_aspect_ratio_policy.*add a rule"):
        scored.compute_gradients(np.float32)
