"""Inpainters from ONNX files: an image and its holes go in, the filled image comes out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.data import Images, Mask, Size
from onnxplain.errors import InpainterError
from onnxplain.image import resize
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import Session, Tensor, open_session, version

BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Ports:
    """Where an inpainter takes and gives what.

    Parameters
    ----------
    image, mask, output : str
        Names: (N, 3, H, W) in [0, 1], (N, 1, H, W) with 1 = hole, (N, 3, H, W) in [0, 1].
    size : (rows, columns) or None
        The only size it takes; None if it takes any.
    batch : int or None
        The only batch it takes; None if it takes any.
    """

    image: str
    mask: str
    output: str
    size: Size | None
    batch: int | None


def load_inpainter(path: str | os.PathLike[str], *, device: str = "auto") -> OnnxInpainter:
    """Load an ONNX inpainter.

    Parameters
    ----------
    path : path
        An ONNX file with an image input (N, 3, H, W) in [0, 1], a mask input (N, 1, H, W)
        where 1 is a hole, and an output (N, 3, H, W) in [0, 1]; float32, of any names.
    device : str
        As for `load_classifier`.

    Raises
    ------
    InpainterError
        If the inputs and outputs are others.
    ModelError, DeviceError
        If the file cannot be loaded, or the device cannot be had.
    """
    from onnxplain.graph.load import read_model

    wanted = Device.parse(device)
    model = read_model(Path(path))
    source = model.path if model.external else model.proto.SerializeToString()
    session = open_session(source, wanted, name=model.path.name)
    return OnnxInpainter(session, _ports(session), model.sha256)


@final
class OnnxInpainter:
    """An `Inpainter` that runs an ONNX graph; made by `load_inpainter`."""

    def __init__(self, session: Session, ports: Ports, sha256: str) -> None:
        self._session = session
        self._ports = ports
        self._sha256 = sha256

    @property
    def batch_size(self) -> int:
        """Images a call should hold."""
        return self._ports.batch or BATCH_SIZE

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        return {
            "inpainter": self._session.name,
            "sha256": self._sha256,
            "device": str(self._session.device),
            "provider": self._session.providers[0],
            "onnxruntime": version(),
        }

    def inpaint(self, images: Images, masks: Mask) -> Images:
        """Images (N, H, W, 3) with the holes (N, H, W; 1 = hole) filled.

        Pixels outside the holes are those given, to the bit, whatever the graph makes of
        them. A graph of one size gets the image resampled, and its answer comes back so.

        Raises
        ------
        InpainterError
            If the graph answers with another shape, or with NaN or infinite pixels.
        """
        if images.ndim != 4 or masks.shape != images.shape[:3]:
            raise ValueError(
                f"inpaint takes images (N, H, W, 3) and masks (N, H, W), "
                f"got {images.shape} and {masks.shape}"
            )
        holes = masks >= 0.5
        chunks = [
            self._paint(
                images[start : start + self.batch_size], holes[start : start + self.batch_size]
            )
            for start in range(0, len(images), self.batch_size)
        ]
        return np.where(holes[..., None], np.concatenate(chunks), images)

    def _paint(self, images: Images, holes: NDArray[np.bool_]) -> Images:
        """What the graph makes of one batch, at the size of the images."""
        size, inner = images.shape[1:3], self._ports.size
        masks = holes.astype(np.float32)
        if inner is not None and inner != size:
            images = np.stack([resize(image, inner) for image in images])
            # A pixel that a hole contributed to is a hole: it would show what was removed.
            masks = np.stack([resize(mask, inner) > 0 for mask in masks]).astype(np.float32)
        painted = self._run(images, masks)
        if painted.shape[1:3] != size:
            painted = np.stack([resize(image, (size[0], size[1])) for image in painted])
        return np.clip(painted, 0, 1)

    def _run(self, images: Images, masks: Mask) -> Images:
        n, ports = len(images), self._ports
        if ports.batch is not None and n < ports.batch:
            images, masks = (
                np.concatenate([one, np.repeat(one[-1:], ports.batch - n, axis=0)])
                for one in (images, masks)
            )
        feeds = {
            ports.image: np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
            ports.mask: masks[:, None],
        }
        (answer,) = self._session.run(feeds, [ports.output])
        expected = (len(images), 3, *images.shape[1:3])
        if answer.shape != expected:
            raise InpainterError(
                f"{self._session.name}: output {ports.output!r} has shape {answer.shape}, "
                f"where {expected} was expected"
            )
        if not np.isfinite(answer[:n]).all():
            raise InpainterError(
                f"{self._session.name}: painted NaN or infinite pixels; it may want another "
                f"range than [0, 1], or masks where 0 is a hole"
            )
        painted: Images = answer[:n].transpose(0, 2, 3, 1)
        return painted


def _ports(session: Session) -> Ports:
    """Recognise the inputs and the output by their channels."""
    image = _only(session, session.inputs, "image input", 3)
    mask = _only(session, session.inputs, "mask input", 1)
    output = _only(session, session.outputs, "output", 3)
    if len(session.inputs) != 2:
        raise InpainterError(
            f"{session.name}: an inpainter takes an image and a mask, but this one's inputs are "
            f"{_described(session.inputs)}"
        )
    rows, columns = image.shape[2:]
    size = None if rows is None or columns is None else (rows, columns)
    return Ports(image.name, mask.name, output.name, size, image.shape[0])


def _only(session: Session, tensors: tuple[Tensor, ...], what: str, channels: int) -> Tensor:
    """The one tensor of float32 (N, channels, H, W)."""
    found = [
        one
        for one in tensors
        if len(one.shape) == 4 and one.shape[1] == channels and one.dtype is np.float32
    ]
    if len(found) != 1:
        raise InpainterError(
            f"{session.name}: no inpainter: its {what} would be float32 "
            f"(N, {channels}, rows, columns), but there are {_described(tensors)}"
        )
    return found[0]


def _described(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(
        f"{one.name!r} {one.dtype.__name__ if one.dtype else 'of another type'} "
        f"({', '.join('?' if size is None else str(size) for size in one.shape)})"
        for one in tensors
    )
