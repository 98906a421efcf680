"""The queries that mask methods share: for fills, and for slopes of the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, ScoreKind
from onnxplain.core.flow import FillQuery, Flow, ImageQuery
from onnxplain.core.protocols import Masks


def ask_fills(masks: Masks) -> Flow[Images]:
    """Ask for the fills of N masks; return pictures (N, H, W, 3)."""
    fills = (yield FillQuery(masks)).images
    assert fills is not None
    return fills


def ask_slopes(
    images: Images, kind: ScoreKind = "probability"
) -> Flow[tuple[NDArray[np.float64], Images]]:
    """Ask for the scores (N,) of images (N, H, W, 3), and for d score / d image."""
    reply = yield ImageQuery(images, kind=kind, grad=True)
    assert reply.grads is not None
    return reply.scores, reply.grads


def project_slope(slope: Image, towards: Image) -> NDArray[np.float64]:
    """Turn d score / d image into the slope (H, W) with respect to a mask.

    Parameters
    ----------
    slope : (H, W, 3) or (N, H, W, 3) ndarray of float32
        d score / d image.
    towards : ndarray of float32, of the same shape
        Fill minus image: how a pixel changes when its mask goes from 0 to 1.
    """
    by_mask: NDArray[np.float64] = np.einsum(
        "...hwc,...hwc->...hw", slope, towards, dtype=np.float64
    )
    return by_mask
