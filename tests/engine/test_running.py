"""A job under way: its queries are checked, and its flows go on or fail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from onnxplain.core.data import Case
from onnxplain.core.errors import GradientUnusable, ScoreError
from onnxplain.core.flow import FillQuery, ImageQuery, MaskQuery
from onnxplain.engine.fillings import FillingCache
from onnxplain.engine.jobs import Job
from onnxplain.engine.running import RunningJob, check_values, normalise_query
from onnxplain.engine.slices import Effort, SliceAnswer, SliceFailure
from onnxplain.masks.families import ArrayMasks
from tests.helpers.nets import Net, Picture, ShiftedWhereRemoved, additive

SIZE = (4, 6)
IMAGE = np.random.default_rng(0).random((*SIZE, 3), np.float32)
CASE = Case("photo", IMAGE, 1)
MASKS = np.random.default_rng(1).random((5, *SIZE), np.float32)
NET = Net(additive(np.ones((*SIZE, 3), np.float32)), SIZE)


def start(flow, *, fill=None, cases=(CASE,), advice=""):
    flows = flow if isinstance(flow, tuple) else (flow,)
    job = Job(cases, flows, fill or Picture(0.5), advice=advice)
    return RunningJob(job, NET, FillingCache(2**20))


def ask(*queries):
    """A flow that returns the replies to its queries."""
    replies = []
    for query in queries:
        replies.append((yield query))  # noqa: PERF401
    return replies


def answer(piece, value=0.25, **effort):
    raw = np.tile(np.array([1 - value, value], np.float32), (len(piece), 1))
    return SliceAnswer(raw, effort=Effort(**effort))


def test_query_is_taken_in_slices_and_replied_when_all_are_answered_in_any_order():
    running = start(ask(MaskQuery(ArrayMasks(MASKS))))
    first, second = running.take(3), running.take(9)
    assert [(piece.start, piece.stop) for piece in (first, second)] == [(0, 3), (3, 5)]
    assert running.n_waiting == 0
    running.receive(second, answer(second, 0.75, inpaints=1, seconds=2.0))
    assert running.open_query is not None
    running.receive(first, answer(first, 0.25, inpaints=2, seconds=1.0))
    assert running.open_query is None
    outcome = running.make_outcome()
    ((reply,),) = outcome.values
    np.testing.assert_array_equal(reply.scores, [0.25, 0.25, 0.25, 0.75, 0.75])
    assert (outcome.evaluations, outcome.effort) == (5, Effort(3, 0, 3.0))
    assert outcome.error is None


def test_each_flow_gets_the_scores_of_its_own_target():
    query = MaskQuery(ArrayMasks(MASKS))
    running = start((ask(query), ask(query)), cases=(replace(CASE, target=0), CASE))
    piece = running.take(5)
    running.receive(piece, answer(piece, 0.25))
    (first,), (second,) = running.make_outcome().values
    np.testing.assert_array_equal(first.scores, [0.75] * 5)
    np.testing.assert_array_equal(second.scores, [0.25] * 5)


def test_flow_that_asks_nothing_has_ended_at_once():
    outcome = start(ask()).make_outcome()
    assert (outcome.values, outcome.evaluations) == (([],), 0)


def test_failure_of_a_slice_ends_the_job_and_closes_its_flow():
    closed = []

    def flow():
        try:
            yield MaskQuery(ArrayMasks(MASKS))
        finally:
            closed.append(True)

    running = start(flow())
    first, second = running.take(2), running.take(2)
    error = ValueError("odd")
    running.receive(first, SliceFailure(error))
    running.receive(second, answer(second))  # too late
    outcome = running.make_outcome()
    assert closed == [True]
    assert outcome.error is error
    assert (outcome.values, outcome.evaluations) == ((), 0)


def test_flow_that_catches_a_failure_goes_on_and_gets_no_late_answers():
    """As a flow of several metrics does when one of them cannot be measured."""

    def flow():
        caught = []
        for query in (MaskQuery(ArrayMasks(MASKS)), FillQuery(ArrayMasks(MASKS), Broken())):
            try:
                yield query
            except ValueError as error:
                caught.append(error)
        reply = yield MaskQuery(ArrayMasks(MASKS[:2]))
        return caught, reply.scores.tolist()

    running = start(flow())
    first, second = running.take(2), running.take(2)
    error = ValueError("odd")
    running.receive(first, SliceFailure(error))
    running.receive(second, answer(second, 0.9))  # too late: another query is open
    piece = running.take(9)
    assert (piece.start, piece.stop) == (0, 2)
    running.receive(piece, answer(piece, 0.25))
    outcome = running.make_outcome()
    assert outcome.error is None
    (((caught, cannot), scores),) = outcome.values
    assert (caught, str(cannot), scores) == (error, "broken", [0.25, 0.25])
    assert outcome.evaluations == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (GradientUnusable("photo: nan"), "photo: nan; explain it with scores alone: mp2 with ..."),
        (ScoreError("photo: nan"), "photo: nan"),
    ],
)
def test_advice_of_the_job_ends_errors_about_gradients_alone(error, text):
    advice = "explain it with scores alone: mp2 with ..."
    running = start(ask(ImageQuery(IMAGE[None])), advice=advice)
    running.receive(running.take(1), SliceFailure(error))
    assert type(running.error) is type(error)
    assert str(running.error) == text


def test_error_in_a_later_flow_fails_the_job():
    def broken():
        raise RuntimeError("odd")
        yield

    query = MaskQuery(ArrayMasks(MASKS))
    assert str(start((ask(query), broken()), cases=(CASE, CASE)).error) == "odd"


@dataclass(frozen=True)
class Broken:
    """A fill that cannot be prepared."""

    def prepare(self, image, rng):
        raise ValueError("broken")


@dataclass(frozen=True)
class Noise:
    """A fill that draws, and counts how often it is prepared."""

    prepared: list[np.ndarray]

    def __hash__(self):
        return 1

    def prepare(self, image, rng):
        self.prepared.append(rng.random(image.shape, np.float32))
        return self.prepared[-1]


def test_jobs_about_one_image_share_its_fill_while_one_of_them_lives():
    fill, cache, query = Noise([]), FillingCache(2**20), MaskQuery(ArrayMasks(MASKS))

    def start_job(case, seed=0):
        return RunningJob(Job((case,), (ask(query),), fill, seed), NET, cache)

    jobs = [start_job(replace(CASE, target=target)) for target in (0, 1)]
    first, second = (job.take(1).filling for job in jobs)
    assert first is second
    assert len(fill.prepared) == 1
    others = [start_job(replace(CASE, name="other")), start_job(CASE, 1)]
    others.append(start_job(replace(CASE, image=IMAGE.copy())))
    assert len(fill.prepared) == 4
    assert not any(job.take(1).filling is first for job in others)
    del jobs, others, first, second
    start_job(CASE)
    assert len(fill.prepared) == 5


def test_fill_is_prepared_once_for_all_queries_of_a_job():
    fill = Noise([])
    query = MaskQuery(ArrayMasks(MASKS))
    running = start(ask(query, query), fill=fill)
    first = running.take(5)
    running.receive(first, answer(first))
    second = running.take(5)
    assert first.filling is second.filling
    assert len(fill.prepared) == 1


def test_noise_prepared_again_after_other_fills_is_the_same():
    fill = Noise([])
    fills = [None, *(Picture(value / 10) for value in range(6)), None]
    queries = [MaskQuery(ArrayMasks(MASKS), fill=other) for other in fills]
    running = start(ask(*queries), fill=fill)
    for _ in queries:
        piece = running.take(5)
        running.receive(piece, answer(piece))
    first, second = fill.prepared
    np.testing.assert_array_equal(first, second)


def test_fill_that_depends_on_the_mask_has_no_planes():
    assert start(ask(FillQuery(MASKS)), fill=ShiftedWhereRemoved()).take(1).filling.planes is None


def test_fill_of_another_size_is_refused():
    class Small:
        def prepare(self, image, rng):
            return image[:2]

    running = start(ask(MaskQuery(MASKS)), fill=Small())
    assert "Small: a fill is a picture of the image's size, (4, 6, 3)" in str(running.error)


@pytest.mark.parametrize(
    ("query", "error", "text"),
    [
        (MaskQuery(ArrayMasks(MASKS[:0])), ValueError, "MaskQuery needs at least one mask"),
        (
            ImageQuery(IMAGE[None][:0]),
            ValueError,
            "ImageQuery needs at least one mask",
        ),
        (FillQuery(ArrayMasks(MASKS[:0])), ValueError, "FillQuery needs at least one mask"),
        (MASKS, TypeError, "an ImageQuery, a TailQuery or a FillQuery, got ndarray"),
        (MaskQuery(MASKS[:, :3]), ValueError, "masks of the case's size, 4 x 6, got 3 x 6"),
        (ImageQuery(IMAGE), ValueError, r"case's size, \(N, 4, 6, 3\), got \(4, 6, 3\)"),
        (ImageQuery(IMAGE[None, 1:]), ValueError, r"got \(1, 3, 6, 3\)"),
        (MaskQuery(MASKS, fill="blur"), TypeError, r"is a Fill, such as Blur\(\), got 'blur'"),
    ],
)
def test_wrong_query_is_refused_with_the_reason(query, error, text):
    with pytest.raises(error, match=text):
        normalise_query(query, CASE)


def test_masks_as_an_array_and_images_of_float64_are_converted():
    masks = normalise_query(MaskQuery(MASKS.astype(np.float64)), CASE).masks
    np.testing.assert_array_equal(masks.render(1, 3), MASKS[1:3])
    images = normalise_query(ImageQuery(IMAGE[None].astype(np.float64)), CASE).images
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[0], IMAGE)


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")]
)
def test_scores_that_are_not_finite_are_refused_with_the_image(value, word):
    raw = np.array([[0.5, 0.5], [0.5, value]], np.float32)
    with pytest.raises(ScoreError, match=f"^photo: the classifier returned {word} scores"):
        check_values(SliceAnswer(raw), "photo", "logits")


def test_gradient_that_is_not_finite_is_refused_with_its_place():
    grads = np.zeros((3, *SIZE, 3), np.float32)
    grads[1, 2, 5, 2] = -np.inf
    with pytest.raises(GradientUnusable, match=r"^photo: .* is -inf at row 2, column 5, blue$"):
        check_values(SliceAnswer(np.zeros((3, 2)), grads), "photo", "logits")


def test_finite_scores_and_gradients_are_accepted():
    grads = np.zeros((3, *SIZE, 3), np.float32)
    check_values(SliceAnswer(np.full((3, 2), -1e30), grads), "photo", "logits")


@pytest.mark.parametrize("value", [2.5, -0.5])
def test_probabilities_out_of_range_are_refused_in_every_answer(value):
    running = start(ask(MaskQuery(ArrayMasks(MASKS))))
    first, second = running.take(3), running.take(2)
    running.receive(first, answer(first))
    running.receive(second, answer(second, value))
    assert isinstance(running.error, ScoreError)
    low, high = sorted((value, 1 - value))
    assert str(running.error).startswith(
        f"photo: the classifier's probabilities lie in [{low:g}, {high:g}]"
    )


def test_logits_may_lie_anywhere():
    check_values(SliceAnswer(np.array([[-3.0, 2.5]])), "photo", "logits")
