"""Fills that depend on the mask: the same holes are filled once, and what it takes is measured.

An inpainter costs several times what a classifier does, and methods ask for the same holes
again: LIME of few superpixels, MP2 from step to step, patches that share a fill.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, TypeAlias, final

import numpy as np

from onnxplain.data import Image, Images, Mask

_Promise: TypeAlias = "Future[Image]"


class Painted(NamedTuple):
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
class Painting:
    """What a fill makes of one image's masks, asked once for each; thread-safe.

    Parameters
    ----------
    paint : callable
        The prepared fill: masks (N, H, W) to pictures (N, H, W, 3).
    n_kept : int
        Pictures that are kept, the latest ones.
    """

    def __init__(self, paint: Callable[[Mask], Images], n_kept: int) -> None:
        self._paint = paint
        self._n_kept = n_kept
        self._lock = threading.Lock()
        self._promises: dict[bytes, _Promise] = {}

    def __call__(self, masks: Mask) -> Painted:
        """The picture of every mask.

        One that another thread is making is waited for, but only when those that fall to
        this thread are made: no two wait for each other.
        """
        began = time.perf_counter()
        keys = [hashlib.blake2b(mask.tobytes()).digest() for mask in masks]
        promises, mine = self._claim(keys)
        if mine:
            self._keep([promises[i] for i in mine], masks[mine])
        images = np.stack([promise.result() for promise in promises])
        made = int(masks[mine].any(axis=(1, 2)).sum())
        return Painted(images, made, time.perf_counter() - began)

    def _claim(self, keys: Sequence[bytes]) -> tuple[list[_Promise], list[int]]:
        """A promise for every key, and the places of those that the caller is to keep."""
        promises: list[_Promise] = []
        mine: list[int] = []
        with self._lock:
            for i, key in enumerate(keys):
                if key not in self._promises:
                    self._promises[key] = Future()
                    mine.append(i)
                promises.append(self._promises[key])
            while len(self._promises) > self._n_kept:
                del self._promises[next(iter(self._promises))]
        return promises, mine

    def _keep(self, promises: Sequence[_Promise], masks: Mask) -> None:
        """Make pictures, and give them to whoever waits; an error too."""
        try:
            kept = list(zip(promises, self._paint(masks), strict=True))
        except BaseException as error:
            for promise in promises:
                promise.set_exception(error)
            raise
        for promise, picture in kept:
            promise.set_result(picture)
