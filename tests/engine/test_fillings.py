"""The picture of each mask is made once for all callers, and no caller waits in vain."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from onnxplain.core.data import Images, Mask
from onnxplain.engine.fillings import MAX_FILLS, CachedFill, FillingCache

MASKS = (np.random.default_rng(0).random((6, 4, 5)) > 0.5).astype(np.float32)


@dataclass
class Fill:
    """Turns the mask itself into a picture; remembers the masks."""

    asked: list[Mask] = field(default_factory=list)

    def __call__(self, masks: Mask) -> Images:
        self.asked.append(masks)
        return np.repeat(masks[..., None], 3, axis=-1) * np.float32(0.5)

    @property
    def n_asked(self) -> int:
        return sum(map(len, self.asked))


def make_cache(n_pictures: int = 100) -> FillingCache:
    """Make a cache for this number of pictures."""
    return FillingCache(n_pictures * 3 * MASKS[0].nbytes)


def paint(masks: Mask) -> Images:
    return Fill()(masks)


def test_each_mask_is_filled_once_within_a_call_and_across_calls() -> None:
    fill = Fill()
    cached = CachedFill(fill, make_cache())
    first = MASKS[[0, 1, 0, 2, 1]]
    then = MASKS[[2, 3, 0]]
    filled, filled_again = cached(first), cached(then)
    np.testing.assert_array_equal(filled.images, paint(first))
    np.testing.assert_array_equal(filled_again.images, paint(then))
    assert (filled.n_made, filled_again.n_made) == (3, 1)
    np.testing.assert_array_equal(np.concatenate(fill.asked), MASKS[[0, 1, 2, 3]])


def test_masks_that_differ_in_one_value_are_filled_separately() -> None:
    masks = np.repeat(MASKS[:1], 2, axis=0)
    masks[1, 3, 4] = 0.25
    np.testing.assert_array_equal(CachedFill(Fill(), make_cache())(masks).images, paint(masks))


def test_masks_without_a_hole_do_not_count_as_made() -> None:
    masks = np.concatenate([np.zeros_like(MASKS[:1]), MASKS[:2]])
    filled = CachedFill(Fill(), make_cache())(masks)
    assert filled.n_made == 2
    np.testing.assert_array_equal(filled.images, paint(masks))


def test_cache_keeps_no_more_pictures_than_its_capacity() -> None:
    fill = Fill()
    cached = CachedFill(fill, make_cache(2))
    cached(MASKS[:3])
    np.testing.assert_array_equal(cached(MASKS[:3]).images, paint(MASKS[:3]))
    assert fill.n_asked == 4  # only the first was dropped
    np.testing.assert_array_equal(cached(MASKS).images, paint(MASKS))


def test_pictures_that_are_dropped_do_not_stay_alive_by_those_that_are_kept() -> None:
    cache, fill = make_cache(1), Fill()
    sizes: list[int] = []

    def fill_and_watch(masks: Mask) -> Images:
        pictures = fill(masks)
        weakref.finalize(pictures, sizes.append, pictures.nbytes)
        return pictures

    prepared = CachedFill(fill_and_watch, cache)
    assert prepared(MASKS[:3]).n_made == 3
    gc.collect()
    assert sizes == [3 * 3 * MASKS[0].nbytes]
    assert prepared(MASKS[2:3]).n_made == 0


def test_cache_shared_by_fills_drops_the_least_recently_used_picture() -> None:
    cache, fill, other = make_cache(3), Fill(), Fill()
    first, second = CachedFill(fill, cache), CachedFill(other, cache)
    first(MASKS[:3])
    first(MASKS[:1])
    assert second(MASKS[:1]).n_made == 1  # drops the picture of the second mask
    assert first(MASKS[[0, 2]]).n_made == 0
    assert first(MASKS[1:2]).n_made == 1
    assert (fill.n_asked, other.n_asked) == (4, 1)


def test_threads_that_ask_for_the_same_masks_share_the_work() -> None:
    fill = Fill()
    both_inside = threading.Barrier(2, timeout=10)

    def fill_masks(masks: Mask) -> Images:
        both_inside.wait()  # each makes a picture that the other waits for
        return fill(masks)

    cached = CachedFill(fill_masks, make_cache())
    asked = MASKS[[0, 1]], MASKS[[2, 1, 0]]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(cached, asked, timeout=10)
    np.testing.assert_array_equal(first.images, paint(asked[0]))
    np.testing.assert_array_equal(second.images, paint(asked[1]))
    assert fill.n_asked == first.n_made + second.n_made == 3


def test_error_reaches_all_threads_that_wait_for_the_picture() -> None:
    began, go_on = threading.Event(), threading.Event()

    def fill_masks(masks: Mask) -> Images:
        began.set()
        assert go_on.wait(10)
        raise RuntimeError("out of paint")

    cached = CachedFill(fill_masks, make_cache())
    with ThreadPoolExecutor(2) as pool:
        maker = pool.submit(cached, MASKS[:1])
        assert began.wait(10)
        waiting = pool.submit(cached, MASKS[:1])
        go_on.set()
        for future in (maker, waiting):
            with pytest.raises(RuntimeError, match="out of paint"):
                future.result(10)


def test_fill_that_makes_too_few_pictures_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"got \(5, 4, 5, 3\)"):
        CachedFill(lambda masks: paint(masks[1:]), make_cache())(MASKS)


def test_picture_that_could_not_be_made_is_tried_again() -> None:
    fill, broken = Fill(), [True]

    def fill_masks(masks: Mask) -> Images:
        if broken.pop() if broken else False:
            raise MemoryError
        return fill(masks)

    cache = make_cache(3)
    cached = CachedFill(fill_masks, cache)
    with pytest.raises(MemoryError):
        cached(MASKS[:2])
    np.testing.assert_array_equal(cached(MASKS[1:3]).images, paint(MASKS[1:3]))
    cached(MASKS[:1])
    assert cached(MASKS[:3]).n_made == 0  # failed pictures take no room


def test_nobody_waits_for_ever_if_the_masks_cannot_be_gathered() -> None:
    class Unready(np.ndarray):
        def __getitem__(self, key: object) -> object:
            if not isinstance(key, list):
                return super().__getitem__(key)
            raise MemoryError

    cached = CachedFill(Fill(), make_cache())
    with pytest.raises(MemoryError):
        cached(MASKS[:2].view(Unready))
    np.testing.assert_array_equal(cached(MASKS[:2]).images, paint(MASKS[:2]))


def test_pictures_are_float32_and_of_the_size_of_the_masks() -> None:
    wide = CachedFill(lambda masks: Fill()(masks).astype(np.float64), make_cache())
    assert wide(MASKS[:2]).images.dtype == np.float32
    thin = CachedFill(lambda masks: Fill()(masks)[..., :1], make_cache())
    with pytest.raises(ValueError, match=r"expected shape \(2, 4, 5, 3\), got \(2, 4, 5, 1\)"):
        thin(MASKS[:2])


def test_callers_get_the_same_cached_fill_only_for_the_same_image_and_identity() -> None:
    cache, image = make_cache(), np.zeros((4, 5, 3), np.float32)
    cached = cache.get_fill(image, "blur", paint)
    assert cache.get_fill(image, "blur", paint) is cached
    assert cache.get_fill(image, "noise", paint) is not cached
    assert cache.get_fill(image.copy(), "blur", paint) is not cached


def test_only_the_fills_used_last_are_kept() -> None:
    cache, image = make_cache(), np.zeros((4, 5, 3), np.float32)
    first, second = (cache.get_fill(image, identity, paint) for identity in ("first", "second"))
    for i in range(MAX_FILLS - 2):
        cache.get_fill(image, i, paint)
    assert cache.get_fill(image, "first", paint) is first
    cache.get_fill(image, "one too many", paint)
    assert cache.get_fill(image, "first", paint) is first
    assert cache.get_fill(image, "second", paint) is not second


@dataclass
class Joined:
    """A fill that paints elsewhere: its pictures are the sums of masks; counts the calls."""

    n_painted: int = 0
    n_fetched: int = 0

    def paint(self, masks: Mask) -> list[float]:
        self.n_painted += len(masks)
        return [float(mask.sum()) for mask in masks]

    def fetch(self, painted: Sequence[float]) -> Images:
        self.n_fetched += len(painted)
        return np.full((len(painted), 4, 5, 3), np.reshape(painted, (-1, 1, 1, 1)), np.float32)


def test_pictures_that_lie_elsewhere_are_painted_once_and_fetched_when_asked_for() -> None:
    fill = Joined()
    cached = CachedFill(fill, make_cache())
    painted = cached.paint(MASKS[[0, 1, 0]])
    sums = MASKS.sum(axis=(1, 2))
    np.testing.assert_array_equal(painted.planes, sums[[0, 1, 0]])
    assert (painted.n_made, fill.n_painted, fill.n_fetched) == (2, 2, 0)
    filled = cached(MASKS[:3])
    np.testing.assert_array_equal(filled.images[:, 0, 0, 0], sums[:3])
    assert (filled.n_made, fill.n_painted, fill.n_fetched) == (1, 3, 3)


def test_pictures_that_were_painted_together_are_dropped_together() -> None:
    """They share their memory: it is not given back while one of them is kept."""
    fill = Joined()
    cached = CachedFill(fill, make_cache(4))
    cached.paint(MASKS[:2])
    cached.paint(MASKS[2:4])
    cached.paint(MASKS[:1])  # the first two are the latest now
    cached.paint(MASKS[4:5])  # drops the third and the fourth
    assert cached.paint(MASKS[[0, 1, 4]]).n_made == 0
    assert cached.paint(MASKS[2:4]).n_made == 2
