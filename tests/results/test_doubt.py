"""Maps that say little are doubted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain import RISE, explain, from_callable
from onnxplain.core.data import Meaning
from onnxplain.results import (
    describe_doubt,
)


def test_a_map_within_its_own_noise_and_a_flat_map_are_doubted() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0.3, 0.01, (7, 7)).astype(np.float32)
    drawn = Meaning("mean probability", is_score=True, noise=0.01)
    assert "may be noise" in describe_doubt(noise, drawn)
    noise[3, 3] = 0.6
    assert describe_doubt(noise, drawn) == ""
    flat = np.linspace(3e-5, 8e-5, 49, dtype=np.float32).reshape(7, 7)
    assert "nearly flat" in describe_doubt(flat, Meaning("probability lost", is_score=True))
    assert describe_doubt(flat, Meaning("a weight")) == ""


def test_the_noise_that_rise_states_is_that_of_its_map() -> None:
    # The score is 1 or 0 by a coin for each mask: nothing in the image matters.
    def flip_coins(images: NDArray[np.float32]) -> NDArray[np.float32]:
        bits = (images.sum(axis=(1, 2, 3)) * 1e4).astype(np.int64) % 2
        return np.stack([bits, 1 - bits], axis=1).astype(np.float32)

    classifier = from_callable(flip_coins, size=(56, 56), class_names=("one", "other"))
    photo = np.random.default_rng(1).random((56, 56, 3)).astype(np.float32)
    explained = explain(classifier, photo, RISE(n_masks=2000), target=0, fill="black")
    assert explained.heatmap.std() == pytest.approx(explained.meaning.noise, rel=0.6)
    assert "may be noise" in describe_doubt(explained.heatmap, explained.meaning)
