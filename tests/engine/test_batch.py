"""Slices of one batch are answered together, and fail alone."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import pytest

from onnxplain.core.data import Case
from onnxplain.core.errors import GradientUnusable, ModelError, ScoreError
from onnxplain.core.flow import FillQuery, ImageQuery, MaskQuery
from onnxplain.core.inside import RuleTable, Tensors
from onnxplain.engine.batch import Call, answer_batch, choose_call
from onnxplain.engine.fillings import CachedFill, Filling, FillingCache
from onnxplain.engine.slices import Slice, SliceAnswer, SliceFailure
from onnxplain.masks.families import ArrayMasks
from tests.helpers.inside import add_softmax, open_convnet, open_model
from tests.helpers.models import convnet
from tests.helpers.nets import CurvedGradients, Net, ShiftedWhereRemoved, curved
from tests.helpers.specs import spec_of

RNG = np.random.default_rng(0)
SIZE = (6, 8)
WEIGHTS = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
CASES = [Case(f"photo{i}", RNG.random((*SIZE, 3), np.float32), i % 2) for i in range(3)]
MASKS = RNG.random((7, *SIZE), np.float32)
HOLES = (MASKS > 0.3).astype(np.float32)
IMAGES = RNG.random((7, *SIZE, 3), np.float32)
FREE = nullcontext()


def make_net(function=None):
    return Net(function or curved(WEIGHTS), SIZE, batch_size=100)


def make_picture_filling(case, value=0.5):
    picture = np.full_like(case.image, value)
    return Filling(picture, (case.image, picture))


def make_mask_filling(case):
    fill = ShiftedWhereRemoved().prepare(case.image, np.random.default_rng(0))
    return Filling(CachedFill(fill, FillingCache(2**20)), planes=None)


def compose(case, masks, fill):
    """Equation 1, one mask at a time."""
    pictures = [
        case.image * (1 - mask[..., None]) + f * mask[..., None]
        for mask, f in zip(masks, fill, strict=True)
    ]
    return np.array(pictures, np.float32)


def shift(case, holes):
    return [np.clip(case.image + hole.mean(), 0, 1) for hole in holes]


@dataclass
class BrokenMasks:
    """Masks of a plugin that cannot be rendered."""

    size: tuple[int, int] = SIZE

    def __len__(self) -> int:
        return 4

    def render(self, start, stop):
        raise RuntimeError("no masks today")


@pytest.mark.parametrize(
    ("query", "filling", "call"),
    [
        (FillQuery(ArrayMasks(MASKS)), make_picture_filling(CASES[0]), Call("fill")),
        (MaskQuery(ArrayMasks(MASKS)), make_picture_filling(CASES[0]), Call("masked_scores")),
        (MaskQuery(ArrayMasks(MASKS)), make_mask_filling(CASES[0]), Call("scores")),
        (ImageQuery(IMAGES), None, Call("scores")),
        (ImageQuery(IMAGES, grad=True, kind="logit"), None, Call("score_grads", "logit")),
    ],
)
def test_call_follows_from_the_query_and_its_filling(query, filling, call):
    assert choose_call(query, filling, make_net()) == call


def test_slices_of_masks_get_the_scores_of_their_own_masks():
    query = MaskQuery(ArrayMasks(MASKS))
    slices = [
        Slice(case, query, make_picture_filling(case), start, stop)
        for case, (start, stop) in zip(CASES, [(0, 3), (3, 4), (2, 7)], strict=True)
    ]
    net = make_net()
    answers = answer_batch(net, None, slices, FREE)
    assert net.calls == [9]
    for piece, answer in zip(slices, answers, strict=True):
        masks = MASKS[piece.start : piece.stop]
        pictures = compose(piece.case, masks, np.full((len(masks), *SIZE, 3), 0.5))
        np.testing.assert_allclose(answer.raw, curved(WEIGHTS)(pictures), rtol=1e-5)
        assert answer.grads is answer.images is None


def test_masks_whose_fill_depends_on_them_are_composed_by_equation_1_with_the_fill_of_the_hole():
    slices = [
        Slice(CASES[0], MaskQuery(ArrayMasks(MASKS)), make_mask_filling(CASES[0]), 1, 4),
        Slice(
            CASES[1],
            MaskQuery(ArrayMasks(MASKS), holes=ArrayMasks(HOLES)),
            make_mask_filling(CASES[1]),
            3,
            7,
        ),
        Slice(CASES[2], ImageQuery(IMAGES), None, 0, 2),
    ]
    net = make_net()
    first, second, third = answer_batch(net, None, slices, FREE)
    assert net.calls == [9]
    pictures = compose(CASES[0], MASKS[1:4], shift(CASES[0], MASKS[1:4]))
    np.testing.assert_allclose(first.raw, curved(WEIGHTS)(pictures), rtol=1e-5)
    pictures = compose(CASES[1], MASKS[3:7], shift(CASES[1], HOLES[3:7]))
    np.testing.assert_allclose(second.raw, curved(WEIGHTS)(pictures), rtol=1e-5)
    np.testing.assert_allclose(third.raw, curved(WEIGHTS)(IMAGES[:2]), rtol=1e-5)
    assert [first.effort.inpaints, second.effort.inpaints, third.effort.inpaints] == [3, 4, 0]


def test_fill_query_gets_the_fills_and_no_scores():
    query = FillQuery(ArrayMasks(HOLES))
    slices = [
        Slice(CASES[0], query, make_picture_filling(CASES[0], 0.25), 0, 2),
        Slice(CASES[1], query, make_mask_filling(CASES[1]), 2, 5),
    ]
    net = make_net()
    plain, shifted = answer_batch(net, None, slices, FREE)
    np.testing.assert_array_equal(plain.images, np.full((2, *SIZE, 3), 0.25, np.float32))
    np.testing.assert_allclose(shifted.images, shift(CASES[1], HOLES[2:5]), rtol=1e-6)
    assert plain.raw is shifted.raw is None
    assert (plain.effort.inpaints, shifted.effort.inpaints) == (0, 3)
    assert net.calls == []


@pytest.mark.parametrize("make_filling", [make_picture_filling, make_mask_filling])
@pytest.mark.parametrize("n_broken", [1, 3])
def test_slice_whose_masks_cannot_be_rendered_fails_alone(make_filling, n_broken):
    def make_slice(i, masks):
        return Slice(CASES[i], MaskQuery(masks), make_filling(CASES[i]), 0, 3)

    slices = [make_slice(0, BrokenMasks()), *(make_slice(i, ArrayMasks(MASKS)) for i in (1, 2))]
    if n_broken == 3:
        slices = [make_slice(i, BrokenMasks()) for i in range(3)]
    results = answer_batch(make_net(), None, slices, FREE)
    failed = [isinstance(result, SliceFailure) for result in results]
    assert failed == [True] * n_broken + [False] * (3 - n_broken)
    assert str(results[0].error) == "no masks today"
    for piece, answer in zip(slices[n_broken:], results[n_broken:], strict=True):
        (alone,) = answer_batch(make_net(), None, [piece], FREE)
        np.testing.assert_allclose(answer.raw, alone.raw, rtol=1e-6)


def test_classifier_that_fails_is_an_error_of_the_whole_batch():
    def fail(images):
        raise RuntimeError("no more memory")

    slices = [
        Slice(case, MaskQuery(ArrayMasks(MASKS)), make_picture_filling(case), 0, 3)
        for case in CASES
    ]
    with pytest.raises(RuntimeError, match="no more memory"):
        answer_batch(make_net(fail), None, slices, FREE)


def test_gradients_are_of_the_target_of_each_slice():
    query = ImageQuery(IMAGES, kind="log-odds", grad=True)
    slices = [Slice(CASES[0], query, None, 0, 2), Slice(CASES[1], query, None, 2, 7)]
    gradients = CurvedGradients(WEIGHTS)
    for piece, answer in zip(
        slices, answer_batch(make_net(), gradients, slices, FREE), strict=True
    ):
        images = IMAGES[piece.start : piece.stop]
        targets = np.full(len(images), piece.case.target)
        raw, grads = gradients.score_grads(images, targets, "log-odds")
        np.testing.assert_array_equal(answer.grads, grads)
        np.testing.assert_array_equal(answer.raw, raw)


def test_gradient_of_one_image_that_fails_is_the_failure_of_its_slice_alone():
    @dataclass
    class Gradients:
        calls: list[int] = field(default_factory=list)

        def score_grads(self, images, targets, kind):
            self.calls.append(len(images))
            if (images == IMAGES[3]).all(axis=(1, 2, 3)).any():
                raise ScoreError("d_score holds nan")
            return CurvedGradients(WEIGHTS).score_grads(images, targets, kind)

    query = ImageQuery(IMAGES, grad=True)
    bounds = [(0, 2), (2, 4), (4, 7)]
    slices = [Slice(case, query, None, *bound) for case, bound in zip(CASES, bounds, strict=True)]
    gradients = Gradients()
    first, broken, last = answer_batch(make_net(), gradients, slices, FREE)
    assert gradients.calls == [7, 2, 2, 3]
    assert isinstance(first, SliceAnswer)
    assert isinstance(last, SliceAnswer)
    assert last.grads.shape == (3, *SIZE, 3)
    assert isinstance(broken.error, GradientUnusable)
    assert str(broken.error) == "photo1: d_score holds nan"


def test_query_for_gradients_that_do_not_exist_fails():
    piece = Slice(CASES[0], ImageQuery(IMAGES, grad=True), None, 0, 2)
    (result,) = answer_batch(make_net(), None, [piece], FREE)
    assert isinstance(result.error, ModelError)


def test_time_of_fills_goes_to_their_slice_and_the_rest_by_length():
    slices = [
        Slice(CASES[0], MaskQuery(ArrayMasks(MASKS)), make_mask_filling(CASES[0]), 0, 2),
        Slice(CASES[1], ImageQuery(IMAGES), None, 0, 6),
    ]
    masks, images = (answer.effort for answer in answer_batch(make_net(), None, slices, FREE))
    assert masks.inpaint_seconds > 0
    assert images.inpaint_seconds == 0
    shared = masks.seconds - masks.inpaint_seconds
    assert images.seconds == pytest.approx(3 * shared)  # 6 items against 2


def test_turn_is_held_while_the_classifier_computes_and_not_while_masks_are_filled():
    turn, held = threading.Lock(), []

    def fill(masks):
        held.append(("fill", turn.locked()))
        return np.repeat(masks[..., None], 3, axis=-1)

    def score(images):
        held.append(("score", turn.locked()))
        return curved(WEIGHTS)(images)

    filling = Filling(CachedFill(fill, FillingCache(2**20)), planes=None)
    piece = Slice(CASES[0], MaskQuery(ArrayMasks(MASKS)), filling, 0, 3)
    answer_batch(make_net(score), None, [piece], turn)
    assert held == [("fill", False), ("score", True)]
    assert not turn.locked()


def test_queries_with_equal_wishes_share_a_call_and_are_reduced_by_themselves():
    """Two methods at one layer: one batch, two reductions, and one that fails alone."""
    classifier = open_convnet(SIZE)
    images = IMAGES[:3]
    wants = Tensors(classifier.find_layers("last"))

    def fail(values, grads):
        raise ValueError("no map today")

    queries = [
        ImageQuery(images, wants=wants),
        ImageQuery(images, wants=wants, reduce=lambda values, grads: (values * grads).sum(axis=1)),
        ImageQuery(images, wants=wants, reduce=fail),
    ]
    assert len({choose_call(query, None, classifier) for query in queries}) == 1
    pieces = [Slice(CASES[1], query, None, 0, 3) for query in queries]
    plain, reduced, failed = answer_batch(classifier, None, pieces, FREE)
    assert plain.layers[0].shape[:3] == (3, 2, 8)
    values, grads = plain.layers[0][:, 0], plain.layers[0][:, 1]
    assert reduced.layers[0].shape == values.shape[:1] + values.shape[2:]
    np.testing.assert_allclose(reduced.layers[0], (values * grads).sum(axis=1), rtol=1e-5)
    assert isinstance(failed, SliceFailure)


def test_classifiers_without_layers_are_refused_and_plain_gradients_go_the_old_way():
    net = make_net()
    inner = ImageQuery(IMAGES, wants=Tensors(image=True, rules=RuleTable("guided")))
    assert choose_call(inner, None, net) == Call("look_inside", wants=inner.wants)
    (answer,) = answer_batch(net, None, [Slice(CASES[0], inner, None, 0, 2)], FREE)
    assert "this one has no layers" in str(answer.error)
    plain = ImageQuery(IMAGES, wants=Tensors(image=True, score="logit"), kind="logit")
    assert choose_call(plain, None, net) == Call("score_grads", "logit")


@pytest.mark.parametrize("grad", [True, False])
def test_scores_of_logits_are_looked_for_inside_models_of_probabilities(grad):
    model = add_softmax(convnet(SIZE, classes=3))
    classifier = open_model(model, spec_of(size=SIZE, classes=3, head="probabilities"))
    query = ImageQuery(IMAGES, kind="raw", grad=grad)
    call = choose_call(query, None, classifier)
    assert call == Call("look_inside", wants=Tensors(image=grad))
    masked = MaskQuery(ArrayMasks(MASKS), kind="raw")
    assert choose_call(masked, make_picture_filling(CASES[0]), classifier).name == "look_inside"
    logits = open_model(convnet(SIZE, classes=3), spec_of(size=SIZE, classes=3))
    (answer,) = answer_batch(classifier, None, [Slice(CASES[0], query, None, 0, 7)], FREE)
    np.testing.assert_allclose(answer.logits, logits.scores(IMAGES), rtol=1e-4, atol=1e-5)
    assert choose_call(masked, make_picture_filling(CASES[0]), logits).name == "masked_scores"
