"""Distances of two images from ONNX files: ST-LPIPS, or any graph of two images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images, Size
from onnxplain.core.errors import ModelError
from onnxplain.image import resize
from onnxplain.runtime.device import Device
from onnxplain.runtime.runner import pad_rows
from onnxplain.runtime.session import Session, TensorInfo, open_session
from onnxplain.runtime.tuning import count_cores

BATCH_SIZE = 4  # such networks keep the features of every layer of both images


def load_distance(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    range: tuple[float, float] = (-1.0, 1.0),
    size: int | Size | None = None,
) -> OnnxDistance:
    """Load a distance of two images, as ST-LPIPS, for `onnxplain.metrics.FilledDistance`.

    Parameters
    ----------
    path : path
        An ONNX file with two float32 inputs (N, 3, H, W), RGB, and an output of one number
        a pair.
    device : str
        As for `onnxplain.load`.
    range : (low, high)
        What black and white become; -1 and 1 for LPIPS and its kin.
    size : int or (rows, columns), optional
        What images are resized to first: small ones are judged sooner. That of the graph if
        it has one, else the images stay as they are.

    Returns
    -------
    distance : OnnxDistance
        A function of two arrays (N, H, W, 3) in [0, 1] that returns (N,) distances.

    Raises
    ------
    ModelError
        If the inputs and outputs are others, or the graph has another size.
    DeviceError
        If the device cannot be had.
    ValueError
        If an argument is out of range.
    """
    from onnxplain.graph.load import read_model

    low, high = range
    if not low < high:
        raise ValueError(f"range is (low, high) with low < high, got {range}")
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is not None and (len(wanted) != 2 or min(wanted) < 1):
        raise ValueError(f"size is (rows, columns), each at least 1, got {wanted}")
    model = read_model(Path(path))
    session = open_session(
        model.content, Device.parse(device), name=model.path.name, threads=count_cores()
    )
    _check(session)
    rows, columns = session.inputs[0].shape[2:]
    fixed = None if rows is None or columns is None else (rows, columns)
    if wanted is not None and fixed not in (None, wanted):
        raise ModelError(f"{session.name}: takes images of {fixed} only, not of {wanted}")
    return OnnxDistance(session, (float(low), float(high)), fixed or wanted, model.sha256)


@final
class OnnxDistance:
    """A distance of each two images, as a function; made by `load_distance`."""

    def __init__(
        self, session: Session, range: tuple[float, float], size: Size | None, sha256: str
    ) -> None:
        self._session = session
        self._range = range
        self._size = size
        self._sha256 = sha256

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, and how images reach it: all that decides the distances."""
        return {
            "model": self._session.name,
            "sha256": self._sha256,
            "range": self._range,
            "size": self._size,
        }

    def __call__(self, first: Images, second: Images) -> NDArray[np.float32]:
        """Distances (N,) of images (N, H, W, 3) in [0, 1].

        Raises
        ------
        ValueError
            If the two do not have one shape.
        ModelError
            If the graph does not answer with one finite number a pair.
        """
        if first.ndim != 4 or first.shape[3] != 3 or first.shape != second.shape:
            raise ValueError(
                f"a distance takes two arrays (N, H, W, 3), got {first.shape} and {second.shape}"
            )
        step = self._session.inputs[0].shape[0] or BATCH_SIZE
        chunks = [
            self._run(first[start : start + step], second[start : start + step])
            for start in range(0, len(first), step)
        ]
        return np.concatenate(chunks) if chunks else np.empty(0, np.float32)

    def _run(self, *pair: Images) -> NDArray[np.float32]:
        n, fixed = len(pair[0]), self._session.inputs[0].shape[0]
        ready = [self._enter(images, fixed or n) for images in pair]
        names = [one.name for one in self._session.inputs]
        output = self._session.outputs[0].name
        (answer,) = self._session.run(dict(zip(names, ready, strict=True)), [output])
        if answer.size != len(ready[0]) or not np.isfinite(answer).all():
            raise ModelError(
                f"{self._session.name}: output {output!r} of shape {answer.shape} is not one "
                f"finite number for each of {len(ready[0])} pairs of images"
            )
        return answer.reshape(-1)[:n].astype(np.float32)

    def _enter(self, images: Images, n: int) -> NDArray[np.float32]:
        """Images as the graph takes them; the last one again until there are n."""
        low, high = self._range
        if self._size is not None and images.shape[1:3] != self._size:
            images = np.stack([resize(image, self._size, antialias=True) for image in images])
        values = low + pad_rows(images, n) * (high - low)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _check(session: Session) -> None:
    """Refuse what is no distance of two images."""
    inputs, outputs = session.inputs, session.outputs
    alike = {one.shape for one in inputs}
    if len(inputs) != 2 or len(alike) != 1 or not all(map(_takes_images, inputs)):
        seen = ", ".join(f"{one.name!r} {one.shape}" for one in inputs)
        raise ModelError(
            f"{session.name}: no distance of two images: it would take two float32 inputs "
            f"(N, 3, rows, columns) of one size, but its inputs are {seen}"
        )
    if len(outputs) != 1 or any(side not in (None, 1) for side in outputs[0].shape[1:]):
        seen = ", ".join(f"{one.name!r} {one.shape}" for one in outputs)
        raise ModelError(
            f"{session.name}: no distance of two images: it would give one number a pair, (N,), "
            f"but its outputs are {seen}"
        )


def _takes_images(tensor: TensorInfo) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[1] in (3, None) and tensor.dtype is np.float32
