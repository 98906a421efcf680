"""Flows that share batches get the replies that they would get alone."""

import threading
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.core.data import Attribution, Case, make_rng
from onnxplain.core.errors import ModelError, ScoreError
from onnxplain.core.flow import FillQuery, ImageQuery, MaskQuery, start_flow
from onnxplain.engine.run import Job, collect_values, make_jobs, run
from onnxplain.masks.families import ArrayMasks, PatchMasks, UnionMasks
from onnxplain.methods import LIME, MP2, RISE, SP
from onnxplain.runtime import from_callable
from tests.helpers.nets import CurvedGradients, Net, Picture, ShiftedWhereRemoved, curved
from tests.reference import driver

RNG = np.random.default_rng(3)
SIZE = (18, 22)
WEIGHTS = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
IMAGES = RNG.random((5, *SIZE, 3), np.float32)


@dataclass(frozen=True)
class Greedy:
    """Asks about a few masks at a time, which depend on the previous scores."""

    name: ClassVar[str] = "greedy"
    adaptive: ClassVar[bool] = True

    def evaluations(self, size):
        return 16

    def flow(self, case, rng):
        at, heatmap = np.zeros(2, np.int64), np.zeros(case.size, np.float32)
        for _ in range(3):
            corners = at + rng.integers(-4, 5, (5, 2))
            reply = yield MaskQuery(PatchMasks(corners, 7, case.size), kind="log-odds")
            at = corners[reply.scores.argmin()]
            heatmap[max(at[0], 0), max(at[1], 0)] += float(reply.scores.min())
        where = ArrayMasks((heatmap > 0).astype(np.float32)[None])
        filled = (yield FillQuery(where)).images
        reply = yield ImageQuery(filled[:, ::-1])
        return Attribution(heatmap + np.float32(reply.scores[0]))


@dataclass(frozen=True)
class Descent:
    """Follows the gradient."""

    name: ClassVar[str] = "descent"
    adaptive: ClassVar[bool] = True

    def evaluations(self, size):
        return 6

    def flow(self, case, rng):
        images = case.image + rng.random((2, *case.image.shape), np.float32) * 0.1
        for _ in range(3):
            reply = yield ImageQuery(images, kind="log-odds", grad=True)
            images = images - 0.1 * reply.grads
        return Attribution(images.sum(axis=(0, 3)))


@dataclass(frozen=True)
class Sharing:
    """Patches that are filled as if a whole block of patches were removed."""

    name: ClassVar[str] = "sharing"
    adaptive: ClassVar[bool] = False

    def evaluations(self, size):
        return 9

    def flow(self, case, rng):
        corners = np.stack(np.indices((3, 3)), axis=-1).reshape(-1, 2) * 6
        patches = PatchMasks(corners, 4, case.size)
        holes = UnionMasks(patches, np.arange(9) // 4)
        reply = yield MaskQuery(patches, holes=holes)
        return Attribution(np.resize(reply.scores, case.size).astype(np.float32))


METHODS = [
    SP(patch=5, stride=4),
    LIME(n_samples=9, n_segments=4),
    RISE(n_masks=13, grid=3),
    Greedy(),
    Descent(),
    Sharing(),
]
GRADIENTS = CurvedGradients(WEIGHTS)
FILLS = [Picture(0.5), ShiftedWhereRemoved()]


def make_job(i, method, fill, target=1, seed=0):
    case = Case(f"photo{i}", IMAGES[i], target)
    return Job((case,), (start_flow(method, case, seed),), fill, seed)


@settings(deadline=None, max_examples=40)
@given(
    batch_size=st.integers(1, 9),
    workers=st.integers(1, 3),
    live=st.integers(1, 6),
    picks=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(METHODS), st.sampled_from(FILLS)),
        min_size=1,
        max_size=7,
    ),
)
def test_flows_that_share_batches_get_the_results_of_an_unbatched_driver(
    batch_size, workers, live, picks
):
    net = Net(curved(WEIGHTS), SIZE, batch_size=batch_size, workers=workers)
    jobs = [make_job(i, method, fill) for i, method, fill in picks]
    outcomes = {outcome.job: outcome for outcome in run(net, jobs, gradients=GRADIENTS, live=live)}
    assert max(net.calls, default=0) <= batch_size
    by_gradient = sum(isinstance(method, Descent) * 6 for _, method, _ in picks)
    assert sum(net.calls) + by_gradient == sum(outcome.evaluations for outcome in outcomes.values())
    for job, (i, method, fill) in zip(jobs, picks, strict=True):
        outcome = outcomes[job]
        plain = make_job(i, method, fill)
        expected = driver.run(
            Net(curved(WEIGHTS), SIZE), plain.cases[0], plain.flows[0], fill, gradients=GRADIENTS
        )
        assert outcome.evaluations == method.evaluations(SIZE)
        # float32 scores of an image differ in the last digit between batch sizes
        np.testing.assert_allclose(
            outcome.values[0].heatmap, expected.heatmap, rtol=1e-5, atol=1e-6
        )


def test_batches_are_full_if_many_flows_each_ask_little():
    net = Net(curved(WEIGHTS), SIZE, batch_size=8)
    list(run(net, [make_job(i % 5, Greedy(), FILLS[0]) for i in range(16)]))
    assert sum(net.calls) == 16 * 16
    assert np.mean(net.calls[:20]) >= 7.5


def test_targets_share_the_evaluations_of_a_method_that_is_not_adaptive():
    net = Net(curved(WEIGHTS), SIZE)
    method = SP(patch=5, stride=4)
    cases = [Case("photo0", IMAGES[0], target) for target in (0, 1)]
    (together,) = run(net, make_jobs(method, cases, FILLS[0], 0))
    assert sum(net.calls) == method.evaluations(SIZE)
    for target in (0, 1):
        (alone,) = run(net, [make_job(0, method, FILLS[0], target)])
        np.testing.assert_array_equal(together.values[target].heatmap, alone.values[0].heatmap)


def test_progress_counts_every_evaluation_once():
    counts = []
    net = Net(curved(WEIGHTS), SIZE, batch_size=5, workers=2)
    jobs = [make_job(i, METHODS[i % 4], FILLS[0]) for i in range(5)]
    list(run(net, jobs, on_progress=lambda evaluations, _: counts.append(evaluations)))
    assert sum(counts) == sum(METHODS[i % 4].evaluations(SIZE) for i in range(5))


def test_masks_in_the_same_hole_share_one_inpaint_and_progress_counts_it():
    progress = []
    net = Net(curved(WEIGHTS), SIZE, batch_size=2, workers=2)
    jobs = [make_job(0, Sharing(), FILLS[1])]
    (outcome,) = run(net, jobs, on_progress=lambda *counts: progress.append(counts))
    assert outcome.effort.inpaints == 3  # blocks of 4, 4 and 1 patches
    assert np.sum(progress, axis=0).tolist() == [9, 3]
    assert 0 < outcome.effort.inpaint_seconds < outcome.effort.seconds
    assert 0 < outcome.effort.inpaint_share < 1


@pytest.mark.parametrize(("fill", "expected"), [(FILLS[1], 4), (FILLS[0], 0)])
def test_fill_queries_count_as_inpaints_only_if_the_fill_depends_on_the_mask(fill, expected):
    masks = ArrayMasks(np.random.default_rng(3).random((4, *SIZE), np.float32))

    def flow():
        first = yield FillQuery(masks)
        again = yield FillQuery(masks)
        np.testing.assert_array_equal(first.images, again.images)

    progress = []
    jobs = [Job((Case("photo0", IMAGES[0], 1),), (flow(),), fill)]
    net = Net(curved(WEIGHTS), SIZE)
    (outcome,) = run(net, jobs, on_progress=lambda *counts: progress.append(counts))
    assert outcome.error is None
    assert outcome.effort.inpaints == expected
    assert np.sum(progress, axis=0).tolist() == [0, expected]


@dataclass(frozen=True)
class Broken:
    def prepare(self, image, rng):
        if image[0, 0, 0] == IMAGES[1, 0, 0, 0]:
            raise ValueError("this fill cannot do photo1")
        return image


def collect_errors(outcomes):
    return {outcome.job.cases[0].name: outcome.error for outcome in outcomes}


def test_job_that_fails_does_not_stop_the_others():
    net = Net(curved(WEIGHTS), SIZE)
    errors = collect_errors(run(net, [make_job(i, METHODS[1], Broken()) for i in range(3)]))
    assert isinstance(errors["photo1"], ValueError)
    assert errors["photo0"] is errors["photo2"] is None


def test_scores_that_are_not_finite_fail_their_job_and_name_the_image():
    def function(images):
        scores = np.array(curved(WEIGHTS)(images))
        scores[(images == IMAGES[1]).all(axis=(1, 2, 3))] = np.nan
        return scores

    jobs = [make_job(i, METHODS[0], FILLS[0]) for i in range(3)]
    errors = collect_errors(run(Net(function, SIZE), jobs))
    assert isinstance(errors["photo1"], ScoreError)
    assert "photo1" in str(errors["photo1"])
    assert "NaN" in str(errors["photo1"])
    assert errors["photo0"] is errors["photo2"] is None


@pytest.mark.parametrize("raises", [False, True])
def test_gradients_that_are_not_finite_fail_their_job_and_name_image_and_value(raises):
    """The gradients raise an error, as those of ONNX graphs do, or just hold NaN."""

    @dataclass(frozen=True)
    class Gradients:
        def score_grads(self, images, targets, kind):
            raw, grads = CurvedGradients(WEIGHTS).score_grads(images, targets, kind)
            bad = (images == IMAGES[1]).all(axis=(1, 2, 3))
            if raises and bad.any():
                raise ScoreError(f"d_score of image {bad.argmax()} holds nan, first at node 'sqrt'")
            grads[bad, 2, 3, 1] = np.nan
            return raw, grads

    method = MP2(grid=4, gain="gradient", chance=1e-6, max_area=0.5)
    cases = [Case(f"photo{i}", IMAGES[i], 1) for i in range(3)]
    jobs = make_jobs(method, cases, FILLS[0], 0)
    errors = collect_errors(run(Net(curved(WEIGHTS), SIZE), jobs, gradients=Gradients()))
    assert isinstance(errors["photo1"], ScoreError)
    where = (
        "d_score of image 0 holds nan, first at node 'sqrt'"
        if raises
        else "the gradient with respect to the image is nan at row 2, column 3, green"
    )
    advice = "explain it with scores alone: mp2 with gain=difference"
    assert str(errors["photo1"]) == f"photo1: {where}; {advice}"
    assert errors["photo0"] is errors["photo2"] is None


def test_classifier_that_cannot_run_closes_every_flow_that_has_begun():
    begun, closed = [], []

    def flow(case):
        begun.append(case.name)
        try:
            yield MaskQuery(ArrayMasks(np.zeros((4, *SIZE), np.float32)))
        finally:
            closed.append(case.name)

    def function(images):
        raise RuntimeError("no more memory")

    cases = [Case(f"photo{i}", IMAGES[i], 1) for i in range(3)]
    jobs = [Job((case,), (flow(case),), FILLS[0]) for case in cases]
    with pytest.raises(RuntimeError, match="no more memory"):
        list(run(Net(function, SIZE), jobs))
    assert sorted(closed) == begun
    assert begun[0] == "photo0"


def test_workers_score_side_by_side():
    meeting = threading.Barrier(2, timeout=10)

    def function(images):
        meeting.wait()  # returns only if two calls are inside at once
        return curved(WEIGHTS)(images)

    net = Net(function, SIZE, batch_size=2, workers=2)
    (outcome,) = run(net, [make_job(0, LIME(n_samples=8, n_segments=4), FILLS[0])])
    assert outcome.error is None


def test_method_that_asks_for_gradients_that_do_not_exist_fails():
    (outcome,) = run(Net(curved(WEIGHTS), SIZE), [make_job(0, Descent(), FILLS[0])])
    assert isinstance(outcome.error, ModelError)
    assert "asks for gradients and this classifier has none" in str(outcome.error)


def test_targets_of_an_adaptive_method_share_the_fills_of_their_image():
    net = Net(curved(WEIGHTS), SIZE)
    photo = IMAGES[0]
    cases = [Case("photo", photo, target) for target in (0, 1)]
    fill = ShiftedWhereRemoved()

    def make_hole_jobs(cases):
        return [Job((case,), (ask_about_holes(case),), fill) for case in cases]

    assert sum(outcome.effort.inpaints for outcome in run(net, make_hole_jobs(cases))) == 3
    cases.append(replace(cases[0], name="other"))
    assert sum(outcome.effort.inpaints for outcome in run(net, make_hole_jobs(cases))) == 6


def ask_about_holes(case):
    masks = np.zeros((3, *case.size), np.float32)
    for i, mask in enumerate(masks):
        mask[i : i + 4, :5] = 1
    reply = yield MaskQuery(ArrayMasks(masks))
    return reply.scores


def test_next_batch_is_filled_while_the_classifier_computes_one_call_at_a_time():
    computing, filled, inside = threading.Event(), threading.Event(), threading.Lock()
    n_filled, scored = count(1), []

    @dataclass(frozen=True)
    class Second:
        """Fills the second batch while the classifier computes the first."""

        def prepare(self, image, rng):
            def fill_masks(masks):
                if next(n_filled) == 2:
                    assert computing.wait(10)
                    filled.set()
                return np.repeat(1 - image[None], len(masks), axis=0)

            return fill_masks

    def scores(images):
        assert inside.acquire(blocking=False), "two calls at a time"
        if not scored:
            computing.set()
            scored.append(filled.wait(10))
        inside.release()
        return curved(WEIGHTS)(images)

    net = Net(scores, SIZE, batch_size=2, workers=1)
    (outcome,) = run(net, [make_job(0, SP(patch=5, stride=4), Second())])
    assert outcome.error is None
    assert scored == [True]


def test_results_do_not_depend_on_what_else_runs():
    net = Net(curved(WEIGHTS), SIZE)
    method = RISE(n_masks=20, grid=3)
    (alone,) = run(net, [make_job(2, method, FILLS[0])])
    together = list(run(net, [make_job(i, method, FILLS[0]) for i in (4, 2, 1)]))
    same = next(outcome for outcome in together if outcome.job.cases[0].name == "photo2")
    np.testing.assert_allclose(same.values[0].heatmap, alone.values[0].heatmap, rtol=1e-5)


def test_reply_holds_all_classes_only_if_the_query_asks_for_them():
    masks = ArrayMasks(np.random.default_rng(3).random((7, *SIZE), np.float32))

    def flow():
        plain = yield MaskQuery(masks)
        full = yield MaskQuery(masks, classes=True)
        return plain, full

    case = Case("photo0", IMAGES[0], 1)
    (outcome,) = run(Net(curved(WEIGHTS), SIZE), [Job((case,), (flow(),), FILLS[0])])
    ((plain, full),) = outcome.values
    assert plain.classes is None
    np.testing.assert_allclose(full.classes[:, 1], full.scores, rtol=1e-6)
    np.testing.assert_allclose(full.classes.sum(axis=1), 1, rtol=1e-6)


def test_first_image_is_scored_while_the_next_is_read():
    scored = threading.Event()

    def function(images):
        scored.set()
        return curved(WEIGHTS)(images)

    def jobs():
        for i in range(3):
            assert i == 0 or scored.wait(30)
            case = Case(str(i), IMAGES[i], 1)
            yield Job((case,), (METHODS[0].flow(case, make_rng(0)),), FILLS[0])

    outcomes = list(run(Net(function, SIZE, batch_size=4), jobs()))
    assert [outcome.error for outcome in outcomes] == [None] * 3


class OddMasks:
    """Masks of another package that cannot be rendered, or are too few when rendered."""

    size = SIZE

    def __init__(self, fault):
        self.fault = fault

    def __len__(self):
        return 3

    def render(self, start, stop):
        if self.fault == "raises":
            raise RuntimeError("no masks today")
        return np.zeros((1, *SIZE), np.float32)


def ask(query):
    yield query
    return "done"


@pytest.mark.parametrize("fill", [Picture(0.5), ShiftedWhereRemoved()])
@pytest.mark.parametrize(
    ("fault", "message"), [("raises", "no masks today"), ("fewer", r"render\(0, 3\) must return")]
)
def test_masks_that_cannot_be_rendered_fail_their_job_alone(fill, fault, message):
    net, case = from_callable(curved(WEIGHTS), size=SIZE, n_classes=2), Case("photo", IMAGES[0], 1)
    fine = ArrayMasks(np.ones((3, *SIZE), np.float32))
    jobs = [Job((case,), (ask(MaskQuery(masks)),), fill) for masks in (fine, OddMasks(fault), fine)]
    outcomes = {outcome.job: outcome for outcome in run(net, jobs)}
    first, broken, last = (outcomes[job] for job in jobs)
    assert first.values == last.values == ("done",)
    with pytest.raises((RuntimeError, ValueError), match=message):
        raise broken.error


@pytest.mark.parametrize(
    "query",
    [
        MaskQuery(ArrayMasks(np.ones((0, *SIZE), np.float32))),
        ImageQuery(np.ones((0, *SIZE, 3), np.float32)),
        FillQuery(ArrayMasks(np.ones((0, *SIZE), np.float32))),
    ],
    ids=lambda query: type(query).__name__,
)
def test_empty_query_fails_its_job(query):
    job = Job((Case("photo", IMAGES[0], 1),), (ask(query),), Picture(0.5))
    (outcome,) = run(Net(curved(WEIGHTS), SIZE), [job])
    with pytest.raises(ValueError, match="at least one mask or image, got none"):
        raise outcome.error


def test_flow_that_raises_when_stopped_and_target_out_of_range_fail_alone():
    def stubborn():
        try:
            yield ImageQuery(np.ones((1, 2, 2, 3), np.float32))
        finally:
            raise RuntimeError("not now")

    net = Net(curved(WEIGHTS), SIZE)
    fine = ArrayMasks(np.ones((3, *SIZE), np.float32))
    case = Case("photo", IMAGES[0], 1)
    jobs = [
        Job((case,), (stubborn(),), Picture(0.5)),
        Job((replace(case, target=9),), (ask(MaskQuery(fine)),), Picture(0.5)),
        Job((case,), (ask(MaskQuery(fine)),), Picture(0.5)),
    ]
    outcomes = {outcome.job: outcome for outcome in run(net, jobs)}
    assert isinstance(outcomes[jobs[0]].error, ValueError)
    assert isinstance(outcomes[jobs[1]].error, IndexError)
    assert outcomes[jobs[2]].values == ("done",)


def test_values_of_all_jobs_are_collected_in_order():
    net = Net(curved(WEIGHTS), SIZE)
    case = Case("photo", IMAGES[0], 1)

    def count_down(n):
        for _ in range(n):
            yield MaskQuery(ArrayMasks(np.ones((1, *SIZE), np.float32)))
        return n

    jobs = [Job((case,), (count_down(n),), FILLS[0]) for n in (5, 1, 3)]
    assert collect_values(net, jobs) == [5, 1, 3]


def test_collecting_raises_the_error_of_the_first_job_that_failed():
    net = Net(curved(WEIGHTS), SIZE)
    case = Case("photo", IMAGES[0], 1)

    def fail(message):
        raise RuntimeError(message)
        yield

    jobs = [Job((case,), (fail(message),), FILLS[0]) for message in ("first", "second")]
    with pytest.raises(RuntimeError, match="first"):
        collect_values(net, jobs)
