"""Maps that a benchmark makes of recorded scores are those of the product."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from benchmarks.sampling import NUMBERS, SEED, Estimator, Run, compare, score_samples
from onnxplain.core.data import Case, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.fills import DatasetMean
from onnxplain.methods import LIME, RISE, Banzhaf, KernelSHAP
from tests.helpers.nets import Net, curved

SIZE = (28, 35)
WEIGHTS = (np.random.default_rng(3).standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
NET: Any = Net(curved(WEIGHTS), SIZE, batch_size=64)
CASE = Case("photo.png", np.random.default_rng(5).random((*SIZE, 3), np.float32), 1)

MAPS: list[tuple[str, Estimator, Any]] = [
    ("banzhaf", "default", Banzhaf(n_replicates=3)),
    ("banzhaf", "log-odds", Banzhaf(n_replicates=3, score="log-odds")),
    ("banzhaf-6", "default", Banzhaf(grid=6, n_replicates=3)),
    ("banzhaf-6", "log-odds", Banzhaf(grid=6, n_replicates=3, score="log-odds")),
    ("kernel-shap", "default", KernelSHAP(n_replicates=3)),
    ("lime", "default", LIME(n_samples=1000)),
    ("rise", "default", RISE(n_masks=2400)),  # fewer masks would be other ones
]


@pytest.mark.parametrize(("name", "estimator", "method"), MAPS)
def test_maps_of_the_first_samples_are_those_of_the_method(
    name: str, estimator: Estimator, method: Any
) -> None:
    scores = score_samples(NET, CASE, name)
    sampled = Run(CASE, name, scores, estimator)
    flow = method.flow(CASE, make_rng(SEED, CASE.name, name))
    (outcome,) = run(NET, [Job((CASE,), (flow,), DatasetMean(), SEED)])
    expected = cast("Any", outcome.values[0]).heatmap
    made = sampled.make_map(0, 2400 if name == "rise" else NUMBERS[name][-1])
    np.testing.assert_allclose(made, expected, atol=2e-4 * np.ptp(expected))
    agreement = compare(sampled)
    assert set(agreement) == set(NUMBERS[name])
    assert agreement[NUMBERS[name][-1]][0] > 0.5
