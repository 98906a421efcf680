"""The probe pictures show every channel order and range, and their holes are well inside."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.runtime.inpainters.conformance.probe_pictures import make_probe


@pytest.mark.parametrize("size", [(64, 64), (65, 67), (80, 112), (256, 320)])
def test_pictures_and_holes_differ_and_changes_stay_deep_in_the_hole(size: tuple[int, int]) -> None:
    probe = make_probe(size)
    assert probe.images.shape == (2, *size, 3)
    assert probe.images.dtype == np.float32
    assert probe.images.min() >= 0
    assert probe.images.max() <= 1
    assert (probe.holes[0] != probe.holes[1]).any()
    for deep, far, hole in zip(probe.deep, probe.far, probe.holes, strict=True):
        assert deep.any()
        assert far.any()
        assert not (deep & ~hole).any()
        assert not (far & hole).any()
    changed = (probe.change_holes() != probe.images).any(axis=3)
    np.testing.assert_array_equal(changed, probe.deep)


def test_another_channel_order_or_range_is_clearly_off() -> None:
    images = make_probe((64, 64)).images
    assert np.abs(images[..., ::-1] - images).mean() > 0.1
    assert np.abs(2 * images - 1 - images).mean() > 0.1
