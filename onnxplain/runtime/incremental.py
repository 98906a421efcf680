"""Scores of an image with a patch removed, from recomputing only what the patch changes.

The scores are those of the usual way, up to rounding. Each size of patch is tried before it is
used: if the numbers differ, or little time is saved, the classifier runs as usual.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, final

import numpy as np

from onnxplain.core.data import Scores, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import Array, Inside
from onnxplain.core.protocols import Part
from onnxplain.gradient.crops import clip_patches
from onnxplain.masks.families import PatchMasks
from onnxplain.runtime.composing.composer import count_masks
from onnxplain.runtime.composing.host_composer import Planes
from onnxplain.runtime.crop_stages import CropStages
from onnxplain.runtime.tuning import rate_plans

KEPT = 4  # images whose inner values are kept; most batches are of one image
ROWS = 16  # evaluations at once, so that the values of the last cut stay few
N_TRIED, N_CHECKED = 8, 6  # positions of a trial, and those whose inner values are compared
ROUNDS = 3  # of a trial, in which both ways take turns
LEAST_GAIN = 1.2  # times as fast as usual, below which it is not used
TOLERANCE = 1e-5  # between scores, or as a share of the largest if that is above 1
INNER_TOLERANCE = 1e-4  # between inner values, as a share of the largest

log = logging.getLogger(__name__)

Score: TypeAlias = Callable[[Sequence[Part]], Scores]


@final
class PatchScorer:
    """Scores images without a patch, all of one size; thread-safe.

    Parameters
    ----------
    stages : CropStages
        What is recomputed on crops.
    size : (rows, columns)
        Of the images.
    run_rest : callable
        Returns the scores of values of the cut at the end of the stages.
    """

    def __init__(self, stages: CropStages, size: Size, run_rest: Callable[[Array], Scores]) -> None:
        self.stages = stages
        self._size = size
        self.run_rest = run_rest
        # Planes are kept with their values, so that no others can take their identity.
        self._bases: OrderedDict[int, tuple[Planes, list[Array]]] = OrderedDict()
        self._lock = threading.Lock()

    def score(self, parts: Sequence[Part]) -> Scores:
        """Return the raw scores of every mask of the parts, in order."""
        scores = [
            self.run_rest(self.compute_values(part._replace(start=start, stop=stop)))
            for part in parts
            for start, stop in _split_range(part.start, part.stop, ROWS)
        ]
        return np.concatenate(scores)

    def compute_values(self, part: Part) -> Array:
        """Return the values of the cut at the end of the stages, for every mask of a part."""
        planes, masks = part.planes, part.masks
        assert isinstance(masks, PatchMasks)
        corners = masks.corners[part.start : part.stop]
        boxes = clip_patches(corners, (masks.patch, masks.patch), self._size)
        # The sum rounds as it does where whole masks are composed.
        return self.stages.run_crops(self._get_bases(planes), planes.base + planes.delta, boxes)

    def _get_bases(self, planes: Planes) -> list[Array]:
        """Return the values of every cut of an image; they are computed once."""
        with self._lock:
            if id(planes) not in self._bases:
                whole = self.stages.run_whole(planes.base[None])
                self._bases[id(planes)] = planes, [values[0] for values in whole]
                if len(self._bases) > KEPT:
                    self._bases.popitem(last=False)
            self._bases.move_to_end(id(planes))
            return self._bases[id(planes)][1]


@final
class IncrementalScores:
    """Scores of patches, incrementally where that was seen to be right and quick; thread-safe.

    Parameters
    ----------
    name : str
        Of the model.
    size : (rows, columns)
        Of its images.
    load : callable
        Returns the scorer of a size of patch; raises a ModelError that says why there is none.
    compose : callable
        Returns the images of a part as the model takes them.
    score : callable
        Returns the raw scores of parts in the usual way.
    """

    def __init__(
        self,
        name: str,
        size: Size,
        *,
        load: Callable[[int], PatchScorer],
        compose: Callable[[Part], Array],
        score: Score,
    ) -> None:
        self._name = name
        self._size = size
        self._load = load
        self._compose = compose
        self._score = score
        self._ways: dict[int, tuple[Score, Mapping[str, Any]]] = {}
        self._lock = threading.Lock()

    def score(self, parts: Sequence[Part]) -> Inside:
        """Return the raw scores of every mask of the parts, in order, and how they were made.

        The masks are patches of one size.
        """
        masks = parts[0].masks
        assert isinstance(masks, PatchMasks)
        with self._lock:
            if masks.patch not in self._ways:
                self._ways[masks.patch] = self._choose(masks.patch, parts[0].planes)
        score, facts = self._ways[masks.patch]
        return Inside(score(parts), facts={"incremental": facts})

    def _choose(self, patch: int, planes: Planes) -> tuple[Score, Mapping[str, Any]]:
        """Choose how patches of one size are scored, and say it for the record."""
        try:
            scorer = self._load(patch)
            part = Part(planes, self._draw_patches(patch), 0, N_TRIED)
            difference = self._check(scorer, part)
            gain = self._measure(scorer, part)
        except ModelError as error:
            log.warning("%s: not incremental: %s", self._name, error)
            return self._score, {"used": False, "why": str(error)}
        facts = {
            "used": True,
            "gain": round(gain, 2),
            "largest_difference": difference,
            "up_to": scorer.stages.target.tensor,
        }
        log.info("%s: incremental, %.2f times as fast", self._name, gain)
        return scorer.score, facts

    def _draw_patches(self, patch: int) -> PatchMasks:
        """Draw positions, of which the first are at the image's corners."""
        last = np.array(self._size) - patch
        corners = np.array([[0, 0], [0, last[1]], [last[0], 0], last])
        others = np.random.default_rng(0).integers(0, last + 1, (N_TRIED - len(corners), 2))
        return PatchMasks(np.concatenate([corners, others]), patch, self._size)

    def _check(self, scorer: PatchScorer, part: Part) -> float:
        """Return the largest difference of scores from those of the usual way.

        Raises
        ------
        ModelError
            If scores or inner values differ by more than rounding.
        """
        few = part._replace(stop=N_CHECKED)
        inner = scorer.stages.run_whole(self._compose(few))[-1]
        _compare("inner values", scorer.compute_values(few), inner, INNER_TOLERANCE, least=0)
        return _compare("scores", scorer.score([part]), self._score([part]), TOLERANCE, least=1)

    def _measure(self, scorer: PatchScorer, part: Part) -> float:
        """Return how many times as fast as usual it is.

        Raises
        ------
        ModelError
            If that is below `LEAST_GAIN`.
        """
        rounds = [
            {way: _rate(score, part) for way, score in enumerate((self._score, scorer.score))}
            for _ in range(ROUNDS)
        ]
        rates = rate_plans(rounds)
        gain = rates[1] / rates[0]
        if gain < LEAST_GAIN:
            raise ModelError(f"it is only {gain:.2f} times as fast as the usual way")
        return gain


def _compare(what: str, found: Array, right: Array, share: float, least: float) -> float:
    """Return the largest difference; raise a ModelError if it is not a small share of values."""
    difference, largest = float(np.abs(found - right).max()), float(np.abs(right).max())
    if not difference <= share * max(largest, least):  # NaN is not small either
        raise ModelError(
            f"{what} differ by {difference:.1e} from those of the usual way, of which the largest "
            f"is {largest:.1e}; please report the model"
        )
    return difference


def _rate(score: Score, part: Part) -> float:
    """Return evaluations per second of this thread, whatever else the machine does."""
    began = time.thread_time()
    score([part])
    return count_masks([part]) / max(time.thread_time() - began, 1e-6)


def _split_range(start: int, stop: int, most: int) -> list[tuple[int, int]]:
    """Return the starts and stops of parts of at most `most`."""
    return [(first, min(first + most, stop)) for first in range(start, stop, most)]
