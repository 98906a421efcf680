"""Superpixels are labelled without gaps and keep areas of one colour together."""

from __future__ import annotations

import numpy as np
import skimage.data

from onnxplain.image.superpixels import find_superpixels


def test_labels_have_no_gaps_and_are_the_same_again() -> None:
    photo = skimage.data.coffee()[:120, :160].astype(np.float32) / 255
    segments = find_superpixels(photo, n_segments=40, compactness=10.0, sigma=1.0)
    assert segments.shape == (120, 160)
    assert segments.dtype == np.int64
    np.testing.assert_array_equal(np.unique(segments), np.arange(segments.max() + 1))
    assert 20 <= segments.max() + 1 <= 60
    again = find_superpixels(photo, n_segments=40, compactness=10.0, sigma=1.0)
    np.testing.assert_array_equal(again, segments)


def test_no_superpixel_crosses_a_sharp_edge_between_two_colours() -> None:
    image = np.zeros((40, 60, 3), np.float32)
    image[:, 30:] = 1
    segments = find_superpixels(image, n_segments=6, compactness=1.0, sigma=0.0)
    assert not set(np.unique(segments[:, :30])) & set(np.unique(segments[:, 30:]))
