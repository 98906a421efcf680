"""SmoothGrad and VarGrad against expectations that are known."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.core.data import Case
from onnxplain.engine.run import collect_values, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills.nothing import Nothing
from onnxplain.methods import Gradient, SmoothGrad
from tests.helpers.nets import CurvedGradients, Net, curved
from tests.helpers.specs import photos

SIZE = (6, 5)


def run(method: object, weights: np.ndarray, image: np.ndarray, seed: int = 0) -> np.ndarray:
    slopes = CurvedGradients(weights)
    net = Net(curved(weights), SIZE, slopes=slopes)
    settled, gradients = settle_method(method, net)  # type: ignore[arg-type]
    jobs = make_jobs(settled, [Case("photo", image, 1)], Nothing(), seed)
    (result,) = collect_values(net, jobs, gradients=gradients)
    heatmap: np.ndarray = result.heatmap
    return heatmap


@pytest.mark.parametrize("statistic", ["mean", "square", "variance"])
def test_statistics_are_those_of_gradients_at_noisy_copies(statistic: str) -> None:
    rng = np.random.default_rng(0)
    weights = (rng.standard_normal((*SIZE, 3, 2)) * 0.5).astype(np.float32)
    image = photos(1, SIZE)[0]
    method = SmoothGrad(n_samples=600, score="log-odds", channels="sum", statistic=statistic)  # type: ignore[arg-type]
    found = run(method, weights, image)
    sigma = 0.15 * np.ptp(image)
    noisy = (image + rng.normal(0, sigma, (4000, *image.shape))).astype(np.float32)
    _, grads = CurvedGradients(weights).score_grads(noisy, np.ones(4000, int), "log-odds")
    values = {"mean": grads.mean(0), "square": (grads**2).mean(0), "variance": grads.var(0)}
    expected = values[statistic].sum(axis=2)
    # Four standard errors of 600 copies, and those of the 4000 beside.
    terms = {"mean": grads, "square": grads**2, "variance": (grads - grads.mean(0)) ** 2}[statistic]
    error = terms.sum(axis=3).std(axis=0) * np.sqrt(1 / 600 + 1 / 4000)
    assert (np.abs(found - expected) <= 4.5 * error + 1e-9).all()


def test_hardly_any_noise_gives_the_gradient() -> None:
    rng = np.random.default_rng(1)
    weights = (rng.standard_normal((*SIZE, 3, 2)) * 0.5).astype(np.float32)
    image = photos(1, SIZE)[0]
    smooth = run(SmoothGrad(n_samples=2, level=1e-6, score="log-odds"), weights, image)
    plain = run(Gradient(score="log-odds"), weights, image)
    np.testing.assert_allclose(smooth, plain, rtol=1e-3, atol=1e-6)
