from __future__ import annotations

import numpy as np
import skimage.color
import skimage.segmentation

from onnxplain.fills import ChannelMean, LocalMean, SegmentMean
from tests.helpers.fills import make_photo


def test_channel_mean_is_the_mean_of_each_channel() -> None:
    image = np.zeros((2, 2, 3), np.float32)
    image[0, 0], image[1, 1] = (1, 0.5, 0), (0, 0.5, 0)
    picture = ChannelMean().prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, np.full((2, 2, 3), (0.25, 0.25, 0)), rtol=1e-6)


def test_segment_mean_equals_skimage_label2rgb() -> None:
    image = make_photo(112, 112)
    labels = skimage.segmentation.slic(image, 50, compactness=30, sigma=3, start_label=1)
    expected = skimage.color.label2rgb(labels, image, kind="avg", bg_label=0)
    picture = SegmentMean().prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, expected, atol=1e-5)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_local_mean_equals_a_loop_over_windows() -> None:
    image = make_photo(20, 24)
    padded = np.pad(image.astype(np.float64), ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    expected = np.empty_like(image)
    for row, column in np.ndindex(20, 24):
        expected[row, column] = padded[row : row + 5, column : column + 5].mean(axis=(0, 1))
    picture = LocalMean(window=5).prepare(image, np.random.default_rng(0))
    np.testing.assert_allclose(picture, expected, atol=1e-6)
