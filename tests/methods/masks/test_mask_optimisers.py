import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Case, make_rng
from onnxplain.core.flow import ImageQuery
from onnxplain.engine.run import Job, run
from onnxplain.methods import FIDO, MP, MP2
from tests.helpers.nets import CurvedGradients, Net, Picture, curved
from tests.reference import driver

RNG = np.random.default_rng(5)
SIZE = (16, 20)
IMAGE = RNG.random((*SIZE, 3), np.float32)
WEIGHTS = (RNG.standard_normal((*SIZE, 3, 2)) * 0.05).astype(np.float32)


def explain(method, net=None, fill=0.5, name="photo", gradients=None):
    case = Case(name, IMAGE, 1, n_classes=2)
    method = method.settled(gradients=True)
    job = Job((case,), (method.flow(case, make_rng(0, name)),), Picture(fill))
    net = net or Net(curved(WEIGHTS), SIZE)
    (outcome,) = run(net, [job], gradients=gradients or CurvedGradients(WEIGHTS))
    if outcome.error:
        raise outcome.error
    return outcome


@pytest.mark.framework
@pytest.mark.parametrize("binary", [False, True])
def test_mp_follows_the_same_path_as_autograd_for_20_steps(binary):
    pytest.importorskip("torch")
    from tests.reference import torch_methods as reference

    expected = reference.mp(
        reference.tensor(IMAGE),
        reference.tensor(np.full_like(IMAGE, 0.5)),
        reference.tensor(WEIGHTS),
        make_rng(0, "photo"),
        steps=20,
        grid=4,
        jitter=4,
        l1=1e-2,
        tv=1e-2,
        beta=3,
        lr=0.1,
        binary=binary,
    )
    found = explain(MP(grid=4, n_steps=20, l1=1e-2, binary=binary)).values[0]
    # float32 images against float64 ones: 1e-7 a step, and Adam does not enlarge it much
    np.testing.assert_allclose(found.coarse, expected, atol=1e-4)


@pytest.mark.framework
def test_mp2_takes_the_same_cells_as_autograd_for_20_steps():
    pytest.importorskip("torch")
    from tests.reference import torch_methods as reference

    order, gains = reference.mp2(
        reference.tensor(IMAGE),
        reference.tensor(np.full_like(IMAGE, 0.5)),
        reference.tensor(WEIGHTS),
        steps=20,
        grid=8,
    )
    found = explain(MP2(grid=8, gain="gradient", chance=1e-9, max_area=40 / 64)).values[0]
    assert found.order.tolist() == order
    np.testing.assert_allclose(found.details["gains"], gains, atol=1e-5)


@pytest.mark.framework
@pytest.mark.parametrize("objective", ["preservation", "deletion"])
def test_fido_follows_the_same_path_as_autograd_for_20_steps(objective):
    pytest.importorskip("torch")
    from tests.reference import torch_methods as reference

    expected = reference.fido(
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
    np.testing.assert_allclose(explain(method).values[0].coarse, expected, atol=1e-4)


METHODS = [
    MP(grid=4, n_steps=30),
    MP(grid=4, n_steps=30, estimator="spsa", n_pairs=4, jitter=0),
    MP(grid=4, n_steps=5, start="circle", binary=True),
    FIDO(grid=4, n_steps=30),
    FIDO(grid=4, n_steps=30, estimator="score-function", objective="deletion"),
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_same_seed_gives_the_same_result_for_any_batch_size(method):
    results = [
        explain(method, Net(curved(WEIGHTS), SIZE, batch_size=n, workers=w)).values[0].heatmap
        for n, w in ((1, 1), (7, 2))
    ]
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
    low, high = (0, 1) if isinstance(method, MP) else (-0.5, 0.5)
    assert results[0].min() >= low
    assert results[0].max() <= high


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_evaluations_are_known_before_and_the_result_says_how_the_slope_was_found(method):
    outcome, settled = explain(method), method.settled(gradients=True)
    assert outcome.evaluations == settled.evaluations(SIZE)
    assert outcome.values[0].details["estimator"] == settled.estimator


def watched(flow, seen):
    """The same flow; every mask that it asks about is kept."""
    reply = None
    while True:
        try:
            query = flow.send(reply)
        except StopIteration as stop:
            return stop.value
        if not isinstance(query, ImageQuery):
            seen.append(query.masks.render(0, len(query)))
        reply = yield query


@settings(deadline=None, max_examples=20)
@given(
    method=st.sampled_from([*METHODS, MP2(gain="difference"), MP2(gain="gradient")]),
    grid=st.integers(2, 6),
    rate=st.floats(0.01, 10),
    seed=st.integers(0, 99),
)
def test_masks_never_leave_0_to_1(method, grid, rate, seed):
    chosen = {"grid": grid}
    chosen |= {"chance": 0.2} if isinstance(method, MP2) else {"learning_rate": rate}
    if not isinstance(method, MP2):
        chosen["n_steps"] = 5
    method = dataclasses.replace(method, **chosen).settled(gradients=True)
    seen = []
    case = Case("photo", IMAGE, 1, n_classes=2)
    flow = watched(method.flow(case, make_rng(seed)), seen)
    net = Net(curved(WEIGHTS), SIZE)
    found = driver.run(net, case, flow, Picture(0.5), gradients=CurvedGradients(WEIGHTS))
    masks = np.concatenate(seen)
    assert masks.min() >= 0
    assert masks.max() <= 1
    if not isinstance(method, MP) or method.binary:
        drawn = masks if isinstance(method, MP2 | FIDO) else masks[36:]  # after the soft discs
        assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert np.isfinite(found.heatmap).all()


def test_mp_may_start_from_the_smallest_disc_that_suffices():
    size = (56, 56)
    centre = np.arange(56) + 0.5 - 28
    inside = np.hypot(centre[:, None], centre) <= 10  # 40 pixels of 224

    def function(images):
        score = (images * inside[..., None]).mean(axis=(1, 2, 3)) / inside.mean()
        return np.stack([1 - score, score], axis=1)

    case, net = Case("photo", np.ones((*size, 3), np.float32), 1), Net(function, size)
    mask = driver.run(net, case, MP(grid=28, start="circle")._circle(case), Picture(0.0))
    # The blur of 10 pixels must leave hardly anything of the region's border: 60 do.
    area = np.sqrt(mask.sum() / np.pi) * 224 / 28
    assert 55 <= area <= 65
    assert mask[14, 14] > 0.99
    assert mask[0].max() < 0.01


def region_net():
    """Log-odds grow with the brightness of one quarter of the image, and of nothing else."""
    weights = np.zeros((*SIZE, 3), np.float32)
    weights[:8, :10] = 0.05

    def function(images):
        odds = np.einsum("nhwc,hwc->n", images.astype(np.float64), weights) - 3
        return np.stack([np.zeros_like(odds), odds], axis=1)

    class Gradients:
        def score_grads(self, images, targets, kind):
            raw = function(images).astype(np.float32)
            p = 1 / (1 + np.exp(-raw[:, 1]))
            slope = np.ones_like(p) if kind == "log-odds" else p * (1 - p)
            return raw, (slope[:, None, None, None] * weights).astype(np.float32)

    return Net(function, SIZE, "logits"), Gradients()


@pytest.mark.parametrize(
    "method",
    [
        MP(grid=4, n_steps=150, l1=1e-2),
        MP(grid=4, n_steps=150, l1=1e-2, estimator="spsa", n_pairs=16),
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
def test_evidence_lies_in_the_region_that_the_score_depends_on(method):
    net, gradients = region_net()
    coarse = explain(method, net, 0.0, gradients=gradients).values[0].coarse
    inside = np.zeros((4, 4), bool)
    inside[:2, :2] = True
    assert coarse[inside].min() > coarse[~inside].max()


def test_score_function_needs_pairs():
    with pytest.raises(ValueError, match="n_samples must be even, got 5"):
        FIDO(n_samples=5)


def test_the_estimates_without_gradients_agree_with_the_gradient_on_average():
    net, gradients = region_net()
    spsa = MP(grid=4, n_steps=1, jitter=0, estimator="spsa", n_pairs=2000, reach=0.02)
    case = Case("photo", IMAGE, 1)
    from onnxplain.masks.enlarge import Enlargement

    rng = np.random.default_rng(0)
    enlarge = Enlargement.nearest(4, SIZE)
    mask = np.full((4, 4), 0.5)
    arguments = (IMAGE, -IMAGE, mask, enlarge, rng)
    exact, estimate = (
        driver.run(net, case, find(*arguments), Picture(0.0), gradients=gradients)[1]
        for find in (spsa._gradient, spsa._spsa)
    )
    correlation = np.corrcoef(exact.ravel(), estimate.ravel())[0, 1]
    assert correlation > 0.95
    assert np.vdot(exact, estimate) / np.vdot(exact, exact) == pytest.approx(1, abs=0.1)


def test_the_score_function_estimate_is_on_average_the_slope_of_additive_log_odds():
    """A cell of effect e that is dropped with probability p adds e p: slope e p (1 - p)."""
    net, _ = region_net()
    case, rng = Case("photo", IMAGE, 1), np.random.default_rng(0)
    from onnxplain.masks.enlarge import Enlargement

    logits = np.linspace(-1, 1, 16).reshape(4, 4)
    method = FIDO(grid=4, n_samples=4000, estimator="score-function")
    flow = method._score_function(case, logits, Enlargement.nearest(4, SIZE), rng)
    _, estimate = driver.run(net, case, flow, Picture(0.0))
    effect = np.zeros(SIZE)
    effect[:8, :10] = -0.05 * IMAGE[:8, :10].sum(axis=-1)
    cells = effect.reshape(4, 4, 4, 5).sum(axis=(1, 3))
    p = 1 / (1 + np.exp(-logits))
    exact = cells * p * (1 - p)
    assert np.vdot(exact, estimate) / np.vdot(exact, exact) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(estimate, exact, atol=0.1 * abs(exact).max())


def test_without_warm_up_sparsity_acts_from_the_first_step_on():
    flat = Net(lambda images: np.full((len(images), 2), 0.5, np.float32), SIZE)
    coarse = {}
    for warm_up in (0, 1):
        method = FIDO(grid=4, n_steps=1, n_samples=4, warm_up=warm_up, estimator="score-function")
        coarse[warm_up] = explain(method, flat).values[0].coarse
    assert (coarse[0] < 0).all()  # less is kept than half
    assert (coarse[1] == 0).all()


@dataclasses.dataclass(frozen=True)
class PaintedHoles:
    """The photo, with one value painted into the holes."""

    value: float

    def prepare(self, image, rng):
        return lambda masks: np.where(masks[..., None] >= 0.5, self.value, image).astype("f")


@pytest.mark.parametrize("seed", range(4))
def test_a_fill_that_depends_on_the_mask_covers_what_the_jittered_crop_removes(seed):
    """Were it not moved with the crop, the photo would show in a third of the holes."""
    method, case = MP(grid=4, n_steps=2, binary=True, estimator="gradient"), Case("p", IMAGE, 1, 2)
    gradients, composed = CurvedGradients(WEIGHTS), []

    def record(images, targets, kind):
        composed.append(images[0])
        return gradients.score_grads(images, targets, kind)

    class Recorder:
        score_grads = staticmethod(record)

    flow = method.flow(case, make_rng(seed, "p"))
    job = Job((case,), (flow,), PaintedHoles(-7.0))
    (outcome,) = run(Net(curved(WEIGHTS), SIZE), [job], gradients=Recorder())
    assert outcome.error is None
    mask = make_rng(seed, "p").random((4, 4)) <= 0.5  # the first mask, rounded
    removed = np.kron(mask, np.ones((4, 5)))
    assert (composed[0][removed > 0] == -7).all()
    assert (composed[0][removed == 0] >= 0).all()
    assert 0 < removed.mean() < 1


def test_spsa_of_a_binary_mask_scores_binary_masks_only():
    seen = []

    def watch(images):
        seen.append(images)
        return curved(WEIGHTS)(images)

    method = MP(grid=4, n_steps=3, estimator="spsa", n_pairs=3, binary=True, jitter=0)
    explain(method, Net(watch, SIZE), fill=-7.0)
    pixels = np.concatenate(seen)
    assert ((pixels == -7) | (pixels == IMAGE)).all()
    assert {(one == -7).mean() for one in pixels} - {0.0, 1.0}
