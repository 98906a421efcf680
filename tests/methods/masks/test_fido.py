import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Case, make_rng
from onnxplain.masks.enlarge import Enlargement
from onnxplain.methods import FIDO
from tests.helpers.mask_methods import (
    IMAGE,
    SIZE,
    WEIGHTS,
    check_evidence_in_region,
    explain,
    make_region_net,
    record_masks,
)
from tests.helpers.nets import CurvedGradients, Net, Picture, curved
from tests.reference import driver

METHODS = [
    FIDO(grid=4, n_steps=30),
    FIDO(grid=4, n_steps=30, estimator="score-function", objective="deletion"),
]


@pytest.mark.framework
@pytest.mark.parametrize("objective", ["preservation", "deletion"])
def test_fido_follows_the_same_path_as_autograd_for_20_steps(objective):
    pytest.importorskip("torch")
    from tests.reference import torch_methods as reference

    coarse, heatmap = reference.fido(
        reference.tensor(IMAGE),
        reference.tensor(np.full_like(IMAGE, 0.5)),
        reference.tensor(WEIGHTS),
        make_rng(0, "photo"),
        steps=20,
        grid=5,
        samples=4,
        lr=0.05,
        reg=1e-2,
        warm_up=10,
        temperature=0.5,
        keep=objective == "preservation",
    )
    method = FIDO(
        objective=objective,
        grid=5,
        n_steps=20,
        n_samples=4,
        sparsity=1e-2,
        warm_up=10,
        temperature=0.5,
    )
    attribution = explain(method).values[0]
    np.testing.assert_allclose(attribution.coarse, coarse, atol=1e-4)
    np.testing.assert_allclose(attribution.heatmap, heatmap, atol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_fido_gives_the_same_result_for_any_batch_size(method):
    first, second = (
        explain(method, Net(curved(WEIGHTS), SIZE, batch_size=n, workers=w)).values[0].heatmap
        for n, w in ((1, 1), (7, 2))
    )
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert first.min() >= -0.5
    assert first.max() <= 0.5


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_fido_makes_the_announced_evaluations_and_names_its_estimator(method):
    outcome, settled = explain(method), method.settled(gradients=True)
    assert outcome.evaluations == settled.evaluations(SIZE)
    assert outcome.values[0].details["estimator"] == settled.estimator


@settings(deadline=None, max_examples=20)
@given(
    method=st.sampled_from(METHODS),
    grid=st.integers(2, 6),
    rate=st.floats(0.01, 10),
    seed=st.integers(0, 99),
)
def test_masks_that_fido_asks_about_are_0_or_1(method, grid, rate, seed):
    method = dataclasses.replace(method, grid=grid, learning_rate=rate, n_steps=5)
    method = method.settled(gradients=True)
    case, seen = Case("photo", IMAGE, 1, n_classes=2), []
    flow = record_masks(method.flow(case, make_rng(seed)), seen)
    net = Net(curved(WEIGHTS), SIZE)
    result = driver.run(net, case, flow, Picture(0.5), gradients=CurvedGradients(WEIGHTS))
    assert set(np.unique(np.concatenate(seen))) <= {0.0, 1.0}
    assert np.isfinite(result.heatmap).all()


@pytest.mark.parametrize(
    "method",
    [
        FIDO(grid=4, n_steps=150, sparsity=1e-2, objective="deletion"),
        FIDO(grid=4, n_steps=150, sparsity=1e-2, objective="preservation"),
        FIDO(
            grid=4,
            n_steps=300,
            sparsity=1e-2,
            n_samples=32,
            estimator="score-function",
            objective="deletion",
        ),
    ],
    ids=repr,
)
def test_evidence_of_fido_lies_in_the_region_that_the_score_depends_on(method):
    net, gradients = make_region_net()
    check_evidence_in_region(explain(method, net, 0.0, gradients).values[0].coarse)


def test_an_odd_number_of_samples_is_refused():
    with pytest.raises(ValueError, match="n_samples must be even, got 5"):
        FIDO(n_samples=5)


def test_the_score_function_estimate_is_on_average_the_slope_of_additive_log_odds():
    """A cell of effect e that is dropped with probability p adds e p: slope e p (1 - p)."""
    net, _ = make_region_net()
    case, rng = Case("photo", IMAGE, 1), np.random.default_rng(0)
    logits = np.linspace(-1, 1, 16).reshape(4, 4)
    method = FIDO(grid=4, n_samples=4000, estimator="score-function")
    flow = method._estimate(case, logits, Enlargement.nearest(4, SIZE), rng)
    _, estimate = driver.run(net, case, flow, Picture(0.0))
    effect = np.zeros(SIZE)
    effect[:8, :10] = -0.05 * IMAGE[:8, :10].sum(axis=-1)
    cells = effect.reshape(4, 4, 4, 5).sum(axis=(1, 3))
    p = 1 / (1 + np.exp(-logits))
    exact = cells * p * (1 - p)
    assert np.vdot(exact, estimate) / np.vdot(exact, exact) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(estimate, exact, atol=0.1 * abs(exact).max())


def test_the_gradient_is_the_slope_of_the_score_under_enlarged_probabilities():
    """Finite differences of the mean log-odds, with the noise of the masks held fixed."""
    grid, temperature, step = 3, 0.7, 1e-4
    logits = np.random.default_rng(3).normal(size=(grid, grid))
    method = FIDO(grid=grid, n_samples=4, temperature=temperature, estimator="gradient")
    enlarge, case = Enlargement.bilinear(grid, SIZE), Case("photo", IMAGE, 1, n_classes=2)
    flow = method._differentiate(case, logits, enlarge, np.random.default_rng(7))
    _, by_logit = driver.run(
        Net(curved(WEIGHTS), SIZE), case, flow, Picture(0.5), gradients=CurvedGradients(WEIGHTS)
    )
    u = np.random.default_rng(7).uniform(1e-6, 1 - 1e-6, (4, *SIZE))

    def score(logits):
        p = enlarge.pixels(1 / (1 + np.exp(-logits)))
        removed = 1 / (1 + (p / (1 - p) * u / (1 - u)) ** (-1 / temperature))
        images = IMAGE + removed[..., None] * (0.5 - IMAGE)
        return np.sin(np.einsum("nhwc,hwck->nk", images, WEIGHTS)).sum(axis=1).mean()

    for cell in np.ndindex(grid, grid):
        shift = np.zeros((grid, grid))
        shift[cell] = step
        slope = (score(logits + shift) - score(logits - shift)) / (2 * step)
        assert by_logit[cell] == pytest.approx(slope, abs=1e-4 * abs(by_logit).max())


def test_without_warm_up_sparsity_acts_from_the_first_step_on():
    flat = Net(lambda images: np.full((len(images), 2), 0.5, np.float32), SIZE)
    coarse = {}
    for warm_up in (0, 1):
        method = FIDO(grid=4, n_steps=1, n_samples=4, warm_up=warm_up, estimator="score-function")
        coarse[warm_up] = explain(method, flat).values[0].coarse
    assert (coarse[0] < 0).all()  # less is kept than half
    assert (coarse[1] == 0).all()
