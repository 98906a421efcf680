"""Fills that depend on the mask: each hole is filled once, and the work is measured.

An inpainter takes several times as long as a classifier, and methods ask for the same holes
again: LIME with few superpixels, MP2 from step to step, and patches that share a fill.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, final
from weakref import WeakValueDictionary

import numpy as np

from onnxplain.core.data import Image, Images, Mask

MAX_FILLS = 32  # fills kept in case another job asks for the same; each holds its image

_Promise: TypeAlias = "Future[Image]"


class FilledImages(NamedTuple):
    """Pictures for some masks, and the work they took.

    Parameters
    ----------
    images : (N, H, W, 3) ndarray of float32
        One picture per mask.
    n_made : int
        Number of pictures made, not counting those in the cache or for masks without a hole.
    seconds : float
        Time spent making pictures, and waiting for those that another thread was making.
    """

    images: Images
    n_made: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Filling:
    """A fill prepared for one image."""

    picture: Image | CachedFill
    planes: Any  # from `Classifier.planes`; None if the fill depends on the mask


@final
class FillingCache:
    """The pictures that the fills of all live images made; drops the least recently used first.

    The cache is thread-safe.

    Parameters
    ----------
    n_bytes : int
        Capacity for all pictures together.
    """

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[CachedFill, bytes], tuple[_Promise, int]] = OrderedDict()
        self._n_bytes_used = 0
        self._fills: OrderedDict[Hashable, tuple[Image, CachedFill]] = OrderedDict()
        self._fillings: WeakValueDictionary[Hashable, Filling] = WeakValueDictionary()

    def share(self, image: Image, identity: Hashable, make: Callable[[], Filling]) -> Filling:
        """Return the filling that a live job has made for an image, or make it now.

        So jobs about one image, such as those of its targets, share what is on a device, and
        their masks can be composed at once. `identity` is as for `get_fill`. Whoever holds a
        filling must hold its image, too.
        """
        key = id(image), identity
        filling = self._fillings.get(key)
        if filling is None:
            filling = self._fillings[key] = make()
        return filling

    def get_fill(
        self, image: Image, identity: Hashable, fill: Callable[[Mask], Images]
    ) -> CachedFill:
        """Return the cached form of a fill prepared for an image; all callers get the same one.

        Several jobs may ask about one image, such as the jobs of its targets. `identity` holds
        the fill and everything else that decides its random draws.
        """
        key = id(image), identity  # the id stays valid, as the image is kept below
        with self._lock:
            if key not in self._fills:
                self._fills[key] = image, CachedFill(fill, self)
            self._fills.move_to_end(key)
            if len(self._fills) > MAX_FILLS:
                self._fills.popitem(last=False)
            return self._fills[key][1]

    def claim(
        self, fill: CachedFill, hashes: Sequence[bytes], n_bytes: int
    ) -> tuple[list[_Promise], list[int]]:
        """Return a promise of a picture for every mask, and which pictures the caller must make.

        Masks are given by their hashes. The pictures to make are given by the indices of their
        masks. Each picture takes `n_bytes`.
        """
        promises: list[_Promise] = []
        to_make: list[int] = []
        with self._lock:
            for i, mask_hash in enumerate(hashes):
                key = fill, mask_hash
                if key not in self._pictures:
                    self._pictures[key] = Future(), n_bytes
                    self._n_bytes_used += n_bytes
                    to_make.append(i)
                self._pictures.move_to_end(key)
                promises.append(self._pictures[key][0])
            while self._n_bytes_used > self._n_bytes:
                _, (_, freed) = self._pictures.popitem(last=False)
                self._n_bytes_used -= freed
        return promises, to_make

    def forget(self, fill: CachedFill, hashes: Iterable[bytes]) -> None:
        """Drop pictures that could not be made, so that the next caller tries again."""
        with self._lock:
            for mask_hash in hashes:
                _, freed = self._pictures.pop((fill, mask_hash), (None, 0))
                self._n_bytes_used -= freed


@final
class CachedFill:
    """A fill prepared for one image, called once for each mask; thread-safe.

    Parameters
    ----------
    fill : callable
        The prepared fill, which turns masks (N, H, W) into pictures (N, H, W, 3).
    cache : FillingCache
        Where the pictures are kept.
    """

    def __init__(self, fill: Callable[[Mask], Images], cache: FillingCache) -> None:
        self._fill = fill
        self._cache = cache

    def __call__(self, masks: Mask) -> FilledImages:
        """Return the picture of every mask.

        The call waits for pictures that other threads are making, but only after it has made
        its own, so no two threads wait for each other.
        """
        began = time.perf_counter()
        hashes = [hashlib.blake2b(mask.tobytes()).digest() for mask in masks]
        n_bytes = 3 * masks[0].nbytes if len(masks) else 0
        promises, to_make = self._cache.claim(self, hashes, n_bytes)
        if to_make:
            try:
                pictures = self._make(masks[to_make])
            except BaseException as error:
                self._cache.forget(self, [hashes[i] for i in to_make])
                for i in to_make:
                    promises[i].set_exception(error)
                raise
            for i, picture in zip(to_make, pictures, strict=True):
                promises[i].set_result(picture)
        images = np.stack([promise.result() for promise in promises])
        n_made = int(masks[to_make].any(axis=(1, 2)).sum())
        return FilledImages(images, n_made, time.perf_counter() - began)

    def _make(self, masks: Mask) -> Images:
        pictures = np.asarray(self._fill(masks), np.float32)
        if pictures.shape != (*masks.shape, 3):
            raise ValueError(
                f"a fill makes one picture (H, W, 3) per mask: expected shape "
                f"{(*masks.shape, 3)}, got {pictures.shape}"
            )
        return pictures
