"""Distances of two images from ONNX files: ST-LPIPS, or any graph of two images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.cores import count_cores
from onnxplain.core.data import Images, Size
from onnxplain.core.errors import ModelError
from onnxplain.image import resize
from onnxplain.runtime.device import Device
from onnxplain.runtime.origin import Origin, make_origin, reopen
from onnxplain.runtime.runner import BatchSize, pad_rows
from onnxplain.runtime.session import Session, open_session
from onnxplain.runtime.tensors import TensorInfo

BATCH_SIZE = 4  # such networks keep the features of every layer of both images


def load_distance(
    path: str | os.PathLike[str] | bytes,
    *,
    device: str = "auto",
    range: tuple[float, float] = (-1.0, 1.0),
    size: int | Size | None = None,
) -> OnnxDistance:
    """Load a distance of two images, such as ST-LPIPS, for `onnxplain.metrics.FilledDistance`.

    Parameters
    ----------
    path : path
        An ONNX file with two float32 inputs (N, 3, H, W), RGB, and an output of one number
        per pair.
    device : str
        As for `onnxplain.load`.
    range : (low, high)
        The values of black and white in the inputs; -1 and 1 for LPIPS and its relatives.
    size : int or (rows, columns), optional
        Size to which images are resized first: small ones are judged faster. If not given,
        the graph's size if it has one, else the images keep their size.

    Returns
    -------
    distance : OnnxDistance
        A function of two arrays (N, H, W, 3) in [0, 1] that returns (N,) distances.

    Raises
    ------
    ModelError
        If the graph has other inputs or outputs than these, or a fixed size other than `size`.
    DeviceError
        If the device is not available.
    ValueError
        If an argument is out of range.
    """
    from onnxplain.graph.load import read_model

    low, high = range
    if not low < high:
        raise ValueError(f"range is (low, high) with low < high, got {range}")
    asked = (size, size) if isinstance(size, int) else size
    if asked is not None and (len(asked) != 2 or min(asked) < 1):
        raise ValueError(f"size is (rows, columns), each at least 1, got {asked}")
    model = read_model(path)
    session = open_session(
        model.content, Device.parse(device), name=model.path.name, threads=count_cores()
    )
    _check_ports(session)
    rows, columns = session.inputs[0].shape[2:]
    fixed = None if rows is None or columns is None else (rows, columns)
    if asked is not None and fixed not in (None, asked):
        raise ModelError(
            f"{session.name}: takes images of {fixed} only, got size {asked}; leave out the size"
        )
    arguments = {"device": device, "range": range, "size": size}
    origin = make_origin(load_distance, path, arguments, model.sha256)
    return OnnxDistance(session, (float(low), float(high)), fixed or asked, origin)


@final
class OnnxDistance:
    """The distance between the images of each pair, as a function; made by `load_distance`."""

    def __init__(
        self, session: Session, range: tuple[float, float], size: Size | None, origin: Origin
    ) -> None:
        self._session = session
        rows = session.inputs[0].shape[0]
        self._batches = BatchSize(rows or BATCH_SIZE, rows=rows, session=session)
        self._range = range
        self._size = size
        self._origin = origin

    def __reduce__(self) -> tuple[Callable[[Origin], Any], tuple[Origin]]:
        """Let another process open it again."""
        return reopen, (self._origin,)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The model and how images enter it: everything that decides the distances."""
        return {
            "model": self._session.name,
            "sha256": self._origin.sha256,
            "range": self._range,
            "size": self._size,
        }

    def __call__(self, first: Images, second: Images) -> NDArray[np.float32]:
        """Compute the distances (N,) of pairs of images (N, H, W, 3) in [0, 1].

        Raises
        ------
        ValueError
            If the two arrays do not have the same shape.
        ModelError
            If the graph does not return one finite number per pair.
        """
        if first.ndim != 4 or first.shape[3] != 3 or first.shape != second.shape:
            raise ValueError(
                f"a distance takes two arrays (N, H, W, 3), got {first.shape} and {second.shape}"
            )
        batches = self._batches.run_batches(
            len(first), lambda start, stop: self._run(first[start:stop], second[start:stop])
        )
        return np.concatenate(batches) if batches else np.empty(0, np.float32)

    def _run(self, *pair: Images) -> NDArray[np.float32]:
        n = len(pair[0])
        rows = [self._enter(images, self._batches.get_width(n)) for images in pair]
        names = [tensor.name for tensor in self._session.inputs]
        output = self._session.outputs[0].name
        (answer,) = self._session.run(dict(zip(names, rows, strict=True)), [output])
        if answer.size != len(rows[0]) or not np.isfinite(answer).all():
            raise ModelError(
                f"{self._session.name}: output {output!r} of shape {answer.shape} is not one "
                f"finite number for each of {len(rows[0])} pairs of images"
            )
        return answer.reshape(-1)[:n].astype(np.float32)

    def _enter(self, images: Images, n: int) -> NDArray[np.float32]:
        """Convert images to the form that the graph takes, the last one repeated up to n rows."""
        low, high = self._range
        if self._size is not None and images.shape[1:3] != self._size:
            images = np.stack([resize(image, self._size, antialias=True) for image in images])
        values = low + pad_rows(images, n) * (high - low)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _check_ports(session: Session) -> None:
    """Raise an error unless the inputs are two images and the output is their distance."""
    inputs, outputs = session.inputs, session.outputs
    shapes = {tensor.shape for tensor in inputs}
    if len(inputs) != 2 or len(shapes) != 1 or not all(map(_takes_images, inputs)):
        raise ModelError(
            f"{session.name}: not a distance of two images, which takes two float32 inputs "
            f"(N, 3, rows, columns) of one size: its inputs are {_list_tensors(inputs)}"
        )
    if len(outputs) != 1 or any(side not in (None, 1) for side in outputs[0].shape[1:]):
        raise ModelError(
            f"{session.name}: not a distance of two images, which gives one number per pair, "
            f"(N,): its outputs are {_list_tensors(outputs)}"
        )


def _list_tensors(tensors: Iterable[TensorInfo]) -> str:
    return ", ".join(f"{tensor.name!r} {tensor.shape}" for tensor in tensors)


def _takes_images(tensor: TensorInfo) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[1] in (3, None) and tensor.dtype is np.float32
