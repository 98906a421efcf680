"""An explanation with all that it can have."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.data import Box
from onnxplain.results import (
    Explanation,
)

PROVENANCE = {"classifier": {"sha256": "ab"}, "pixels_sha256": "cd", "image_size": [20, 30]}


@pytest.fixture
def explanation() -> Explanation:
    rng = np.random.default_rng(0)
    return Explanation(
        image="photos/coffee.jpg",
        target=967,
        target_name="espresso, strong coffee",
        score=0.9375,
        heatmap=rng.random((8, 8), np.float32),
        method="sp",
        fill="blur",
        parameters={"patch": 3},
        fill_parameters={"sigma": 2.0},
        seed=4,
        evaluations=10,
        seconds=0.5,
        provenance=PROVENANCE,
        coarse=rng.random((2, 2), np.float32),
        details={"note": "ünïcode"},
        window=Box(0, 5, 20, 25),
        photo=rng.integers(0, 256, (20, 30, 3), np.uint8),
    )
