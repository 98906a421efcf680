import numpy as np
import pytest

from onnxplain.metrics import SSIM
from onnxplain.metrics.base import (
    MetricResult,
    check_heatmap,
    check_map_size,
    nan_to_none,
    to_row,
)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, 0.5), (np.nan, None), (np.inf, None), (-np.inf, None)]
)
def test_numbers_that_json_lacks_become_none(value, expected):
    assert nan_to_none(value) == expected


def test_row_holds_the_identity_parameters_and_value_of_a_metric():
    assert to_row(SSIM(window=7), MetricResult(float("nan"), {"pairs": 3})) == {
        "metric": "ssim",
        "value": None,
        "direction": "higher",
        "unit": "index, at most 1",
        "parameters": {"data_range": 2.0, "window": 7},
        "details": {"pairs": 3},
    }


@pytest.mark.parametrize(
    ("heatmap", "message"),
    [
        ([], "judges a heatmap, got none"),
        (np.zeros((2, 4)), r"shape \(2, 4\) and the image \(2, 3\); resize"),
        ([[1, 2, np.inf], [0, 0, 0]], "NaN or infinite"),
    ],
)
def test_heatmap_must_have_the_size_of_the_image_and_finite_values(heatmap, message):
    with pytest.raises(ValueError, match=message):
        check_heatmap(heatmap, (2, 3))


def test_checked_heatmap_is_float64_with_equal_values():
    checked = check_heatmap(np.float32([[0.1, 2], [3, 4]]), (2, 2))
    assert checked.dtype == np.float64
    np.testing.assert_array_equal(checked, np.float32([[0.1, 2], [3, 4]]))


def test_size_of_a_map_needs_two_axes():
    assert check_map_size([[1, 2, 3], [4, 5, 6]]) == (2, 3)
    with pytest.raises(ValueError, match=r"shape \(rows, columns\), got \(2, 3, 1\)"):
        check_map_size(np.zeros((2, 3, 1)))
