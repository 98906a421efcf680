"""The effort behind an answer."""

from __future__ import annotations

import pytest

from onnxplain.engine.slices import Effort


def test_sum_of_efforts_adds_every_field() -> None:
    total = Effort(2, 0.5, 1.0).plus(Effort(3, 1.0, 5.0))
    assert total == Effort(inpaints=5, inpaint_seconds=1.5, seconds=6.0)
    assert total.inpaint_share == pytest.approx(0.25)


def test_no_effort_has_no_share_of_inpaints() -> None:
    assert Effort().inpaint_share == 0
