import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Case, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.masks.enlarge import Enlargement
from onnxplain.methods import MP
from onnxplain.methods.masks.mp import _choose_disc
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
from tests.reference import methods as reference

METHODS = [
    MP(grid=4, n_steps=30),
    MP(grid=4, n_steps=30, estimator="spsa", n_pairs=4, jitter=0),
    MP(grid=4, n_steps=5, start="circle", binary=True),
]


@pytest.mark.framework
@pytest.mark.parametrize("binary", [False, True])
def test_mp_follows_the_same_path_as_autograd_for_20_steps(binary):
    pytest.importorskip("torch")
    from tests.reference import torch_methods

    expected = torch_methods.mp(
        torch_methods.tensor(IMAGE),
        torch_methods.tensor(np.full_like(IMAGE, 0.5)),
        torch_methods.tensor(WEIGHTS),
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
    mask = explain(MP(grid=4, n_steps=20, l1=1e-2, binary=binary)).values[0].coarse
    # float32 images against float64 ones: 1e-7 per step, and Adam does not enlarge it much
    np.testing.assert_allclose(mask, expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_mp_gives_the_same_result_for_any_batch_size(method):
    first, second = (
        explain(method, Net(curved(WEIGHTS), SIZE, batch_size=n, workers=w)).values[0].heatmap
        for n, w in ((1, 1), (7, 2))
    )
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert first.min() >= 0
    assert first.max() <= 1


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_mp_makes_the_announced_evaluations_and_names_its_estimator(method):
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
def test_masks_of_mp_stay_between_0_and_1_and_binary_ones_are_0_or_1(method, grid, rate, seed):
    method = dataclasses.replace(method, grid=grid, learning_rate=rate, n_steps=5)
    method = method.settled(gradients=True)
    case, seen = Case("photo", IMAGE, 1, n_classes=2), []
    flow = record_masks(method.flow(case, make_rng(seed)), seen)
    net = Net(curved(WEIGHTS), SIZE)
    result = driver.run(net, case, flow, Picture(0.5), gradients=CurvedGradients(WEIGHTS))
    masks = np.concatenate(seen)
    assert masks.min() >= 0
    assert masks.max() <= 1
    if method.binary:
        assert set(np.unique(masks[36:])) <= {0.0, 1.0}  # after the soft discs
    assert np.isfinite(result.heatmap).all()


@pytest.mark.parametrize("rises", [False, True])
def test_mp_may_start_from_the_smallest_disc_that_suffices(rises):
    size = (56, 56)
    centre = np.arange(56) + 0.5 - 28
    inside = np.hypot(centre[:, None], centre) <= 10  # 40 pixels of 224

    def score_disc(images):
        score = (images * inside[..., None]).mean(axis=(1, 2, 3)) / inside.mean()
        return np.stack([1 - score, score], axis=1)[:, :: -1 if rises else 1]

    case, net = Case("photo", np.ones((*size, 3), np.float32), 1), Net(score_disc, size)
    mask = driver.run(net, case, MP(grid=28, start="circle")._find_circle(case), Picture(0.0))
    # The blur of 10 pixels must leave hardly anything of the region's border: 60 do.
    radius = np.sqrt(mask.sum() / np.pi) * 224 / 28
    assert 55 <= radius <= 65
    assert mask[14, 14] > 0.99
    assert mask[0].max() < 0.01


@settings(max_examples=60)
@given(st.lists(st.integers(0, 200).map(lambda n: n / 200), min_size=2, max_size=8))
def test_the_chosen_disc_is_that_of_the_papers_program_whether_the_score_falls_or_rises(scores):
    expected = reference.mp_radius(np.array(scores), scores[0])
    assert _choose_disc(np.array(scores)) == expected


@pytest.mark.parametrize(
    "method",
    [
        MP(grid=4, n_steps=150, l1=1e-2),
        MP(grid=4, n_steps=150, l1=1e-2, estimator="spsa", n_pairs=16),
    ],
    ids=repr,
)
def test_evidence_of_mp_lies_in_the_region_that_the_score_depends_on(method):
    net, gradients = make_region_net()
    check_evidence_in_region(explain(method, net, 0.0, gradients).values[0].coarse)


def test_spsa_agrees_on_average_with_the_exact_gradient():
    net, gradients = make_region_net()
    spsa = MP(grid=4, n_steps=1, jitter=0, estimator="spsa", n_pairs=2000, reach=0.02)
    case, mask = Case("photo", IMAGE, 1), np.full((4, 4), 0.5)
    arguments = (IMAGE, -IMAGE, mask, Enlargement.nearest(4, SIZE), np.random.default_rng(0))
    exact, estimate = (
        driver.run(net, case, find(*arguments), Picture(0.0), gradients=gradients)[1]
        for find in (spsa._differentiate, spsa._estimate)
    )
    assert np.corrcoef(exact.ravel(), estimate.ravel())[0, 1] > 0.95
    assert np.vdot(exact, estimate) / np.vdot(exact, exact) == pytest.approx(1, abs=0.1)


@dataclasses.dataclass(frozen=True)
class PaintedHoles:
    """The photo, with one value painted into the holes."""

    value: float

    def prepare(self, image, rng):
        return lambda masks: np.where(masks[..., None] >= 0.5, self.value, image).astype("f")


@pytest.mark.parametrize("seed", range(4))
def test_a_fill_that_depends_on_the_mask_covers_what_the_jittered_crop_removes(seed):
    """If it were not moved with the crop, the photo would show in a third of the holes."""
    method, case = MP(grid=4, n_steps=2, binary=True, estimator="gradient"), Case("p", IMAGE, 1, 2)
    gradients, composed = CurvedGradients(WEIGHTS), []

    class Recorder:
        def score_grads(self, images, targets, kind):
            composed.append(images[0])
            return gradients.score_grads(images, targets, kind)

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
    images = np.concatenate(seen)
    assert ((images == -7) | (images == IMAGE)).all()
    assert {(image == -7).mean() for image in images} - {0.0, 1.0}


def test_binary_masks_keep_what_exceeds_one_half_and_the_middle_of_what_is_kept():
    mask = np.array([[0.0, 0.2], [0.3, 0.6]])  # keeps 1, 0.8, 0.7, 0.4: the middle is 0.7
    np.testing.assert_array_equal(MP(binary=True)._binarise(mask), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(MP()._binarise(mask), mask)
