import numpy as np
import pytest
from skimage.metrics import structural_similarity

from onnxplain.metrics.fills.multiscale import _compare_windows, ms_ssim
from tests.reference import metrics as reference

RNG = np.random.default_rng(21)
LARGE = RNG.random((176, 180, 3)).cumsum(axis=0).cumsum(axis=1).astype(np.float32)
LARGE = LARGE % 1 * 0.5 + 0.2


def test_equal_images_have_an_ms_ssim_of_one():
    assert ms_ssim(LARGE, LARGE) == pytest.approx(1)


@pytest.mark.slow
def test_ms_ssim_equals_that_of_windows_cut_out_one_at_a_time():
    other = np.clip(LARGE + RNG.normal(0, 0.1, LARGE.shape), 0, 1).astype(np.float32)
    expected = np.mean(
        [
            reference.ms_ssim(LARGE[:, :176, c].astype(float), other[:, :176, c].astype(float))
            for c in range(3)
        ]
    )
    assert ms_ssim(LARGE[:, :176], other[:, :176]) == pytest.approx(expected, abs=1e-9)


def test_odd_sides_are_padded_as_in_pytorch_msssim():
    rows, columns = np.indices((181, 225))
    first, second = (
        np.stack(
            [0.5 + 0.3 * np.sin(rows * columns / (50 + 20 * k) + phase) for k in range(3)], axis=-1
        ).astype(np.float32)
        for phase in (0.0, 0.5)
    )
    # pytorch_msssim.ms_ssim(..., data_range=1.0), version 1.0.0, whose window is float32.
    assert ms_ssim(first, second) == pytest.approx(0.9444805348, abs=1e-6)


def test_one_scale_equals_scikit_images_ssim():
    other = np.clip(LARGE * 0.8 + 0.1, 0, 1).astype(np.float64)
    luminance, contrast = _compare_windows(LARGE.astype(np.float64), other)
    expected = structural_similarity(
        LARGE.astype(np.float64),
        other,
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert (luminance * contrast).mean() == pytest.approx(expected, abs=1e-12)


def test_ms_ssim_falls_with_noise():
    values = [
        ms_ssim(LARGE, np.clip(LARGE + RNG.normal(0, s, LARGE.shape), 0, 1).astype(np.float32))
        for s in (0.02, 0.1, 0.4)
    ]
    assert 1 > values[0] > values[1] > values[2] > 0


def test_images_too_small_for_the_last_scale_are_an_error():
    with pytest.raises(ValueError, match="above 160"):
        ms_ssim(LARGE[:160], LARGE[:160])
