"""What a classifier sees in images: the values of a tensor inside its graph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.cores import count_cores
from onnxplain.core.data import Images, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.image import resize
from onnxplain.runtime.batch_support import BatchSupport, find_batch_support
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.runner import BatchSize
from onnxplain.runtime.session import Session, open_session

BATCH_SIZE = 8


def load_features(
    path: str | os.PathLike[str] | bytes,
    tensor: str | None = None,
    *,
    device: str = "auto",
    flags: Mapping[str, Any] | None = None,
) -> OnnxFeatures:
    """Make a function of images from a tensor inside a classifier.

    Parameters
    ----------
    path : path or bytes
        The classifier's ONNX file, or its content.
    tensor : str, optional
        Name of the tensor; if not given, the input of the last layer with weights.
    device, flags
        As for `load_classifier`.

    Raises
    ------
    ModelError
        If there is no such tensor, or the file is no classifier.
    DeviceError
        If the device is not available.
    """
    from onnxplain.describe.resolve import resolve_spec
    from onnxplain.graph.adapting import read_classifier
    from onnxplain.graph.inner_tensors import find_features_tensor, keep_only_output
    from onnxplain.graph.rebatch import make_batch_dynamic

    parsed = Device.parse(device)
    model = read_classifier(path)
    spec = resolve_spec(model, flags or {})
    batch = find_batch_support(model, spec)
    proto = make_batch_dynamic(model.proto, spec) if batch.rewritten else model.proto
    try:
        name = tensor or find_features_tensor(proto)
        content = keep_only_output(proto, name).SerializeToString()
    except ModelError as error:
        raise ModelError(f"{model.path.name}: {error}") from error
    session = open_session(
        content, parsed, name=model.path.name, folder=model.folder, threads=count_cores()
    )
    return OnnxFeatures(session, spec, name, batch)


@final
class OnnxFeatures:
    """The features of images, as a function; made by `load_features`."""

    def __init__(self, session: Session, spec: ModelSpec, tensor: str, batch: BatchSupport) -> None:
        self.spec = spec
        self.tensor = tensor
        self._session = session
        self._batches = BatchSize(batch.images or BATCH_SIZE, rows=batch.fixed, session=session)
        self._composer = HostComposer(ModelSpace.of(spec))

    @property
    def size(self) -> Size:
        """Rows and columns of the images it takes; others are resized."""
        return self.spec.size

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """Compute the features (N, D) of images (N, H, W, 3) in [0, 1].

        Convolutional features (N, D, rows, columns) are averaged over rows and columns, and
        features of sequences (N, tokens, D) over the tokens.

        Raises
        ------
        ValueError
            If the images have another number of axes or channels.
        ModelError
            If the tensor is not one vector, map or sequence per image.
        """
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"features are taken of images (N, H, W, 3), got {images.shape}")
        batches = self._batches.run_batches(
            len(images), lambda start, stop: self._run(images[start:stop])
        )
        return np.concatenate(batches)

    def _run(self, images: Images) -> NDArray[np.float32]:
        n = len(images)
        if images.shape[1:3] != self.size:
            images = np.stack([resize(image, self.size, antialias=True) for image in images])
        rows = self._composer.enter(images, self._batches.get_width(n))
        (answer,) = self._session.run({self.spec.input: rows}, [self.tensor])
        if answer.ndim not in (2, 3, 4) or len(answer) != len(rows):
            raise ModelError(
                f"{self._session.name}: {self.tensor!r} has shape {answer.shape} for "
                f"{len(rows)} image(s); features are (N, D), (N, D, rows, columns) or "
                f"(N, tokens, D)"
            )
        # ONNX's convolutions have their channels second, whatever the input's layout.
        axes = {2: (), 3: (1,), 4: (2, 3)}[answer.ndim]
        features: NDArray[np.float32] = answer[:n].astype(np.float32).mean(axis=axes)
        return features
