"""Composing on the model's device: a few numbers per mask cross the bus, and no images.

A small session per family of masks writes the composed images straight into the buffer that
the classifier's session reads, both on the same device. The planes of an image are uploaded
once. Neighbours in a batch that have image, fill and family in common are composed in one run,
such as the masks of one image's targets. Pictures that an inpainter painted on the same device
are composed where they are.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.protocols import Masks, Part
from onnxplain.core.spec import ModelSpec
from onnxplain.fills.inpaint import HolePainter
from onnxplain.graph.mask_graphs import Entry, build_mask_graph
from onnxplain.masks.codes import CodeFamily, Codes
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.painted_fill import PaintedFill
from onnxplain.runtime.composing.pieces import (
    DevicePlanes,
    Piece,
    Statics,
    digest_statics,
    encode_part,
    join_pieces,
)
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.inpainters.model import OnnxInpainter
from onnxplain.runtime.session import Session, open_session
from onnxplain.runtime.tensors import DevicePlace, Rows

# Family values whose statics stay on the device; the engine keeps fewer alive.
KEPT = 64
_NONE = Statics(b"", {})  # of masks that go as they are


class _Buffer(threading.local):
    """The batch of one thread on the device; when the thread ends, ONNX Runtime keeps the room."""

    place: DevicePlace | None = None


@final
class DeviceComposer:
    """A `Composer` whose images never leave the device.

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
        self._space = space
        self._host = HostComposer(space)
        self._shape = space.shape
        self._dtype = np.dtype(spec.dtype)
        self._entry = Entry(space.colour, space.gain, space.bias)
        self._renderers: dict[tuple[CodeFamily, bool], Session] = {}
        # Masks are kept with their statics, so that no other masks can take their identity.
        self._statics: OrderedDict[int, tuple[Masks, Statics]] = OrderedDict()
        self._lock = threading.Lock()
        self._buffer = _Buffer()

    def planes(self, image: Image, fill: Image) -> DevicePlanes:
        """Bring an image and its fill (H, W, 3) into the model's space and to the device."""
        base, delta = (
            self._session.upload(plane[None]) for plane in self._host.planes(image, fill)
        )
        return DevicePlanes(base, delta)

    def join(self, image: Image, prepared: Callable[[Mask], Images]) -> PaintedFill | None:
        """Let an inpainter on the same device paint there; see `Composer.join`."""
        inpainter = prepared.inpainter if isinstance(prepared, HolePainter) else None
        if not isinstance(inpainter, OnnxInpainter):
            return None
        size = image.shape[0], image.shape[1]
        if not inpainter.on_device.suits(self._session.device, size):
            return None
        base = self._session.upload(self._space.enter(image[None]))
        return PaintedFill(inpainter.on_device, image, base)

    def compose(self, parts: Sequence[Part], width: int) -> Rows:
        """Compose the images of all parts in order; see `Composer.compose`.

        Rows beyond the masks hold what was there before.
        """
        pieces = [self._make_piece(part) for part in parts]
        batch, row = self._get_buffer(width), 0
        for piece in join_pieces(pieces):
            self._render(piece, batch.cut(row, row + len(piece)))
            row += len(piece)
        return batch

    def enter(self, images: Images, width: int) -> NDArray[Any]:
        """Bring images (N, H, W, 3) into the form the model takes, on the host."""
        return self._host.enter(images, width)

    def _make_piece(self, part: Part) -> Piece:
        codes = encode_part(part)
        return Piece(part.planes, codes, self._get_statics(part.masks, codes))

    def _render(self, piece: Piece, place: DevicePlace) -> None:
        """Compose the images of a piece into a place on the device."""
        base, fill, is_painted = piece.planes
        planes = {"base": base, "pictures" if is_painted else "delta": fill}
        shared: Mapping[str, Rows] = {**planes, **piece.statics.places}
        inputs = {**shared, **piece.codes.per_evaluation}
        self._get_renderer(piece.codes.family, is_painted).run(inputs, places={"x": place})

    def _get_renderer(self, family: CodeFamily, is_painted: bool) -> Session:
        """Return the session that composes a family of masks, opened when first needed."""
        with self._lock:
            if (family, is_painted) not in self._renderers:
                spec, device = self._spec, self._session.device
                entry = self._entry if is_painted else None
                graph = build_mask_graph(
                    family, spec.layout, spec.channels, dtype=spec.dtype, entry=entry
                )
                self._renderers[family, is_painted] = open_session(
                    graph.SerializeToString(), device, name=f"{family} masks"
                )
            return self._renderers[family, is_painted]

    def _get_statics(self, masks: Masks, codes: Codes) -> Statics:
        """Return the inputs that all of the masks share, on the device: uploaded once."""
        if codes.family == "pixels":
            return _NONE
        with self._lock:
            if id(masks) not in self._statics:
                self._statics[id(masks)] = masks, self._upload_statics(codes.statics())
                if len(self._statics) > KEPT:
                    self._statics.popitem(last=False)
            self._statics.move_to_end(id(masks))
            return self._statics[id(masks)][1]

    def _upload_statics(self, statics: Mapping[str, NDArray[Any]]) -> Statics:
        """Upload what masks share, unless other masks share the same."""
        digest = digest_statics(statics)
        for _, known in self._statics.values():
            if known.digest == digest:
                return known
        uploaded = {name: self._session.upload(value) for name, value in statics.items()}
        return Statics(digest, uploaded)

    def _get_buffer(self, rows: int) -> DevicePlace:
        """Return room for `rows` images on the device, the same for each call of this thread."""
        buffer = self._buffer
        if buffer.place is None or buffer.place.shape[0] < rows:
            buffer.place = None  # given back before the larger one is made, which may fail
            buffer.place = self._session.allocate((rows, *self._shape), self._dtype)
        return buffer.place.cut(0, rows)
