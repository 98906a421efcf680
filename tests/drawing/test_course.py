"""Points with pictures are those nearest to the shares wanted."""

from __future__ import annotations

from onnxplain.drawing.course import choose_points


def test_a_point_is_chosen_once() -> None:
    assert choose_points([0.0, 1.0], [0.0, 0.1, 0.2, 0.4, 0.8]) == [0, 1]


def test_points_keep_the_order_of_the_shares_wanted() -> None:
    shares = [i / 28 for i in range(29)]
    assert choose_points(shares, [0, 0.1, 0.2, 0.4, 0.8]) == [0, 3, 6, 11, 22]
