"""Pictures for masks are made once each, whoever asks, and none is waited for in vain."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from onnxplain.core.data import Images, Mask
from onnxplain.engine.fillings import CachedFill, FillingCache

MASKS = (np.random.default_rng(0).random((6, 4, 5)) > 0.5).astype(np.float32)


@dataclass
class Fill:
    """The mask itself as a picture; remembers what it was asked for."""

    asked: list[Mask] = field(default_factory=list)

    def __call__(self, masks: Mask) -> Images:
        self.asked.append(masks)
        return np.repeat(masks[..., None], 3, axis=-1) * np.float32(0.5)

    @property
    def n_asked(self) -> int:
        return sum(map(len, self.asked))


def kept(n_pictures: int = 100) -> FillingCache:
    """Room for so many pictures."""
    return FillingCache(n_pictures * 3 * MASKS[0].nbytes)


def expected(masks: Mask) -> Images:
    return Fill()(masks)


def test_a_mask_is_asked_once_within_a_call_and_across_calls() -> None:
    fill = Fill()
    painting = CachedFill(fill, kept())
    first = MASKS[[0, 1, 0, 2, 1]]
    then = MASKS[[2, 3, 0]]
    one, two = painting(first), painting(then)
    np.testing.assert_array_equal(one.images, expected(first))
    np.testing.assert_array_equal(two.images, expected(then))
    assert (one.n_made, two.n_made) == (3, 1)
    np.testing.assert_array_equal(np.concatenate(fill.asked), MASKS[[0, 1, 2, 3]])


def test_masks_that_differ_in_one_value_are_different() -> None:
    masks = np.repeat(MASKS[:1], 2, axis=0)
    masks[1, 3, 4] = 0.25
    np.testing.assert_array_equal(CachedFill(Fill(), kept())(masks).images, expected(masks))


def test_pictures_without_a_hole_do_not_count() -> None:
    masks = np.concatenate([np.zeros_like(MASKS[:1]), MASKS[:2]])
    found = CachedFill(Fill(), kept())(masks)
    assert found.n_made == 2
    np.testing.assert_array_equal(found.images, expected(masks))


def test_no_more_pictures_are_kept_than_told() -> None:
    fill = Fill()
    painting = CachedFill(fill, kept(2))
    painting(MASKS[:3])
    np.testing.assert_array_equal(painting(MASKS[:3]).images, expected(MASKS[:3]))
    assert fill.n_asked == 4  # the first was given up, the others were not
    np.testing.assert_array_equal(painting(MASKS).images, expected(MASKS))


def test_what_was_used_last_is_kept_whoever_asked_for_it() -> None:
    """One image has all the room, and shares it with those that come."""
    room, fill, other = kept(3), Fill(), Fill()
    one, two = CachedFill(fill, room), CachedFill(other, room)
    one(MASKS[:3])
    one(MASKS[:1])
    assert two(MASKS[:1]).n_made == 1  # gives up the second
    assert one(MASKS[[0, 2]]).n_made == 0
    assert one(MASKS[1:2]).n_made == 1
    assert (fill.n_asked, other.n_asked) == (4, 1)


def test_threads_that_ask_for_the_same_masks_share_one_making() -> None:
    fill = Fill()
    both_inside = threading.Barrier(2, timeout=10)

    def paint(masks: Mask) -> Images:
        both_inside.wait()  # each makes what the other waits for
        return fill(masks)

    painting = CachedFill(paint, kept())
    asked = MASKS[[0, 1]], MASKS[[2, 1, 0]]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(painting, asked, timeout=10)
    np.testing.assert_array_equal(first.images, expected(asked[0]))
    np.testing.assert_array_equal(second.images, expected(asked[1]))
    assert fill.n_asked == first.n_made + second.n_made == 3


def test_an_error_reaches_whoever_waits_for_the_picture() -> None:
    began, go_on = threading.Event(), threading.Event()

    def paint(masks: Mask) -> Images:
        began.set()
        assert go_on.wait(10)
        raise RuntimeError("out of paint")

    painting = CachedFill(paint, kept())
    with ThreadPoolExecutor(2) as pool:
        maker = pool.submit(painting, MASKS[:1])
        assert began.wait(10)
        waiting = pool.submit(painting, MASKS[:1])
        go_on.set()
        for future in (maker, waiting):
            with pytest.raises(RuntimeError, match="out of paint"):
                future.result(10)


def test_a_fill_that_makes_too_few_pictures_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"got \(5, 4, 5, 3\)"):
        CachedFill(lambda masks: expected(masks[1:]), kept())(MASKS)


def test_what_could_not_be_made_is_tried_again_when_it_is_asked_for_again() -> None:
    fill, broken = Fill(), [True]

    def paint(masks: Mask) -> Images:
        if broken.pop() if broken else False:
            raise MemoryError
        return fill(masks)

    room = kept(3)
    painting = CachedFill(paint, room)
    with pytest.raises(MemoryError):
        painting(MASKS[:2])
    np.testing.assert_array_equal(painting(MASKS[1:3]).images, expected(MASKS[1:3]))
    painting(MASKS[:1])
    assert painting(MASKS[:3]).n_made == 0  # those that failed take no room


def test_no_one_waits_for_ever_where_the_masks_cannot_be_gathered() -> None:
    class Unready(np.ndarray):
        def __getitem__(self, key: object) -> object:
            if not isinstance(key, list):
                return super().__getitem__(key)
            raise MemoryError

    painting = CachedFill(Fill(), kept())
    with pytest.raises(MemoryError):
        painting(MASKS[:2].view(Unready))
    np.testing.assert_array_equal(painting(MASKS[:2]).images, expected(MASKS[:2]))


def test_pictures_come_as_float32_and_of_the_size_of_the_masks() -> None:
    wide = CachedFill(lambda masks: Fill()(masks).astype(np.float64), kept())
    assert wide(MASKS[:2]).images.dtype == np.float32
    thin = CachedFill(lambda masks: Fill()(masks)[..., :1], kept())
    with pytest.raises(ValueError, match=r"expected shape \(2, 4, 5, 3\), got \(2, 4, 5, 1\)"):
        thin(MASKS[:2])
