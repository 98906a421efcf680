from __future__ import annotations

import numpy as np
import pytest

from onnxplain.fills import GaussianNoise, UniformNoise

IMAGE = np.zeros((200, 200, 3), np.float32)


def test_uniform_noise_has_its_distribution_and_follows_the_seed() -> None:
    noise = UniformNoise().prepare(IMAGE, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0.5, abs=0.005)
    assert noise.var() == pytest.approx(1 / 12, rel=0.02)
    other = UniformNoise().prepare(IMAGE, np.random.default_rng(1))
    assert not np.array_equal(noise, other)


def test_gaussian_noise_has_its_distribution_and_clips_one_value_in_22() -> None:
    noise = GaussianNoise(mean=0.4, sd=0.05).prepare(IMAGE, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0.4, abs=0.001)
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    clipped = GaussianNoise().prepare(IMAGE, np.random.default_rng(0))
    assert ((clipped == 0) | (clipped == 1)).mean() == pytest.approx(0.0455, abs=0.003)
