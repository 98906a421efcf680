"""Inpainters from ONNX files: an image and its holes go in, the filled image comes out."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from onnxplain.cache import recall, remember
from onnxplain.core.data import Images, Mask
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec, described, parse
from onnxplain.runtime.device import Device
from onnxplain.runtime.inpainters.conformance import Check, examine
from onnxplain.runtime.inpainters.encoding import answer, decode, fixed_batch
from onnxplain.runtime.inpainters.fitting import Holes, blank, fit, unfit
from onnxplain.runtime.runner import BatchSize
from onnxplain.runtime.session import Session, get_ort_version, open_session
from onnxplain.version import __version__

log = logging.getLogger(__name__)

BATCH_SIZE = 8


def load_inpainter(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    flags: Mapping[str, Any] | None = None,
) -> OnnxInpainter:
    """Load an ONNX inpainter.

    What it wants is read from the flags, the table ``[inpainter]`` of the TOML file beside it,
    its metadata and its graph; what none of them tells is the plain convention: float32 RGB in
    [0, 1], a mask where 1 is a hole, and an answer in [0, 1]. A few runs then show whether it
    behaves so (`onnxplain.runtime.inpainters.conformance`); what they found is remembered in
    the cache folder.

    Parameters
    ----------
    path : path
        The ONNX file.
    device : str
        As for `load_classifier`.
    flags : mapping, optional
        Fields of `InpainterSpec`, and ``preset``.

    Raises
    ------
    InpainterError
        If it is no inpainter, or its graph or its behaviour contradicts what is said of it.
    ModelError, DeviceError
        If the file cannot be loaded, or the device cannot be had.
    ValueError, TypeError
        If a flag has no valid value.
    """
    from onnxplain.describe.inpainter.resolve_inpainter import resolve_inpainter
    from onnxplain.graph.load import read_model

    wanted = Device.parse(device)
    model = read_model(Path(path))
    spec = resolve_inpainter(model, flags or {})
    source = model.content
    session = open_session(source, wanted, name=model.path.name)

    def on_cpu() -> Session:  # elsewhere, short floats blur what is to be told apart
        at_hand = session.device.where == "cpu"
        return session if at_hand else open_session(source, Device("cpu"), name=session.name)

    key = model.sha256, get_ort_version(), __version__, repr(described(spec))
    known = recall("inpainter", key)
    if known is None:
        spec, checks = examine(on_cpu(), spec)
        seen = {name: getattr(spec, name) for name in spec.sources if spec.is_seen(name)}
        remember("inpainter", key, {"seen": seen, "checks": checks})
    else:
        spec = spec.seen(**{name: parse(name, value) for name, value in known["seen"].items()})
        checks = tuple(Check(*one) for one in known["checks"])
    for check in checks:
        if check.passed is False:
            log.warning("%s: %s: %s", session.name, check.name, check.text)
    return OnnxInpainter(session, spec, checks, model.sha256)


@final
class OnnxInpainter:
    """An `Inpainter` that runs an ONNX graph; made by `load_inpainter`.

    Parameters
    ----------
    session : Session
        The loaded graph.
    spec : InpainterSpec
        What it wants and gives.
    checks : tuple of Check
        What its behaviour showed.
    sha256 : str
        Of the file.
    """

    def __init__(
        self, session: Session, spec: InpainterSpec, checks: tuple[Check, ...], sha256: str
    ) -> None:
        self._session = session
        self._sha256 = sha256
        self.spec = spec
        self.checks = checks
        axis = fixed_batch(session, spec)
        self._batches = BatchSize(
            min(spec.batch or BATCH_SIZE, axis or BATCH_SIZE),
            fixed=axis is not None,
            on_cpu=session.device.where == "cpu",
        )

    @property
    def batch_size(self) -> int:
        """Images a call should hold."""
        return self._batches.size

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        return {
            "inpainter": self._session.name,
            "sha256": self._sha256,
            "described": self.spec.told(),
            "device": str(self._session.device),
            "provider": self._session.providers[0],
            "onnxruntime": get_ort_version(),
        }

    def record(self) -> dict[str, Any]:
        """What it is, ready for JSON: the description with its sources, and what was checked."""
        return {
            "inpainter": self._session.name,
            "sha256": self._sha256,
            "spec": described(self.spec),
            "checks": [check._asdict() for check in self.checks],
            "device": str(self._session.device),
            "providers": list(self._session.providers),
            "placement": dict(self._session.placement),
            "batch_size": self.batch_size,
        }

    def inpaint(self, images: Images, masks: Mask) -> Images:
        """Images (N, H, W, 3) with the holes (N, H, W; 1 = hole) filled.

        Pixels outside the holes are those given, to the bit, whatever the graph makes of
        them, and what is inside them has no influence. An image without holes comes back as it
        was; one that is all hole is painted from nothing. A graph of one size gets the image
        resampled, and its answer comes back so.

        Raises
        ------
        ValueError
            If images are not float32 in [0, 1], images and masks are of different sizes, or a
            mask holds anything but 0 and 1.
        InpainterError
            If the graph answers with another shape, or with NaN or infinite pixels.
        OutOfMemory
            If not even the smallest batch fits.
        """
        holes = _holes(images, masks)
        out = images.copy()
        some = np.flatnonzero(holes.any(axis=(1, 2)))

        def fill(start: int, stop: int) -> None:
            batch = some[start:stop]
            painted = self._paint(images[batch], holes[batch])
            for i, picture in zip(batch, painted, strict=True):
                out[i][holes[i]] = np.clip(picture[holes[i]], 0, 1)

        self._batches.run_batches(len(some), fill)
        return out

    def _paint(self, images: Images, holes: Holes) -> Images:
        """What the graph makes of one batch, at the size of the images."""
        rows, columns = images.shape[1:3]
        spec = self.spec
        inner, inner_holes = fit(images, holes, spec.size, spec.multiple)
        raw = answer(self._session, spec, blank(inner, inner_holes), inner_holes)
        painted = decode(raw, spec.output_range, spec.output_colour)
        return unfit(painted, inner_holes, (rows, columns), resampled=spec.size is not None)


def _holes(images: Images, masks: Mask) -> Holes:
    if images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"inpaint takes images (N, H, W, 3), got {images.shape}")
    if images.dtype != np.float32:
        raise ValueError(
            f"inpaint takes images of float32 in [0, 1], got {images.dtype}; divide bytes by 255, "
            f"as images / np.float32(255)"
        )
    if images.size and not (images.min() > -0.5 and images.max() < 1.5):  # some overshoot
        raise ValueError(
            f"inpaint takes images in [0, 1], got {images.min():g} to {images.max():g}; divide "
            f"bytes by 255"
        )
    if masks.shape != images.shape[:3]:
        raise ValueError(
            f"inpaint takes a mask (H, W) for each image, of its size: images are "
            f"{images.shape}, masks {masks.shape}; resize the masks by nearest"
        )
    holes: Holes = masks == 1
    odd = ~holes & (masks != 0)
    if odd.any():
        raise ValueError(
            f"inpaint takes masks of 0 and 1, where 1 is a hole, got {masks[odd].flat[0]:g}; "
            f"choose where a hole begins, as masks >= 0.5"
        )
    return holes
