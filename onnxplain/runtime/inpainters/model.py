"""Inpainters from ONNX files: an image and its holes go in, the filled image comes out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from onnxplain.cache import recall_parsed, remember
from onnxplain.core.data import Images, Mask
from onnxplain.describe.inpainter.inpainter_spec import (
    InpainterSpec,
    describe_spec,
    parse_inpainter_field,
)
from onnxplain.runtime import tuning
from onnxplain.runtime.device import Device
from onnxplain.runtime.inpainters.conformance import Check, examine
from onnxplain.runtime.inpainters.encoding import (
    decode_pixels,
    encode_inputs,
    get_fixed_batch,
    run_graph,
)
from onnxplain.runtime.inpainters.fitting import Holes, blank_holes, fit_size, restore_size
from onnxplain.runtime.origin import Origin, make_origin, reopen
from onnxplain.runtime.ort import get_ort_version
from onnxplain.runtime.runner import BatchSize
from onnxplain.runtime.session import Session, open_session
from onnxplain.version import __version__

if TYPE_CHECKING:
    from onnxplain.runtime.inpainters.device_painting import DevicePainting

log = logging.getLogger(__name__)

BATCH_SIZE = 8
MOST = 64  # on a GPU, where calls are padded: few holes in a large batch would cost much
SIDE = 224  # of the images that batches are measured on, if the graph takes any size


def load_inpainter(
    path: str | os.PathLike[str] | bytes,
    *,
    device: str = "auto",
    flags: Mapping[str, Any] | None = None,
) -> OnnxInpainter:
    """Load an ONNX inpainter.

    Its description is read from the flags, the table ``[inpainter]`` of the TOML file beside
    it, its metadata and its graph. Where none of them says anything, the plain convention
    holds: float32 RGB in [0, 1], a mask in which 1 is a hole, and an output in [0, 1]. A few
    runs then show whether it behaves as described (`onnxplain.runtime.inpainters.conformance`);
    their results are remembered in the cache folder.

    Parameters
    ----------
    path : path or bytes
        The ONNX file, or its content.
    device : str
        As for `load_classifier`.
    flags : mapping, optional
        Fields of `InpainterSpec`, and ``preset``.

    Raises
    ------
    InpainterError
        If it is no inpainter, or its graph or its behaviour contradicts its description.
    ModelError, DeviceError
        If the file cannot be loaded, or the device is not available.
    ValueError, TypeError
        If the value of a flag is not valid.
    """
    from onnxplain.describe.inpainter.resolve_inpainter import resolve_inpainter
    from onnxplain.graph.load import read_model

    parsed = Device.parse(device)
    model = read_model(path)
    spec = resolve_inpainter(model, flags or {})
    session = open_session(model.content, parsed, name=model.path.name)
    spec, checks = _recall_or_examine(session, model.content, model.sha256, spec)
    for check in checks:
        if check.passed is False:
            log.warning("%s: %s: %s", session.name, check.name, check.text)
    arguments = {"device": device, "flags": dict(flags or {})}
    origin = make_origin(load_inpainter, path, arguments, model.sha256)
    batch_size = _find_batch_size(session, model.content, model.sha256, spec)
    return OnnxInpainter(session, spec, checks, origin, batch_size=batch_size)


def _find_batch_size(
    session: Session, source: bytes | Path, sha256: str, spec: InpainterSpec
) -> int:
    """Return how many images a call holds: as described, or what a GPU does fastest.

    On the CPU inpainters gain nothing from larger batches than `BATCH_SIZE`.
    """
    limits = [n for n in (get_fixed_batch(session, spec), spec.batch) if n]
    if limits or session.device.where == "cpu":
        return min([BATCH_SIZE, *limits])
    rows, columns = spec.size or (-(-SIDE // spec.multiple) * spec.multiple,) * 2
    images = np.random.default_rng(0).random((1, rows, columns, 3), np.float32)
    holes = np.zeros((1, rows, columns), np.bool_)
    holes[:, rows // 4 : -rows // 4, columns // 4 : -columns // 4] = True
    return tuning.find_batch_size(
        session,
        tuning.Trial(encode_inputs(spec, images, holes), spec.output),
        (sha256, f"{rows}x{columns}", spec.pack),
        lambda: open_session(source, session.device, name=session.name),
        workers=1,
        most=MOST,
    )


def _recall_or_examine(
    session: Session, source: bytes | Path, sha256: str, spec: InpainterSpec
) -> tuple[InpainterSpec, tuple[Check, ...]]:
    """Return what the graph's behaviour shows: as remembered, or by running it now."""
    key = sha256, get_ort_version(), __version__, repr(describe_spec(spec))
    remembered = recall_parsed("inpainter", key, partial(_parse_examined, spec))
    if remembered is not None:
        return remembered
    # On CPU: elsewhere, short floats blur the differences that count.
    on_cpu = session.device.where == "cpu"
    full = session if on_cpu else open_session(source, Device("cpu"), name=session.name)
    spec, checks = examine(full, spec)
    facts = {name: getattr(spec, name) for name in spec.sources if spec.is_seen(name)}
    remember("inpainter", key, {"seen": facts, "checks": checks})
    return spec, checks


def _parse_examined(
    spec: InpainterSpec, facts: Mapping[str, Any]
) -> tuple[InpainterSpec, tuple[Check, ...]]:
    """Return what was remembered; raise an error if it cannot have been."""
    seen = {name: parse_inpainter_field(name, value) for name, value in facts["seen"].items()}
    checks = tuple(Check(*fields) for fields in facts["checks"])
    for check in checks:
        if not (isinstance(check.name, str) and isinstance(check.text, str)):
            raise TypeError(f"no check: {check}")
        if not (check.passed is None or isinstance(check.passed, bool)):
            raise TypeError(f"no check: {check}")
    return spec.seen(**seen), checks


@final
class OnnxInpainter:
    """An `Inpainter` that runs an ONNX graph; made by `load_inpainter`.

    Parameters
    ----------
    session : Session
        The loaded graph.
    spec : InpainterSpec
        What it takes and gives.
    checks : tuple of Check
        What its behaviour showed.
    origin : Origin
        What opens it again in another process, with the sha256 of the file.
    batch_size : int
        Images per call.
    """

    def __init__(
        self,
        session: Session,
        spec: InpainterSpec,
        checks: tuple[Check, ...],
        origin: Origin,
        *,
        batch_size: int,
    ) -> None:
        self._session = session
        self._origin = origin
        self.spec = spec
        self.checks = checks
        fixed = get_fixed_batch(session, spec)
        self._batches = BatchSize(batch_size, rows=fixed, session=session)

    @cached_property
    def on_device(self) -> DevicePainting:
        """What paints with it and leaves the pictures on its device."""
        from onnxplain.runtime.inpainters.device_painting import DevicePainting  # imports onnx

        return DevicePainting(self._session, self.spec, self._batches)

    def __reduce__(self) -> tuple[Callable[[Origin], Any], tuple[Origin]]:
        """Let another process open it again."""
        return reopen, (self._origin,)

    @property
    def batch_size(self) -> int:
        """Images that a call should hold."""
        return self._batches.size

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        return {
            "inpainter": self._session.name,
            "sha256": self._origin.sha256,
            "described": self.spec.told(),
            "deterministic": next(
                (check.passed for check in self.checks if check.name == "determinism"), None
            ),
            **self._session.provenance,
        }

    def record(self) -> dict[str, Any]:
        """Return a record for JSON: the description with its sources, and the checks."""
        return {
            "inpainter": self._session.name,
            "sha256": self._origin.sha256,
            "spec": describe_spec(self.spec),
            "checks": [check._asdict() for check in self.checks],
            "device": str(self._session.device),
            "providers": list(self._session.providers),
            "placement": dict(self._session.placement),
            "batch_size": self.batch_size,
        }

    def inpaint(self, images: Images, masks: Mask) -> Images:
        """Fill the holes (N, H, W; 1 = hole) of images (N, H, W, 3).

        Pixels outside the holes stay as they are, to the bit, whatever the graph makes of
        them, and pixels inside the holes have no influence. An image without holes comes back
        unchanged; an image that is all hole is painted from nothing. For a graph of one size
        the image is resampled, and so is its output.

        Raises
        ------
        ValueError
            If images are not float32 in [0, 1], images and masks are of different sizes, or a
            mask holds anything but 0 and 1.
        InpainterError
            If the output has another shape, or NaN or infinite pixels.
        OutOfMemory
            If not even the smallest batch fits.
        """
        holes = _find_holes(images, masks)
        filled = images.copy()
        with_holes = np.flatnonzero(holes.any(axis=(1, 2)))

        def fill(start: int, stop: int) -> None:
            batch = with_holes[start:stop]
            painted = self._paint(images[batch], holes[batch])
            for i, picture in zip(batch, painted, strict=True):
                filled[i][holes[i]] = np.clip(picture[holes[i]], 0, 1)

        self._batches.run_batches(len(with_holes), fill)
        return filled

    def _paint(self, images: Images, holes: Holes) -> Images:
        """Run the graph on one batch; return what it painted at the size of the images."""
        rows, columns = images.shape[1:3]
        spec = self.spec
        inner, inner_holes = fit_size(images, holes, spec.size, spec.multiple)
        blanked, width = blank_holes(inner, inner_holes), self._batches.get_width(len(inner))
        raw = run_graph(self._session, spec, blanked, inner_holes, width=width)
        painted = decode_pixels(raw, spec.output_range, spec.output_colour)
        resampled = spec.size is not None
        return restore_size(painted, inner_holes, (rows, columns), resampled=resampled)


def _find_holes(images: Images, masks: Mask) -> Holes:
    """Return the holes as bool; raise an error unless images and masks are as `inpaint` says."""
    if images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"inpaint takes images (N, H, W, 3), got {images.shape}")
    if images.dtype != np.float32:
        raise ValueError(
            f"inpaint takes images of float32 in [0, 1], got {images.dtype}; divide bytes by 255, "
            f"as images / np.float32(255)"
        )
    if images.size and not (images.min() > -0.5 and images.max() < 1.5):  # room for overshoot
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
