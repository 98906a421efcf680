"""Painting on the device of an inpainter: the pictures stay there.

Images and holes go up, as for painting on the host. What the inpainter makes of them is put into
the holes by a small graph, in memory of the same device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, final

import numpy as np

from onnxplain.core.data import Image, Images, Size
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.graph.picture_graph import build_copy_graph, build_picture_graph
from onnxplain.runtime.device import Device
from onnxplain.runtime.inpainters.encoding import make_finiteness_error, run_graph_on_device
from onnxplain.runtime.inpainters.fitting import Holes, blank_holes, fit_size
from onnxplain.runtime.runner import BatchSize
from onnxplain.runtime.session import Session, open_session
from onnxplain.runtime.tensors import DevicePlace, Rows


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
        self._graphs: dict[Size | None, Session] = {}
        self._lock = threading.Lock()

    def suits(self, device: Device, size: Size) -> bool:
        """Return whether it paints on a device, and images of this size without resampling."""
        (output,) = (entry for entry in self._session.outputs if entry.name == self._spec.output)
        takes_size = self._spec.size in (None, size)
        return self._session.device == device and takes_size and output.dtype is not None

    def paint(self, image: Image, holes: Holes, uploaded: DevicePlace) -> DevicePlace:
        """Paint the holes (N, H, W) of an image, none of them empty.

        Parameters
        ----------
        image : (H, W, 3) ndarray of float32 in [0, 1]
            The image.
        holes : (N, H, W) ndarray of bool
            One picture is painted for each.
        uploaded : DevicePlace
            The image on the device, (1, H, W, 3).

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
        spec, session = self._spec, self._session
        pictures = session.allocate((len(holes), *image.shape), np.dtype(np.float32))

        def paint(start: int, stop: int) -> None:
            batch, width = holes[start:stop], self._batches.get_width(stop - start)
            images = np.repeat(image[None], len(batch), axis=0)
            inner, inner_holes = fit_size(images, batch, spec.size, spec.multiple)
            blanked = blank_holes(inner, inner_holes)
            raw = run_graph_on_device(session, spec, blanked, inner_holes, width=width)
            feeds: dict[str, Rows] = {"raw": raw, "holes": batch, "image": uploaded}
            places = {"pictures": pictures.cut(start, stop)}
            graph = self._get_picture_graph(raw.dtype, (image.shape[0], image.shape[1]))
            (fault,) = graph.run(feeds, ["fault"], places=places)
            if fault == 1:
                raise make_finiteness_error(session, spec)

        self._batches.run_batches(len(holes), paint)
        return pictures

    def fetch(self, pictures: DevicePlace) -> Images:
        """Bring pictures (N, H, W, 3) to the host."""
        copy = self._get(None, lambda: build_copy_graph().SerializeToString())
        (images,) = copy.run({"pictures": pictures}, ["copy"])
        return images

    def _get_picture_graph(self, dtype: np.dtype[Any], size: Size) -> Session:
        """Return the graph that puts what is painted into the holes of images of a size."""
        spec = self._spec
        return self._get(
            size,
            lambda: build_picture_graph(
                spec.output_layout,
                dtype,
                size,
                span=spec.output_range,
                reverse=spec.output_colour == "bgr",
            ).SerializeToString(),
        )

    def _get(self, key: Size | None, build: Callable[[], bytes]) -> Session:
        """Return a graph that is built and opened when it is first needed."""
        with self._lock:
            if key not in self._graphs:
                name = f"pictures of {self._session.name}"
                self._graphs[key] = open_session(build(), self._session.device, name=name)
            return self._graphs[key]
