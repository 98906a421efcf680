"""Simple fills that an inpainter has to beat; they fill one image at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from holes import Image, Mask
from numpy.typing import NDArray
from skimage.restoration import inpaint_biharmonic

Fill = Callable[[Image, Mask], NDArray[np.float32]]
"""A function of an image and its hole, to RGB (H, W, 3) in [0, 1] with known pixels unchanged."""


def composite(image: Image, mask: Mask, fill: NDArray[Any]) -> NDArray[np.float32]:
    """Keep the known pixels and take the others from the fill, clipped to [0, 1]."""
    known = image.astype(np.float32) / 255.0
    return np.where(mask[..., None], np.clip(fill, 0.0, 1.0), known).astype(np.float32)


def fill_with_mean(image: Image, mask: Mask) -> NDArray[np.float32]:
    """Fill with the mean of the image's known pixels, or grey if there are none."""
    mean = image[~mask].mean(0) / 255.0 if not mask.all() else np.full(3, 0.5)
    return composite(image, mask, np.broadcast_to(mean, image.shape))


def fill_with_blur(image: Image, mask: Mask) -> NDArray[np.float32]:
    """Fill with the blurred original; unlike the other fills it sees the removed pixels."""
    blurred = cv2.GaussianBlur(image.astype(np.float32) / 255.0, (0, 0), 10.0)
    return composite(image, mask, blurred)


def _make_opencv_fill(method: int) -> Fill:
    def fill(image: Image, mask: Mask) -> NDArray[np.float32]:
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        filled = cv2.inpaint(bgr, mask.astype(np.uint8), 3, method)
        return composite(image, mask, filled[:, :, ::-1].astype(np.float32) / 255.0)

    return fill


def fill_by_biharmonic(image: Image, mask: Mask) -> NDArray[np.float32]:
    """Fill by scikit-image's biharmonic equation."""
    return composite(image, mask, inpaint_biharmonic(image / 255.0, mask, channel_axis=-1))


def fill_by_patchmatch(image: Image, mask: Mask) -> NDArray[np.float32]:
    """Fill with patches of 11 x 11 pixels of the rest of the photo."""
    import patchmatch  # pip install pypatchmatch

    patchmatch.set_random_seed(0)
    filled = patchmatch.inpaint(image, mask, patch_size=5)
    return composite(image, mask, filled / 255.0)


def load_onnx_fill(path: Path, size: int | None = None) -> Fill:
    """Load an ONNX graph of (image, mask) in [0, 1], 1 = hole, as a fill.

    Parameters
    ----------
    path : Path
        The graph.
    size : int, optional
        Side of the square at which the graph runs, if it is fixed. The image is resized to it
        and the fill is resized back; known pixels stay those of the original.

    Returns
    -------
    fill : Fill
        A fill that runs the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [model_input.name for model_input in session.get_inputs()]

    def fill(image: Image, mask: Mask) -> NDArray[np.float32]:
        height, width = mask.shape
        x: NDArray[Any] = image.astype(np.float32) / 255.0
        m: NDArray[Any] = mask.astype(np.float32)
        if size:
            x = cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA)
            m = np.ceil(cv2.resize(m, (size, size), interpolation=cv2.INTER_AREA))
        feeds = dict(zip(names, (x.transpose(2, 0, 1)[None], m[None, None]), strict=True))
        filled = np.asarray(session.run(None, feeds)[0][0]).transpose(1, 2, 0)
        if size:
            filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
        return composite(image, mask, filled)

    return fill


BASELINES: dict[str, Fill] = {
    "mean colour": fill_with_mean,
    "blur": fill_with_blur,
    "Telea": _make_opencv_fill(cv2.INPAINT_TELEA),
    "Navier-Stokes": _make_opencv_fill(cv2.INPAINT_NS),
    "biharmonic": fill_by_biharmonic,
    "PatchMatch": fill_by_patchmatch,
}
"""The fills that need no model, by name."""
