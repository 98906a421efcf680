"""Training losses: L1 in the hole, perceptual distance on a VGG trunk, patch critic."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

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
            for layer in layers:  # type: ignore[union-attr]  # a ModuleList, typed as Module
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
    holes = mask[:, 0].numpy().astype(np.uint8)
    depth = np.stack([cv2.distanceTransform(hole, cv2.DIST_L2, 3) for hole in holes])[:, None]
    return torch.from_numpy(np.exp(-depth / REACH - depth.max((1, 2, 3), keepdims=True) / DEEP))


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


class Critic(nn.Module):
    """A discriminator of patches at 1/8 of the image's size, spectrally normalised."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        sizes = [4, width, 2 * width, 4 * width]
        self.blocks = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(sizes)
        )
        self.blocks.append(spectral_norm(nn.Conv2d(sizes[-1], sizes[-1], 3, 1, 1)))
        self.last = spectral_norm(nn.Conv2d(sizes[-1], 1, 3, 1, 1))

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the patch scores (N, 1, H/8, W/8) and the feature maps of the layers."""
        x = torch.cat([image * 2.0 - 1.0, mask], 1)
        maps = []
        for block in self.blocks:
            x = F.leaky_relu(block(x), 0.2)
            maps.append(x)
        return self.last(x).float(), maps


def weight_patches(mask: Tensor) -> Tensor:
    """Return weights of the patches: their share of hole, balanced as in `average_over_holes`.

    Their mean is about 1.
    """
    share = F.avg_pool2d(mask, 8)
    of_sample = share.mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
    return share / (of_sample * of_sample.mean()).sqrt()


def compute_critic_loss(net: Critic, filled: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Return the critic's hinge loss over the patches that touch a hole."""
    weight = weight_patches(mask)
    real, fake = net(image, mask)[0], net(filled, mask)[0]
    return (weight * (F.relu(1.0 - real) + F.relu(1.0 + fake))).mean()


def compute_adversarial_losses(
    net: Critic, filled: Tensor, image: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the inpainter's hinge loss and the feature-matching distance."""
    with torch.no_grad():
        real_maps = net(image, mask)[1]
    score, maps = net(filled, mask)
    matching = torch.stack(
        [(a - b).abs().float().mean((1, 2, 3)) for a, b in zip(maps, real_maps, strict=True)]
    ).sum(0)
    return -(weight_patches(mask) * score).mean(), average_over_holes(matching, mask)
