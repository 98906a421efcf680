"""Composing on the model's device: a few numbers a mask cross the bus, no images.

A small session per family of masks writes the composed images straight into the buffer that
the classifier's session reads, both on the same device. An image's planes are uploaded once.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.protocols import Masks, Part
from onnxplain.core.spec import ModelSpec
from onnxplain.graph.mask_graphs import build_mask_graph
from onnxplain.masks.codes import CodeFamily, Codes, encode_masks
from onnxplain.runtime.composing.host import Planes
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import DevicePlace, Session, open_session

# Families of masks whose unchanging inputs stay on the device; the engine keeps fewer alive.
KEPT = 64


class DevicePlanes(NamedTuple):
    """An image and its fill on the device, and on the host for masks without codes."""

    host: Planes
    base: Any
    delta: Any


class _Buffer(threading.local):
    """One thread's batch on the device."""

    value: Any = None
    rows: int = 0


@final
class DeviceComposer:
    """Composes masks and scores them without the images leaving the device.

    Parameters
    ----------
    session : Session
        The loaded classifier.
    spec : ModelSpec
        Its input and output.
    """

    def __init__(self, session: Session, spec: ModelSpec) -> None:
        self._session = session
        self._spec = spec
        self._shape = ModelSpace.of(spec).shape
        self._dtype = np.dtype(spec.dtype)
        self._renderers: dict[CodeFamily, Session] = {}
        # Masks are kept with their inputs, so that none can take the identity of another.
        self._statics: OrderedDict[int, tuple[Masks, Mapping[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()
        self._buffer = _Buffer()

    def upload(self, planes: Planes) -> DevicePlanes:
        """Bring an image's planes to the device."""
        base, delta = (self._session.upload(plane[None]) for plane in planes)
        return DevicePlanes(planes, base, delta)

    def takes(self, masks: Masks) -> bool:
        """Whether these masks can be told in a few numbers."""
        return encode_masks(masks, 0, 0) is not None

    def run(self, parts: Sequence[Part], width: int) -> NDArray[Any]:
        """The model's output for the masks of all parts, in a call of `width` images.

        Rows beyond the masks hold what was there before, and so do their outputs.
        """
        whole = self._room(width)
        row = 0
        for part in parts:
            n = part.stop - part.start
            self._render(part, self._rows(whole, row, n))
            row += n
        batch = self._rows(whole, 0, width)
        output = self._session.run_on_device({self._spec.input: batch}, self._spec.output)
        assert output is not None
        return output

    def _render(self, part: Part, place: DevicePlace) -> None:
        """Compose a part's images into a place on the device."""
        coded = encode_masks(part.masks, part.start, part.stop)
        assert coded is not None  # by `takes`
        planes = {"base": part.planes.base, "delta": part.planes.delta}
        inputs = {**planes, **self._statics_of(coded), **coded.per_evaluation}
        self._renderer(coded.family).run_on_device(inputs, "x", place)

    def _rows(self, address: int, first: int, n: int) -> DevicePlace:
        """Images `first` to `first + n` of a batch on the device."""
        image = math.prod(self._shape) * self._dtype.itemsize
        return DevicePlace(address + first * image, self._dtype, (n, *self._shape))

    def _renderer(self, family: CodeFamily) -> Session:
        with self._lock:
            if family not in self._renderers:
                spec, device = self._spec, self._session.device
                if device.where == "tensorrt":  # an engine takes minutes to build
                    device = Device("cuda", device.index)
                made = build_mask_graph(family, spec.layout, spec.channels, dtype=spec.dtype)
                self._renderers[family] = open_session(
                    made.SerializeToString(), device, name=f"{family} masks", tf32=False
                )
            return self._renderers[family]

    def _statics_of(self, coded: Codes) -> Mapping[str, Any]:
        """The inputs that are the same for all masks of a value, on the device."""
        masks = coded.masks
        with self._lock:
            if id(masks) not in self._statics:
                uploaded = {name: self._session.upload(v) for name, v in coded.statics.items()}
                self._statics[id(masks)] = masks, uploaded
                if len(self._statics) > KEPT:
                    self._statics.popitem(last=False)
            self._statics.move_to_end(id(masks))
            return self._statics[id(masks)][1]

    def _room(self, rows: int) -> int:
        """Address of this thread's buffer on the device, for so many images at least."""
        if self._buffer.rows < rows:
            # Given back before the larger one is made, which may fail.
            self._buffer.value, self._buffer.rows = None, 0
            empty = np.zeros((rows, *self._shape), self._dtype)
            self._buffer.value, self._buffer.rows = self._session.upload(empty), rows
        address: int = self._buffer.value.data_ptr()
        return address
