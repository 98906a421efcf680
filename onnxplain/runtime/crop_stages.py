"""Recompute the values that a patch changes, stage by stage, on crops (`gradient.crops`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import Array
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient.crops import Boxes, Stage, cut_stage, plan_stages
from onnxplain.gradient.grids import GridGraph
from onnxplain.gradient.reach import LocalCut, find_local_cuts
from onnxplain.graph.load import ModelFile
from onnxplain.graph.rebatch import make_batch_dynamic
from onnxplain.runtime.batch_support import find_batch_support
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import Session, open_session

LEAST_SAVED = 0.1  # share of the multiplications, below which a trial is not worth it


@final
class CropStages:
    """The part of a classifier in front of a cut, run where a patch has changed something.

    Parameters
    ----------
    stages : tuple of Stage
        In order; at least one.
    sessions : sequence of Session
        The part of the classifier of each stage.
    """

    def __init__(self, stages: tuple[Stage, ...], sessions: Sequence[Session]) -> None:
        self.stages = stages
        self._sessions = sessions

    @property
    def target(self) -> LocalCut:
        """The cut at the end of the last stage."""
        return self.stages[-1].target

    def run_whole(self, images: Array) -> list[Array]:
        """Return the values of every cut, the images first, of images as the model takes them.

        Raises
        ------
        ModelError
            If a cut does not have the size that is expected of it.
        """
        values = [images]
        for stage, session in zip(self.stages, self._sessions, strict=True):
            values.append(_run(session, stage, values[-1]))
            if values[-1].shape[1:] != stage.target.shape:
                raise ModelError(
                    f"{stage.target.tensor!r} has the shape {values[-1].shape[1:]} and not "
                    f"{stage.target.shape}, as ONNX Runtime computes it"
                )
        return values

    def run_crops(self, bases: Sequence[Array], fill: Array, boxes: Boxes) -> Array:
        """Return the values of the last cut, if an image were filled in some places.

        Parameters
        ----------
        bases : sequence of ndarray
            The values of every cut of the unchanged image, without an axis of images.
        fill : ndarray
            What stands in for removed pixels, as the model takes it.
        boxes : Boxes
            The places, one per evaluation.

        Returns
        -------
        values : (N, ...) ndarray of float32
        """
        n = len(boxes.starts)
        nowhere = np.zeros((n, 2), np.int64)
        fresh, origins = np.broadcast_to(fill, (n, *fill.shape)), nowhere
        for stage, session, base in zip(self.stages, self._sessions, bases[:-1], strict=True):
            changed = stage.change(boxes)
            corners = stage.place(changed)
            crops = np.stack(
                [
                    base[_cut(stage.source, start, stop)]
                    for start, stop in zip(corners, corners + stage.crop, strict=True)
                ]
            )
            # Changed values that nothing reads may lie outside.
            inside = Boxes(
                np.maximum(boxes.starts, corners), np.minimum(boxes.stops, corners + stage.crop)
            )
            _paste(stage.source, inside, fresh, origins, crops, corners)
            fresh, origins = _run(session, stage, crops), corners // stage.step
            boxes = changed
        values = np.repeat(bases[-1][None], n, axis=0)
        _paste(self.target, boxes, fresh, origins, values, nowhere)
        return values


def load_crop_stages(
    file: ModelFile, spec: ModelSpec, device: Device, graph: GridGraph, patch: Size
) -> CropStages:
    """Plan which parts of a classifier are recomputed where a patch changes, and load them.

    Raises
    ------
    ModelError
        If it would save little or nothing, or is not known to be right; the text says why.
    """
    batch = find_batch_support(file, spec)
    if device.where != "cpu" or spec.dtype != "float32" or batch.fixed is not None:
        raise ModelError(
            "it is for float32 models on the CPU that take any batch; this one takes "
            f"{spec.dtype} on {device}, batch: {batch.text}"
        )
    locality = find_local_cuts(graph)
    stages, saved = plan_stages(locality, patch)
    if saved < LEAST_SAVED:
        raise ModelError(
            f"it would save {max(saved, 0):.0%} of the multiplications with a patch of "
            f"{patch[0]} x {patch[1]} pixels, as a change is followed no further than to where "
            f"{locality.end}"
        )
    proto = make_batch_dynamic(file.proto, spec) if batch.rewritten else file.proto

    def open_stage(stage: Stage) -> Session:
        content = cut_stage(proto, stage, locality).SerializeToString()
        name = f"{file.path.name} up to {stage.target.tensor}"
        return open_session(content, device, name=name, folder=file.folder)

    return CropStages(stages, [open_stage(stage) for stage in stages])


def _run(session: Session, stage: Stage, values: Array) -> Array:
    answer: Array
    (answer,) = session.run({stage.source.tensor: values}, [stage.target.tensor])
    return answer


def _cut(cut: LocalCut, start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[slice, ...]:
    """Return the index of a part of one image's values."""
    index = [slice(None)] * len(cut.shape)
    for axis, first, last in zip(cut.axes, start, stop, strict=True):
        index[axis - 1] = slice(first, last)
    return tuple(index)


def _paste(
    cut: LocalCut,
    boxes: Boxes,
    values: Array,
    origins: NDArray[np.int64],
    onto: Array,
    corners: NDArray[np.int64],
) -> None:
    """Copy the values in boxes, from arrays that begin at `origins` to those at `corners`."""
    for row in np.flatnonzero((boxes.stops > boxes.starts).all(axis=1)):
        start, stop = boxes.starts[row], boxes.stops[row]
        there = _cut(cut, start - corners[row], stop - corners[row])
        onto[row][there] = values[row][_cut(cut, start - origins[row], stop - origins[row])]
