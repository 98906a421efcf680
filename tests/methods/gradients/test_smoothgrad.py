"""SmoothGrad and VarGrad against expectations that are known."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain
from onnxplain import from_callable
from onnxplain.core.data import Case
from onnxplain.engine.run import collect_values, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills.nothing import Nothing
from onnxplain.methods import Gradient, SmoothGrad
from tests.helpers import models
from tests.helpers.inside import open_model
from tests.helpers.nets import CurvedGradients, Net, curved
from tests.helpers.specs import photos, spec_of

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


@pytest.mark.parametrize("statistic", ["mean", "square", "variance"])
def test_statistics_of_a_quadratic_score_are_those_by_hand(statistic: str) -> None:
    """The gradient of x'Qx/2 at x + e is Qx + Qe: normal, with variance sigma^2 sum_j Q_ij^2."""
    n, rng = 400, np.random.default_rng(0)
    pixels = SIZE[0] * SIZE[1] * 3
    q = rng.normal(size=(pixels, pixels)) / 10
    q = q + q.T

    def score(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float64)
        half = np.einsum("ni,ij,nj->n", flat, q, flat) / 2
        return np.stack([-half, half], axis=1)

    def differentiate(images: np.ndarray, weights: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float64)
        return ((weights[:, 1] - weights[:, 0])[:, None] * (flat @ q)).reshape(images.shape)

    classifier = from_callable(
        score, size=SIZE, n_classes=2, outputs="logits", gradient=differentiate
    )
    image = photos(1, SIZE)[0]
    method = SmoothGrad(n, channels="sum", statistic=statistic)  # type: ignore[arg-type]
    found = onnxplain.explain(classifier, image, method, target=1).heatmap
    slope = q @ image.ravel().astype(np.float64)
    sigma = 0.15 * np.ptp(image)
    spread = sigma**2 * q @ q  # covariance of the gradient's entries
    variance = np.diag(spread)
    expected = {"mean": slope, "square": slope**2 + variance, "variance": variance}[statistic]
    # Covariances of one term: of normal numbers, of their squares (Isserlis), of deviations.
    outer = np.outer(slope, slope)
    terms = {
        "mean": spread,
        "square": 2 * spread**2 + 4 * outer * spread,
        "variance": 2 * spread**2,
    }[statistic]
    blocks = terms.reshape(pixels // 3, 3, pixels // 3, 3)
    error = np.sqrt(np.einsum("icid->i", blocks).reshape(SIZE) / n)
    bias = expected.reshape(*SIZE, 3).sum(axis=2) / n if statistic == "variance" else 0
    gap = np.abs(found - expected.reshape(*SIZE, 3).sum(axis=2))
    assert (gap <= 4 * error + bias).all()
    assert error.max() < 0.5 * np.abs(expected).max()


def test_of_a_weighted_sum_it_is_the_gradient_and_varies_not() -> None:
    w = models.weights(SIZE)
    classifier = open_model(models.additive(w), spec_of(size=SIZE))
    image = photos(1, SIZE)[0]
    maps = {
        statistic: onnxplain.explain(
            classifier, image, SmoothGrad(5, channels="sum", statistic=statistic), target=2
        ).heatmap
        for statistic in ("mean", "square", "variance")
    }
    np.testing.assert_allclose(maps["mean"], w[2].sum(axis=2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps["square"], (w[2] ** 2).sum(axis=2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps["variance"], 0, atol=1e-12)


def test_hardly_any_noise_gives_the_gradient() -> None:
    rng = np.random.default_rng(1)
    weights = (rng.standard_normal((*SIZE, 3, 2)) * 0.5).astype(np.float32)
    image = photos(1, SIZE)[0]
    smooth = run(SmoothGrad(n_samples=2, level=1e-6, score="log-odds"), weights, image)
    plain = run(Gradient(score="log-odds"), weights, image)
    np.testing.assert_allclose(smooth, plain, rtol=1e-3, atol=1e-6)
