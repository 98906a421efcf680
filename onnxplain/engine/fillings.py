"""Fills that depend on the mask: each hole is filled once, and the work is measured.

Pictures lie on the host, or where the classifier composes if the fill joins it there.

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
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, final
from weakref import WeakValueDictionary

import numpy as np

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.protocols import JoinedFill

MAX_FILLS = 32  # fills kept in case another job asks for the same; each holds its image

_Promise: TypeAlias = "Future[Any]"  # of a picture, or of planes where it lies elsewhere


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


class PaintedPlanes(NamedTuple):
    """Pictures where the classifier composes, one per mask; as `FilledImages` otherwise."""

    planes: Sequence[Any]  # from `JoinedFill.paint`
    n_made: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Filling:
    """A fill prepared for one image."""

    picture: Image | CachedFill
    planes: Any  # from `Classifier.planes`; None if the fill depends on the mask

    @property
    def is_composed_by_classifier(self) -> bool:
        """Whether the classifier can compose masks with it; otherwise the engine does."""
        return self.planes is not None or (
            isinstance(self.picture, CachedFill) and self.picture.is_joined
        )


@dataclass(slots=True, eq=False)
class _Lot:
    """Pictures that are dropped together, as their memory is one."""

    keys: list[tuple[CachedFill, bytes]] = field(default_factory=list)
    n_bytes: int = 0


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
        self._pictures: dict[tuple[CachedFill, bytes], tuple[_Promise, _Lot]] = {}
        self._lots: OrderedDict[_Lot, None] = OrderedDict()
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
        self, image: Image, identity: Hashable, fill: Callable[[Mask], Images] | JoinedFill
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
        masks. Each picture takes `n_bytes`. Those of a joined fill share their memory.
        """
        promises: list[_Promise] = []
        to_make: list[int] = []
        lot = _Lot()
        with self._lock:
            for i, mask_hash in enumerate(hashes):
                key = fill, mask_hash
                if key not in self._pictures:
                    lot = lot if fill.is_joined else _Lot()
                    lot.keys.append(key)
                    lot.n_bytes += n_bytes
                    self._n_bytes_used += n_bytes
                    self._pictures[key] = Future(), lot
                    self._lots[lot] = None
                    to_make.append(i)
                promise, its_lot = self._pictures[key]
                self._lots.move_to_end(its_lot)
                promises.append(promise)
            while self._n_bytes_used > self._n_bytes:
                self._drop(next(iter(self._lots)))
        return promises, to_make

    def forget(self, fill: CachedFill, hashes: Iterable[bytes]) -> None:
        """Drop pictures that could not be made, so that the next caller tries again."""
        with self._lock:
            for mask_hash in hashes:
                if (fill, mask_hash) in self._pictures:
                    self._drop(self._pictures[fill, mask_hash][1])

    def _drop(self, lot: _Lot) -> None:
        del self._lots[lot]
        for key in lot.keys:
            del self._pictures[key]
        self._n_bytes_used -= lot.n_bytes


@final
class CachedFill:
    """A fill prepared for one image, called once for each mask; thread-safe.

    Parameters
    ----------
    fill : callable or JoinedFill
        The prepared fill, which turns masks (N, H, W) into pictures (N, H, W, 3), on the host or
        where the classifier composes.
    cache : FillingCache
        Where the pictures are kept.
    """

    def __init__(self, fill: Callable[[Mask], Images] | JoinedFill, cache: FillingCache) -> None:
        self._fill = fill
        self._cache = cache
        self.is_joined = not callable(fill)

    def __call__(self, masks: Mask) -> FilledImages:
        """Return the picture of every mask, on the host."""
        began = time.perf_counter()
        pictures, n_made = self._get(masks)
        images = np.stack(pictures) if callable(self._fill) else self._fill.fetch(pictures)
        return FilledImages(images, n_made, time.perf_counter() - began)

    def paint(self, masks: Mask) -> PaintedPlanes:
        """Return the picture of every mask, where the classifier composes; of a joined fill."""
        began = time.perf_counter()
        planes, n_made = self._get(masks)
        return PaintedPlanes(planes, n_made, time.perf_counter() - began)

    def _get(self, masks: Mask) -> tuple[list[Any], int]:
        """Return the picture of every mask, and the number of those that were made.

        The call waits for pictures that other threads are making, but only after it has made
        its own, so no two threads wait for each other.
        """
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
        n_made = int(masks[to_make].any(axis=(1, 2)).sum())
        return [promise.result() for promise in promises], n_made

    def _make(self, masks: Mask) -> Iterable[Any]:
        if not callable(self._fill):
            return self._fill.paint(masks)
        pictures = np.asarray(self._fill(masks), np.float32)
        if pictures.shape != (*masks.shape, 3):
            raise ValueError(
                f"a fill makes one picture (H, W, 3) per mask: expected shape "
                f"{(*masks.shape, 3)}, got {pictures.shape}"
            )
        return map(np.copy, pictures)  # a view would keep the pictures of the whole call alive
