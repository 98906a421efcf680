"""Training losses without a critic: L1, spectra in the hole, and a distance on a VGG trunk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

VGG_SLICES: tuple[tuple[int, ...], ...] = ((0, 2), (6, 8), (12, 14, 16), (20, 22, 24))
"""The convolutions of each slice of the trunk, by their numbers in the file.

Every slice ends in a ReLU.
"""

REACH = 14.0
"""Depth in a hole, in pixels, at which the weight of the perceptual distance is 1/e."""

DEEP = 14.0
"""Largest depth of a hole, in pixels, at which the weight of the whole hole is 1/e."""


def average_over_holes(error: Tensor, mask: Tensor) -> Tensor:
    """Average an error over a batch of holes of very different areas.

    A hole is weighted by the square root of its area. Weighted by the area, a few large holes
    would drown the small rectangles; weighted equally, the few pixels of small holes would count
    too much.

    Parameters
    ----------
    error : (N,) Tensor
        Error per sample, averaged over the whole image.
    mask : (N, 1, H, W) Tensor
        1 in the hole.

    Returns
    -------
    loss : scalar Tensor
        If all holes have the same area, the error per unit of hole area.
    """
    share = mask.mean((1, 2, 3)).clamp(min=1e-3)
    return (error / (share * share.mean()).sqrt()).mean()


def compute_l1_loss(filled: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Return the absolute error in the holes, averaged by `average_over_holes`."""
    return average_over_holes(((filled - image).abs() * mask).mean((1, 2, 3)), mask)


def compute_spectrum_loss(filled: Tensor, image: Tensor, mask: Tensor, window: int = 32) -> Tensor:
    """Return how far the spectra of windows in the holes are from those of the original.

    Amplitudes alone are compared, so that the texture may lie anywhere. A streak is energy in
    one direction that the original does not have; neither L1 nor the moments of features, which
    forget directions, mind it. Frequencies that are further off weigh more, as in the focal
    frequency loss, which compares phases, too.

    Parameters
    ----------
    filled, image : (N, 3, H, W) Tensor
        RGB in [0, 1]; H and W at least `window`.
    mask : (N, 1, H, W) Tensor
        1 in the hole.
    window : int
        Side of the windows, in pixels; they overlap by half.

    Returns
    -------
    loss : scalar Tensor
        Difference of the amplitudes, weighted by itself (the largest difference in a window has
        the weight 1), averaged over frequencies, and over windows by their share of hole.

    References
    ----------
    .. [1] Jiang et al., Focal Frequency Loss for Image Reconstruction and Synthesis, ICCV 2021
    """
    taper = torch.hann_window(window, device=image.device)
    taper = taper[:, None] * taper

    def cut(x: Tensor) -> Tensor:  # (N, windows, C, window, window)
        parts = x.float().unfold(2, window, window // 2).unfold(3, window, window // 2)
        return parts.flatten(2, 3).transpose(1, 2)

    share = cut(mask).mean((2, 3, 4))
    real, fake = (torch.fft.rfft2(cut(x) * taper, norm="ortho") for x in (image, filled))
    # The small number keeps the slope of the root finite where an amplitude is 0.
    amplitude = (fake.real.square() + fake.imag.square() + 1e-8).sqrt()
    difference = (amplitude - (real.abs().square() + 1e-8).sqrt()).abs()
    focus = difference.detach() / difference.detach().amax((3, 4), keepdim=True).clamp(min=1e-6)
    error = (focus * difference).mean((2, 3, 4))
    return (share.square() * error).sum() / share.square().sum().clamp(min=1.0)


class PerceptualDistance(nn.Module):
    """The distance of channel-normalised VGG features, weighted by learned linear layers.

    The convolutions and weights come from a shift-tolerant LPIPS file. Between the slices there
    is plain 2x2 max-pooling, where that network also blurs: it is quicker, and good enough for a
    loss. So the values are not ST-LPIPS distances. Everything runs in `dtype` and outside of
    autocast, which would promote the squares to float32.

    Parameters
    ----------
    path : Path
        A VGG-16 state dict with keys ``net.slice<k>.<i>.weight`` and ``lin<k>.model.1.weight``.
    dtype : torch.dtype
        bfloat16 if the processor multiplies it fast, else float32.

    References
    ----------
    .. [1] Zhang et al., The Unreasonable Effectiveness of Deep Features, CVPR 2018
    .. [2] Ghildyal & Liu, Shift-Tolerant Perceptual Similarity Metric, ECCV 2022
    .. [3] Liu et al., Image Inpainting for Irregular Holes Using Partial Convolutions, ECCV 2018
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, path: Path, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.dtype = dtype
        weights = torch.load(path, map_location="cpu", weights_only=True)
        self.register_buffer("shift", weights["scaling_layer.shift"])
        self.register_buffer("scale", weights["scaling_layer.scale"])
        self.slices = nn.ModuleList()
        for k, numbers in enumerate(VGG_SLICES):
            layers = nn.ModuleList()
            for i in numbers:
                weight = weights[f"net.slice{k + 1}.{i}.weight"]
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                layer.load_state_dict(
                    {"weight": weight, "bias": weights[f"net.slice{k + 1}.{i}.bias"]}
                )
                layers.append(layer)
            self.slices.append(layers)
            self.register_buffer(f"lin{k}", weights[f"lin{k}.model.1.weight"].clamp(min=0.0))
        self.requires_grad_(False)
        self.to(dtype, memory_format=torch.channels_last)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return one feature map per slice for images in [0, 1]."""
        x = ((images * 2.0 - 1.0 - self.shift) / self.scale).to(self.dtype)
        maps = []
        for k, layers in enumerate(self.slices):
            x = x if k == 0 else F.max_pool2d(x, 2)
            for layer in layers:
                x = F.relu_(layer(x))
            maps.append(x)
        return maps

    def forward(
        self, filled: Tensor, image: Tensor, mask: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the distance of the features, and the distance of their moments in the hole.

        Parameters
        ----------
        filled, image : (N, 3, H, W) Tensor
            RGB in [0, 1].
        mask : (N, 1, h, w) Tensor
            1 in the hole; the size may differ from the images'.
        weight : (N, 1, h, w) Tensor, optional
            Weight of the distance at every position, e.g. by `compute_rim_weights`; 1 if not
            given.

        Returns
        -------
        distance : scalar Tensor
            Squared difference of the features at each position, averaged by
            `average_over_holes`.
        moments : scalar Tensor
            Squared difference of the features' means and deviations over the hole. It asks for
            the right texture, wherever it lies (compare the style loss of [3]_).
        """
        with torch.no_grad():
            target = [_normalise(x) for x in self.features(image)]
        distance = moments = filled.new_zeros(len(filled))
        for k, (a, b) in enumerate(zip(self.features(filled), target, strict=True)):
            a, lin = _normalise(a), self.get_buffer(f"lin{k}")
            inside = F.adaptive_avg_pool2d(mask, a.shape[2:])
            error = F.conv2d((a - b).square(), lin).float()
            if weight is not None:
                error = error * F.adaptive_avg_pool2d(weight, a.shape[2:])
            distance = distance + error.mean((1, 2, 3))
            difference = (_compute_moments(a, inside) - _compute_moments(b, inside)).square()
            moments = moments + (difference * lin.flatten()).sum((0, 2))
        of_moments = average_over_holes(moments * mask.mean((1, 2, 3)), mask)
        return average_over_holes(distance, mask), of_moments


def compute_rim_weights(mask: Tensor) -> Tensor:
    """Return weights that fall with the depth in a hole, and with the depth of its deepest place.

    Near known pixels it is clear which texture belongs there. Deep in a large hole it is not, and
    a distance position by position is lowest for streaks that no photo has. In a hole that is
    deep anywhere all weights are smaller, so that L1 decides in large holes and texture in small
    ones.

    Parameters
    ----------
    mask : (N, 1, H, W) Tensor
        1 in the hole.

    Returns
    -------
    weight : (N, 1, H, W) Tensor
        ``exp(-depth / REACH - deepest / DEEP)``.

    References
    ----------
    .. [1] Yu et al., Generative Image Inpainting with Contextual Attention, CVPR 2018, 3.2
       (the spatially discounted loss)
    """
    holes = mask[:, 0].cpu().numpy().astype(np.uint8)
    depth = np.stack([cv2.distanceTransform(hole, cv2.DIST_L2, 3) for hole in holes])[:, None]
    weight = np.exp(-depth / REACH - depth.max((1, 2, 3), keepdims=True) / DEEP)
    return torch.from_numpy(weight).to(mask.device)


def _compute_moments(x: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean and deviation of each channel, (2, N, C)."""
    weight = weight / weight.sum((2, 3), keepdim=True)
    mean = (x * weight).sum((2, 3))
    # A small number is added under the root, as the slope of the root is infinite at 0.
    variance = ((x - mean[:, :, None, None]).square() * weight).sum((2, 3))
    return torch.stack([mean, (variance + 1e-4).sqrt()])


def _normalise(x: Tensor) -> Tensor:
    """Scale the feature vector of every position to unit length."""
    return x * (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-3).reciprocal()
