"""The values that pass between the layers."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest

from onnxplain.core.data import GREY, Case, Layer, Preprocessing, make_rng


def test_draws_depend_on_the_seed_and_on_every_name() -> None:
    draws = {
        make_rng(seed, *names).random()
        for seed in (0, 1)
        for names in ((), ("cat",), ("cat", "rise"), ("rise", "cat"), ("dog", "rise"))
    }
    assert len(draws) == 10
    assert make_rng(3, "cat", "rise").random() == make_rng(3, "cat", "rise").random()


def test_generator_is_numpys_with_the_checksums_of_the_names_in_its_seed() -> None:
    """The formula that results were made with: heatmaps can be reproduced by it."""
    expected = np.random.default_rng([7, zlib.crc32(b"cat.jpg"), zlib.crc32(b"rise")])
    np.testing.assert_array_equal(make_rng(7, "cat.jpg", "rise").random(9), expected.random(9))


def test_file_names_that_are_not_text_can_be_names() -> None:
    name = os.fsdecode(b"\xff.jpg")
    assert make_rng(0, name).random() == make_rng(0, name).random()


def test_drawing_leaves_numpys_global_state_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_rng(0, "cat").random(5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_size_of_a_case_is_rows_and_columns() -> None:
    assert Case("photo", np.zeros((5, 8, 3), np.float32), 0).size == (5, 8)


def test_weights_of_grey_sum_to_one() -> None:
    """So white is 1 and black 0 in grey."""
    assert GREY.sum() == np.float32(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("crops",), "fit 'crops' is unknown; did you mean 'crop'"),
        (("crop", 0.875), r"resize is \(rows, columns\) in whole pixels, got 0\.875"),
        (("crop", (256, 0)), r"resize is \(rows, columns\) in whole pixels, got \(256, 0\)"),
        (("crop", None, "cubic"), "interpolation 'cubic' is unknown; did you mean 'bicubic'"),
        (("pad", None, "area", (0, 0, 0), "middle"), "centre 'middle' is unknown"),
    ],
)
def test_preprocessing_refuses_what_would_become_wrong_pixels(given, message) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(*given)


def test_values_are_arranged_with_channels_second_and_without_prefix_tokens() -> None:
    values = np.arange(2 * 7 * 3, dtype=np.float32).reshape(2, 7, 3)
    layer = Layer("t", "NTC", 3, (2, 3), prefix=1)
    plain = [[[values[n, 1 + 3 * i + j, c] for j in range(3)] for i in range(2)]
             for n in range(2) for c in range(3)]  # fmt: skip
    np.testing.assert_array_equal(layer.arrange(values).reshape(6, 2, 3), plain)
    turned = Layer("t", "TNC", 3, (2, 3), prefix=1).arrange(values.transpose(1, 0, 2))
    np.testing.assert_array_equal(turned.reshape(6, 2, 3), plain)
    maps = np.arange(2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)
    arranged = Layer("t", "NHWC", 3, (4, 5)).arrange(maps)
    np.testing.assert_array_equal(arranged[1, 2], maps[1, :, :, 2])
