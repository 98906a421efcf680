"""Which crops to recompute when a patch of the image changes, and where the results go.

The part of a classifier in front of its first global step is cut into stages. Each stage runs on
a crop of what it reads: the values that have changed, with the margin that they need. The
changed values of its output are pasted into those of the unchanged image, which the next stage
crops again. The rest of the classifier, behind the last stage, runs on the whole.

A crop begins at a multiple of the stage's step, and leaves out a multiple of it at its end, so
that every tensor within has the values of the whole, shifted. It has one size for all positions
of the patch; near a border it moves inwards, so that the border stays the border, with its pads.
Values beside an edge of the crop that is no border are wrong, and are never pasted.

Positions and sizes are pairs: of rows and of columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, helper

from onnxplain.core.data import Size
from onnxplain.gradient.reach import LocalCut, Locality, Reach
from onnxplain.gradient.reading import cut_tail

# Work of cropping and pasting a value, and of running a stage for an image, in multiplications.
WORK_PER_PASTE = 100
WORK_PER_STAGE = 2_000_000

Pairs: TypeAlias = NDArray[np.int64]  # (N, 2), or (2,)


class Boxes(NamedTuple):
    """Parts of a grid, one per evaluation: (N, 2) each; empty where they are equal."""

    starts: Pairs
    stops: Pairs


class Stage(NamedTuple):
    """A part of a classifier, from one cut to another.

    Parameters
    ----------
    source, target : LocalCut
        Where it begins and ends.
    step, before, after : (2,) ndarray
        How far each value of the target sees of the source, as in `Reach`.
    crop : (2,) ndarray
        Size of the crops of the source.
    """

    source: LocalCut
    target: LocalCut
    step: Pairs
    before: Pairs
    after: Pairs
    crop: Pairs

    def change(self, boxes: Boxes) -> Boxes:
        """Return which values of the target see changed values of the source."""
        out = np.array(self.target.grid)
        starts = np.clip(-((self.after - boxes.starts) // self.step), 0, out)
        stops = np.clip((boxes.stops - 1 + self.before) // self.step + 1, starts, out)
        return Boxes(starts, np.where(boxes.stops > boxes.starts, stops, starts))

    def need(self, changed: Boxes) -> Boxes:
        """Return which values of the source the changed ones of the target see, aligned."""
        size = np.array(self.source.grid)
        starts = changed.starts * self.step - self.before
        stops = (changed.stops - 1) * self.step + self.after + 1
        starts = np.clip(starts // self.step * self.step, 0, size)
        return Boxes(starts, np.clip(self._align(stops), starts, size))

    def place(self, changed: Boxes) -> Pairs:
        """Return where the crops begin that give what has changed in the target."""
        return np.minimum(self.need(changed).starts, np.array(self.source.grid) - self.crop)

    def fit(self, boxes: Boxes) -> Stage:
        """Return the same stage with crops that are large enough for changes of the source."""
        needed = self.need(self.change(boxes))
        longest = np.maximum((needed.stops - needed.starts).max(axis=0), 1)
        return self._replace(crop=np.minimum(self._align(longest), self.source.grid))

    def _align(self, stops: Pairs) -> Pairs:
        """Move ends outwards, so that a multiple of the step is left out behind them."""
        size: Pairs = np.array(self.source.grid)
        return size - (size - stops) // self.step * self.step


def clip_patches(corners: Pairs, patch: Size, size: Size) -> Boxes:
    """Return the parts of an image that patches cover, which may lie across its border."""
    return Boxes(np.clip(corners, 0, size), np.clip(corners + np.array(patch), 0, size))


def plan_stages(locality: Locality, patch: Size) -> tuple[tuple[Stage, ...], float]:
    """Choose the cuts between which crops are recomputed, by the multiplications that it takes.

    Parameters
    ----------
    locality : Locality
        Of the classifier.
    patch : (rows, columns)
        Of the image that change.

    Returns
    -------
    stages : tuple of Stage
        In order; empty if it is cheapest to run the whole.
    saved : float
        Share of the multiplications that is saved, about.
    """
    cuts = locality.cuts
    rest = np.cumsum([locality.tail, *(cut.work for cut in cuts[:0:-1])])[::-1]
    routes: dict[int, tuple[float, tuple[Stage, ...]]] = {0: (0.0, ())}
    for target in _choose_places(cuts):
        found = []
        for source, (work, stages) in routes.items():
            between = cuts[source : target + 1]
            stage = _make_stage(between).fit(_list_changes(cuts[0].grid, stages, patch))
            found.append((work + _count_work(stage, between), (*stages, stage)))
        routes[target] = min(found, key=lambda route: route[0])
    totals = {
        place: work + rest[place] + (WORK_PER_PASTE * math.prod(cuts[place].shape) if place else 0)
        for place, (work, _) in routes.items()
    }
    place = min(totals, key=lambda place: totals[place])
    return routes[place][1], float(1 - totals[place] / totals[0])


def _choose_places(cuts: Sequence[LocalCut]) -> list[int]:
    """Choose the cuts that may be worth it, behind the image.

    Where neighbours see each other value by value, a change covers the same positions of both,
    and the one with fewer values is better.
    """
    sizes = [math.prod(cut.shape) for cut in cuts]
    same = [set(cut.reaches) == {Reach()} for cut in cuts]
    return [
        place
        for place in range(1, len(cuts))
        if not (same[place] and place > 1 and sizes[place - 1] < sizes[place])
        and not (place + 1 < len(cuts) and same[place + 1] and sizes[place + 1] <= sizes[place])
    ]


def _make_stage(cuts: Sequence[LocalCut]) -> Stage:
    """Make the stage from the first to the last of some cuts, with crops of the whole."""
    rows, columns = (
        reduce(Reach.then, (cut.reaches[axis] for cut in cuts[1:]), Reach()) for axis in (0, 1)
    )
    step, before, after = np.array([rows, columns]).T
    return Stage(cuts[0], cuts[-1], step, before, after, np.array(cuts[0].grid))


def _list_changes(size: Size, stages: Sequence[Stage], patch: Size) -> Boxes:
    """List what a patch of the image changes behind some stages, in all of its positions."""
    starts = np.arange(1 - max(patch), max(size))
    boxes = clip_patches(np.stack([starts, starts], axis=1), patch, size)
    return reduce(lambda boxes, stage: stage.change(boxes), stages, boxes)


def _count_work(stage: Stage, cuts: Sequence[LocalCut]) -> float:
    """Count the multiplications of a stage on crops, about."""
    share = float(stage.crop.prod()) / math.prod(stage.source.grid)
    values = math.prod(stage.source.shape) + math.prod(stage.target.shape)
    work = sum(cut.work for cut in cuts[1:])
    return share * (work + WORK_PER_PASTE * values) + WORK_PER_STAGE


def cut_stage(model: ModelProto, stage: Stage, locality: Locality) -> ModelProto:
    """Return the part of a model that a stage runs, on crops of any size."""
    part = cut_tail(model, stage.source.tensor, [stage.target.tensor])
    part.graph.output[0].CopyFrom(ValueInfoProto(name=stage.target.tensor))
    for node in part.graph.node:
        pads = locality.pads.get(node.output[0])
        if pads is not None:  # automatic pads of a crop may be others
            kept = [entry for entry in node.attribute if entry.name not in ("auto_pad", "pads")]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("pads", pads)])
    return part
