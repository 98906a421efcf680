"""Composing on the model's device: a few numbers per mask cross the bus, and no images.

A small session per family of masks writes the composed images straight into the buffer that
the classifier's session reads, both on the same device. The planes of an image are uploaded
once. Neighbours in a batch that have image, fill and family in common are composed in one run,
such as the masks of one image's targets.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images
from onnxplain.core.protocols import Masks, Part
from onnxplain.core.spec import ModelSpec
from onnxplain.graph.mask_graphs import build_mask_graph
from onnxplain.masks.codes import CodeFamily, Codes, encode_masks
from onnxplain.runtime.composing.host_composer import HostComposer, Planes
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.session import Session, open_session
from onnxplain.runtime.tensors import DevicePlace, Rows

# Family values whose statics stay on the device; the engine keeps fewer alive.
KEPT = 64


class DevicePlanes(NamedTuple):
    """An image and its fill on the device, and on the host for masks without codes."""

    host: Planes
    base: DevicePlace
    delta: DevicePlace


class _Statics(NamedTuple):
    """The inputs that masks share, on the device, and a digest of their values."""

    digest: bytes
    places: Mapping[str, DevicePlace]


class _Piece(NamedTuple):
    """A part as codes."""

    planes: DevicePlanes
    codes: Codes
    statics: _Statics

    @property
    def run(self) -> tuple[Any, ...]:
        """What pieces have in common that one run can compose: graph, image, fill and statics."""
        shapes = tuple(values.shape[1:] for values in self.codes.per_evaluation.values())
        return id(self.planes), self.codes.family, id(self.statics), shapes


class _Buffer(threading.local):
    """The batch of one thread on the device; when the thread ends, ONNX Runtime keeps the room."""

    place: DevicePlace | None = None


@final
class DeviceComposer:
    """A `Composer` whose images never leave the device; masks without codes come by the host.

    Parameters
    ----------
    session : Session
        The loaded classifier, on whose device masks are composed.
    spec : ModelSpec
        Its input and output.
    """

    composed_by: Literal["graph"] = "graph"

    def __init__(self, session: Session, spec: ModelSpec) -> None:
        space = ModelSpace.of(spec)
        self._session = session
        self._spec = spec
        self._host = HostComposer(space)
        self._shape = space.shape
        self._dtype = np.dtype(spec.dtype)
        self._renderers: dict[CodeFamily, Session] = {}
        # Masks are kept with their statics, so that no other masks can take their identity.
        self._statics: OrderedDict[int, tuple[Masks, _Statics]] = OrderedDict()
        self._lock = threading.Lock()
        self._buffer = _Buffer()

    def planes(self, image: Image, fill: Image) -> DevicePlanes:
        """Bring an image and its fill (H, W, 3) into the model's space and to the device."""
        planes = self._host.planes(image, fill)
        base, delta = (self._session.upload(plane[None]) for plane in planes)
        return DevicePlanes(planes, base, delta)

    def compose(self, parts: Sequence[Part], width: int) -> Rows:
        """Compose the images of all parts in order; see `Composer.compose`.

        The batch is composed on the host if any of its masks have no codes. On the device,
        rows beyond the masks hold what was there before.
        """
        codes = _encode(parts)
        if codes is None:
            on_host = [part._replace(planes=part.planes.host) for part in parts]
            return self._host.compose(on_host, width)
        pieces = [
            _Piece(part.planes, its_codes, self._get_statics(part.masks, its_codes))
            for part, its_codes in zip(parts, codes, strict=True)
        ]
        batch, row = self._get_buffer(width), 0
        for piece, n in _join(pieces):
            self._render(piece, batch.cut(row, row + n))
            row += n
        return batch

    def enter(self, images: Images, width: int) -> NDArray[Any]:
        """Bring images (N, H, W, 3) into the form the model takes, on the host."""
        return self._host.enter(images, width)

    def _render(self, piece: _Piece, place: DevicePlace) -> None:
        """Compose the images of a piece into a place on the device."""
        planes = {"base": piece.planes.base, "delta": piece.planes.delta}
        shared: Mapping[str, Rows] = {**planes, **piece.statics.places}
        inputs = {**shared, **piece.codes.per_evaluation}
        self._get_renderer(piece.codes.family).run_into(inputs, "x", place)

    def _get_renderer(self, family: CodeFamily) -> Session:
        """Return the session that composes a family of masks, opened when first needed."""
        with self._lock:
            if family not in self._renderers:
                spec, device = self._spec, self._session.device
                graph = build_mask_graph(family, spec.layout, spec.channels, dtype=spec.dtype)
                self._renderers[family] = open_session(
                    graph.SerializeToString(), device, name=f"{family} masks"
                )
            return self._renderers[family]

    def _get_statics(self, masks: Masks, codes: Codes) -> _Statics:
        """Return the inputs that all of the masks share, on the device: uploaded once."""
        with self._lock:
            if id(masks) not in self._statics:
                self._statics[id(masks)] = masks, self._upload_statics(codes.statics())
                if len(self._statics) > KEPT:
                    self._statics.popitem(last=False)
            self._statics.move_to_end(id(masks))
            return self._statics[id(masks)][1]

    def _upload_statics(self, statics: Mapping[str, NDArray[Any]]) -> _Statics:
        """Upload what masks share, unless other masks share the same."""
        digest = _digest(statics)
        for _, known in self._statics.values():
            if known.digest == digest:
                return known
        uploaded = {name: self._session.upload(value) for name, value in statics.items()}
        return _Statics(digest, uploaded)

    def _get_buffer(self, rows: int) -> DevicePlace:
        """Return room for `rows` images on the device, the same for each call of this thread."""
        buffer = self._buffer
        if buffer.place is None or buffer.place.shape[0] < rows:
            buffer.place = None  # given back before the larger one is made, which may fail
            buffer.place = self._session.allocate((rows, *self._shape), self._dtype)
        return buffer.place.cut(0, rows)


def _encode(parts: Sequence[Part]) -> list[Codes] | None:
    """Encode the masks of all parts; return None if some have no codes."""
    codes = []
    for part in parts:
        encoded = encode_masks(part.masks, part.start, part.stop)
        if encoded is None:
            return None
        codes.append(encoded)
    return codes


def _join(pieces: Sequence[_Piece]) -> Iterator[tuple[_Piece, int]]:
    """Join neighbours that one run can compose; yield each with its number of masks."""
    for _, neighbours in groupby(pieces, key=lambda piece: piece.run):
        first, *others = neighbours
        rows = {
            name: np.concatenate([values, *(other.codes.per_evaluation[name] for other in others)])
            for name, values in first.codes.per_evaluation.items()
        }
        n = len(next(iter(rows.values())))
        yield first._replace(codes=replace(first.codes, per_evaluation=rows)), n


def _digest(statics: Mapping[str, NDArray[Any]]) -> bytes:
    """Digest names, types, shapes and values of arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for name, values in statics.items():
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.digest()
