"""Painting on the device of an inpainter: the pictures stay there.

Of each picture only its holes go up. A small graph makes the inpainter's inputs of them and the
image; another one puts what the inpainter paints into the holes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, final

import numpy as np

from onnxplain.core.data import Image, Images, Size
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.graph.picture_graph import build_copy_graph, build_picture_graph
from onnxplain.runtime.device import Device
from onnxplain.runtime.inpainters.encoding import check_shape, make_finiteness_error
from onnxplain.runtime.inpainters.fitting import Holes, extend
from onnxplain.runtime.inpainters.input_graph import IMAGE, MASK, build_input_graph
from onnxplain.runtime.runner import BatchSize, pad_rows
from onnxplain.runtime.session import Session, open_session
from onnxplain.runtime.tensors import DevicePlace, Rows


class UploadedImage(NamedTuple):
    """An image on the device, RGB in [0, 1].

    Parameters
    ----------
    whole : DevicePlace
        The image, (1, H, W, 3).
    extended : DevicePlace
        The image, continued to rows and columns that the inpainter takes.
    """

    whole: DevicePlace
    extended: DevicePlace


@final
class DevicePainting:
    """What paints with an inpainter on its device; thread-safe.

    Parameters
    ----------
    session : Session
        The inpainter's graph.
    spec : InpainterSpec
        What it takes and gives.
    batches : BatchSize
        Images per call.
    """

    def __init__(self, session: Session, spec: InpainterSpec, batches: BatchSize) -> None:
        self._session = session
        self._spec = spec
        self._batches = batches
        self._graphs: dict[str, Session] = {}
        self._lock = threading.Lock()

    def suits(self, device: Device, size: Size) -> bool:
        """Return whether it paints on a device, and images of this size without resampling."""
        (output,) = (entry for entry in self._session.outputs if entry.name == self._spec.output)
        takes_size = self._spec.size in (None, size)
        return self._session.device == device and takes_size and output.dtype is not None

    def upload(self, image: Image) -> UploadedImage:
        """Bring an image (H, W, 3) to the device, once for all of its holes."""
        whole = self._session.upload(image[None])
        extended = extend(image[None], self._multiple)
        same = extended.shape == whole.shape
        return UploadedImage(whole, whole if same else self._session.upload(extended))

    def paint(self, image: UploadedImage, holes: Holes) -> DevicePlace:
        """Paint the holes (N, H, W) of an image.

        Returns
        -------
        pictures : DevicePlace
            (N, H, W, 3): the image with its holes painted.

        Raises
        ------
        InpainterError
            If the output has another shape, or is not finite.
        OutOfMemory
            If not even the smallest batch fits.
        """
        _, rows, columns, _ = image.whole.shape
        pictures = self._session.allocate((*holes.shape, 3), np.dtype(np.float32))

        def paint(start: int, stop: int) -> None:
            raw = self._run(image.extended, holes[start:stop])
            feeds: dict[str, Rows] = {"raw": raw, "holes": holes[start:stop], "image": image.whole}
            graph = self._get_picture_graph(raw.dtype, (rows, columns))
            places = {"pictures": pictures.cut(start, stop)}
            (fault,) = graph.run(feeds, ["fault"], places=places)
            if fault == 1:
                raise make_finiteness_error(self._session, self._spec)

        self._batches.run_batches(len(holes), paint)
        return pictures

    def _run(self, extended: DevicePlace, holes: Holes) -> DevicePlace:
        """Run the inpainter's graph; return its numbers as they are."""
        spec, n = self._spec, len(holes)
        wide = pad_rows(extend(holes, self._multiple), self._batches.get_width(n))
        names = {IMAGE: spec.image_input}
        if spec.pack == "separate":
            names[MASK] = spec.mask_input
        encode = self._get("inputs", lambda: build_input_graph(spec))
        inputs = encode.run_on_device({"picture": extended, "holes": wide}, list(names))
        feeds = dict(zip(names.values(), inputs, strict=True))
        (output,) = self._session.run_on_device(feeds, [spec.output])
        check_shape(self._session, spec, output.shape, wide.shape)
        return output.cut(0, n)

    @property
    def _multiple(self) -> int:
        """What rows and columns must be multiples of; those of one size are that size here."""
        return self._spec.multiple if self._spec.size is None else 1

    def fetch(self, pictures: DevicePlace) -> Images:
        """Bring pictures (N, H, W, 3) to the host."""
        copy = self._get("copy", lambda: build_copy_graph().SerializeToString())
        (images,) = copy.run({"pictures": pictures}, ["copy"])
        return images

    def _get_picture_graph(self, dtype: np.dtype[Any], size: Size) -> Session:
        """Return the graph that puts what is painted into the holes of images of a size."""
        spec = self._spec
        return self._get(
            f"{size}",
            lambda: build_picture_graph(
                spec.output_layout,
                dtype,
                size,
                span=spec.output_range,
                reverse=spec.output_colour == "bgr",
            ).SerializeToString(),
        )

    def _get(self, key: str, build: Callable[[], bytes]) -> Session:
        """Return a graph that is built and opened when it is first needed."""
        with self._lock:
            if key not in self._graphs:
                name = f"painting of {self._session.name}"
                self._graphs[key] = open_session(build(), self._session.device, name=name)
            return self._graphs[key]
