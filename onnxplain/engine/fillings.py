"""Fills that depend on the mask: the same holes are filled once, and what it takes is measured.

An inpainter costs several times what a classifier does, and methods ask for the same holes
again: LIME of few superpixels, MP2 from step to step, patches that share a fill.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, TypeAlias, final

import numpy as np

from onnxplain.core.data import Image, Images, Mask

PAINTINGS = 32  # kept in case another job asks for the same; each holds its image

_Promise: TypeAlias = "Future[Image]"


class FilledImages(NamedTuple):
    """Pictures for some masks, and what they took.

    Parameters
    ----------
    images : (N, H, W, 3) ndarray of float32
        One a mask.
    made : int
        How many had to be made: not those known already, nor those without a hole.
    seconds : float
        Spent on making them and on waiting for those that another thread was making.
    """

    images: Images
    made: int
    seconds: float


@final
class FillingCache:
    """Pictures that the fills of all live images made, the ones used last; thread-safe.

    Parameters
    ----------
    n_bytes : int
        What all that are kept may hold together.
    """

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[CachedFill, bytes], tuple[_Promise, int]] = OrderedDict()
        self._held = 0
        self._paintings: OrderedDict[Hashable, tuple[Image, CachedFill]] = OrderedDict()

    def painting(self, image: Image, what: Hashable, paint: Callable[[Mask], Images]) -> CachedFill:
        """What `paint` makes of an image: one painting for all who ask for the same.

        Several jobs may look at one image, as those of several targets do; `what` is the fill
        and all that decides what it draws.
        """
        key = id(image), what  # an image that is kept keeps its id
        with self._lock:
            if key not in self._paintings:
                self._paintings[key] = image, CachedFill(paint, self)
            self._paintings.move_to_end(key)
            if len(self._paintings) > PAINTINGS:
                self._paintings.popitem(last=False)
            return self._paintings[key][1]

    def claim(
        self, painting: CachedFill, keys: Sequence[bytes], n_bytes: int
    ) -> tuple[list[_Promise], list[int]]:
        """A promise for every key, and the places of those that the caller is to keep.

        Each picture holds `n_bytes`.
        """
        promises: list[_Promise] = []
        mine: list[int] = []
        with self._lock:
            for i, key in enumerate(keys):
                place = painting, key
                if place not in self._kept:
                    self._kept[place] = Future(), n_bytes
                    self._held += n_bytes
                    mine.append(i)
                self._kept.move_to_end(place)
                promises.append(self._kept[place][0])
            while self._held > self._n_bytes:
                self._held -= self._kept.popitem(last=False)[1][1]
        return promises, mine

    def forget(self, painting: CachedFill, keys: Iterable[bytes]) -> None:
        """Give up pictures that could not be made: whoever asks next tries again."""
        with self._lock:
            for key in keys:
                kept = self._kept.pop((painting, key), None)
                self._held -= 0 if kept is None else kept[1]


@final
class CachedFill:
    """What a fill makes of one image's masks, asked once for each; thread-safe.

    Parameters
    ----------
    paint : callable
        The prepared fill: masks (N, H, W) to pictures (N, H, W, 3).
    pictures : Pictures
        Where they are kept.
    """

    def __init__(self, paint: Callable[[Mask], Images], pictures: FillingCache) -> None:
        self._paint = paint
        self._pictures = pictures

    def __call__(self, masks: Mask) -> FilledImages:
        """The picture of every mask.

        One that another thread is making is waited for, but only when those that fall to
        this thread are made: no two wait for each other.
        """
        began = time.perf_counter()
        keys = [hashlib.blake2b(mask.tobytes()).digest() for mask in masks]
        n_bytes = 3 * masks[0].nbytes if len(masks) else 0
        promises, mine = self._pictures.claim(self, keys, n_bytes)
        if mine:
            try:
                made = self._made(masks[mine])
            except BaseException as error:
                self._pictures.forget(self, [keys[i] for i in mine])
                for i in mine:
                    promises[i].set_exception(error)
                raise
            for i, picture in zip(mine, made, strict=True):
                promises[i].set_result(picture)
        images = np.stack([promise.result() for promise in promises])
        n_made = int(masks[mine].any(axis=(1, 2)).sum())
        return FilledImages(images, n_made, time.perf_counter() - began)

    def _made(self, masks: Mask) -> Images:
        made = np.asarray(self._paint(masks), np.float32)
        if made.shape != (*masks.shape, 3):
            raise ValueError(
                f"a fill makes a picture (H, W, 3) of every mask: expected shape "
                f"{(*masks.shape, 3)}, got {made.shape}"
            )
        return made
