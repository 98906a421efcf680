"""The part that the classifier saw is cut out in whole pixels."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.data import Box
from onnxplain.drawing.view import view_seen, view_whole
from tests.helpers.explanations import make_explanation
from tests.helpers.pictures import make_noise

PHOTO = make_noise(40, 60)


def test_the_middle_of_a_photo_is_cut_out() -> None:
    explanation = make_explanation(photo=PHOTO, window=Box(0, 10, 40, 50))
    view = view_seen(explanation)
    np.testing.assert_array_equal(view.photo, PHOTO[:, 10:50])
    assert (view.window, view.size) == (Box(0, 0, 40, 40), (40, 40))
    assert view_whole(explanation).window == Box(0, 10, 40, 50)


def test_pixels_belong_to_it_whose_middle_was_seen() -> None:
    view = view_seen(make_explanation(photo=PHOTO, window=Box(0.4, 9.6, 39.4, 50.5)))
    np.testing.assert_array_equal(view.photo, PHOTO[0:39, 10:50])
    assert view.window.left == pytest.approx(-0.4)


def test_borders_beside_the_photo_are_not_shown() -> None:
    view = view_seen(make_explanation(photo=PHOTO, window=Box(-10, 0, 50, 60)))
    np.testing.assert_array_equal(view.photo, PHOTO)
    assert view.window == Box(-10, 0, 50, 60)


def test_of_a_thin_photo_one_pixel_is_left() -> None:
    view = view_seen(make_explanation(photo=PHOTO[:1], window=Box(0.2, 0.1, 0.3, 0.2)))
    assert view.size == (1, 1)


def test_without_a_window_all_is_seen() -> None:
    assert view_seen(make_explanation(photo=None)) == view_whole(make_explanation(photo=None))
