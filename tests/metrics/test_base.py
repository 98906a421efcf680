import pickle

import numpy as np
import pytest

from onnxplain.core.data import Box, Preprocessing
from onnxplain.image import place_frame, read_image, resize
from onnxplain.metrics import SSIM, PointingGame
from onnxplain.metrics.base import (
    CHART_SIZE,
    MetricResult,
    check_heatmap,
    check_map_size,
    check_result,
    fit_heatmap,
    nan_to_none,
    to_row,
)
from onnxplain.plot.chart import LINE, place_axes
from tests.helpers.explanations import make_explanation


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, 0.5), (np.nan, None), (np.inf, None), (-np.inf, None)]
)
def test_numbers_that_json_lacks_become_none(value, expected):
    assert nan_to_none(value) == expected


def test_result_is_a_number():
    score, details = MetricResult(0.25, {"curve": [1.0]}), {"curve": [1.0]}
    assert (float(score), score.value, score.details) == (0.25, 0.25, details)
    assert score < 0.5 < MetricResult(1)
    assert (score == 0.25, score + 1) == (True, 1.25)
    assert np.asarray([score, score]).dtype == np.float64
    assert np.mean([score, MetricResult(0.75)]) == 0.5
    assert f"{score:.3f} {score!r}" == "0.250 MetricResult(0.25)"
    copied = pickle.loads(pickle.dumps(score))
    assert (type(copied), copied, copied.details) == (MetricResult, 0.25, details)
    assert max([MetricResult(0.1), score]) is score


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
        (np.zeros((2, 4)), r"shape \(2, 4\) and the image \(2, 3\); crop and resize it as"),
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


class Tensor:
    """As PyTorch's on a device: NumPy takes it after detach and cpu only."""

    def __init__(self, values: np.ndarray, ready: bool = False) -> None:
        self.values, self.ready = values, ready

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return Tensor(self.values, True)

    def __array__(self, dtype=None, copy=None):
        assert self.ready
        return self.values.astype(dtype or self.values.dtype)


MAP = np.random.default_rng(5).random((6, 9))


@pytest.mark.parametrize("heatmap", [MAP, MAP[None], MAP[None, None], Tensor(MAP), MAP.tolist()])
def test_arrays_tensors_and_lists_are_heatmaps(heatmap):
    np.testing.assert_array_equal(check_heatmap(heatmap, (6, 9)), MAP)
    assert check_map_size(heatmap) == (6, 9)


def test_heatmap_of_the_photo_is_cropped_as_the_photo():
    frame = place_frame((6, 9), (3, 3), Preprocessing())
    photo = np.repeat(MAP[..., None], 3, 2).astype(np.float32)
    expected = frame.bring(photo)[..., 0]
    for heatmap in (MAP, MAP[None], MAP[..., None], Tensor(MAP)):
        np.testing.assert_allclose(fit_heatmap(heatmap, frame), expected, atol=1e-6)
    np.testing.assert_array_equal(fit_heatmap(MAP[:3, :3], frame), MAP[:3, :3])
    with pytest.raises(ValueError, match=r"shape \(3, 6, 9\); it is .* average its channels"):
        fit_heatmap(np.stack([MAP] * 3), frame)
    with pytest.raises(ValueError, match=r"shape \(4, 9\); it is a map of the photo \(6, 9\), or"):
        fit_heatmap(MAP[:4], frame)
    with pytest.raises(ValueError, match="NaN"):
        fit_heatmap(np.where(MAP > 0.9, np.nan, MAP), frame)


def test_explanation_is_of_the_part_of_the_photo_that_the_classifier_sees():
    """Two classifiers of one size may crop a photo differently: then pixels are other places."""
    middle, heatmap = Box(0, 10, 40, 50), np.random.default_rng(0).random((8, 8), np.float32)
    explanation = make_explanation(heatmap=heatmap, window=middle)  # of a photo of 40 x 60
    cropped = place_frame((40, 60), (8, 8), Preprocessing("crop"))
    np.testing.assert_array_equal(fit_heatmap(explanation, cropped), heatmap)
    for fit, seen in (("stretch", "columns 0 to 100 %"), ("pad", "rows -20 to 140 %")):
        other = place_frame((40, 60), (8, 8), Preprocessing(fit))
        with pytest.raises(ValueError, match=rf"columns 16.7 to 83.3 %, than .*{seen}.*full_heat"):
            fit_heatmap(explanation, other)
        full = fit_heatmap(explanation.full_heatmap, other)
        np.testing.assert_array_equal(full, other.bring_map(explanation.full_heatmap))
    # A copy of the photo of another size.
    twice = place_frame((80, 121), (8, 8), Preprocessing("crop"))
    with pytest.raises(ValueError, match="another part"):
        fit_heatmap(explanation, place_frame((80, 120), (8, 8), Preprocessing("crop", (12, 12))))
    np.testing.assert_array_equal(fit_heatmap(explanation, twice), heatmap)


def test_explanation_of_the_size_of_the_photo_is_not_cropped_twice():
    heatmap = np.random.default_rng(0).random((40, 40), np.float32)
    photo = np.zeros((40, 40, 3), np.uint8)
    explanation = make_explanation(heatmap=heatmap, window=Box(8, 8, 32, 32), photo=photo)
    frame = place_frame((40, 40), (24, 24), Preprocessing("crop", (40, 40)))
    assert frame.window == explanation.window
    expected = resize(heatmap, (24, 24), antialias=True)
    assert np.corrcoef(fit_heatmap(explanation, frame).ravel(), expected.ravel())[0, 1] > 0.9


def test_masked_pixels_are_not_known_and_complex_numbers_are_no_evidence():
    with pytest.raises(ValueError, match="NaN"):
        check_heatmap(np.ma.masked_array(MAP, MAP > 0.9), (6, 9))
    unmasked = np.ma.masked_array(MAP, np.zeros(MAP.shape, bool))
    np.testing.assert_array_equal(check_heatmap(unmasked, (6, 9)), MAP)
    for heatmap in (MAP + 1j, MAP.astype(str)):
        with pytest.raises(TypeError, match=r"holds real numbers, got (complex128|<U32)"):
            check_heatmap(heatmap, (6, 9))


def test_result_that_a_row_cannot_hold_is_an_error_that_names_the_metric():
    fine = MetricResult(float("nan"), {"curve": [0.5], "box": None})
    assert check_result(PointingGame(), fine) is fine
    for value in (0.5, np.float64(0.5), None):
        with pytest.raises(TypeError, match="of metric pointing must return a MetricResult, got"):
            check_result(PointingGame(), value)
    for fact in (np.float32(1), np.arange(3), float("nan")):
        with pytest.raises(TypeError, match="JSON cannot hold the details of metric pointing"):
            check_result(PointingGame(), MetricResult(0.5, {"fact": fact}))


def test_size_of_a_map_needs_two_axes():
    assert check_map_size([[1, 2, 3], [4, 5, 6]]) == (2, 3)
    with pytest.raises(ValueError, match=r"shape \(rows, columns\), got \(2, 3, 1\)"):
        check_map_size(np.zeros((2, 3, 1)))


def test_a_notebook_shows_the_curve_behind_a_value():
    shares, curve = [0.0, 0.5, 1.0], [0.9, 0.4, 0.1]
    png, about = MetricResult(0.45, {"curve": curve, "share": shares})._repr_png_()
    shown = read_image(png)
    column, row = place_axes(shares, curve, CHART_SIZE, 14).place(0.5, 0.4)
    top = shown.shape[0] - 10 - CHART_SIZE[0]  # the chart stands below the value
    line = shown[top + round(row) - 1 : top + round(row) + 2, 10 + round(column)] * 255
    assert np.abs(line - LINE).sum(axis=1).min() < 60
    assert about["alt"] == "0.45: a curve from 0.9 to 0.1"


def test_a_notebook_shows_other_values_as_numbers():
    assert MetricResult(0.45)._repr_png_() is None
    assert MetricResult(0.45, {"curve": [1.0, 0.0]})._repr_png_() is None
