"""Training losses: hole L1, perceptual distance on a VGG trunk, patch adversary."""

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
"""Convolutions of the trunk's slices by their number in the file; slices end in a ReLU."""

REACH = 14.0
"""Depth in a hole, in pixels, by which the perceptual distance's weight falls to 1/e."""

DEEP = 14.0
"""Largest depth of a hole, in pixels, by which the weight of all of it falls to 1/e."""


def per_hole(error: Tensor, mask: Tensor) -> Tensor:
    """Average an error over a batch of holes of very different areas.

    A hole counts by the root of its area: by its area a few large holes would drown the small
    rectangles, and per hole the few pixels of the small ones would weigh too much.

    Parameters
    ----------
    error : (N,) Tensor
        Each sample's error, averaged over the whole image.
    mask : (N, 1, H, W) Tensor
        1 in the hole.

    Returns
    -------
    loss : scalar Tensor
        The error per unit of hole area, if all holes are alike.
    """
    share = mask.mean((1, 2, 3)).clamp(min=1e-3)
    return (error / (share * share.mean()).sqrt()).mean()


def hole_l1(filled: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Absolute error in the holes, averaged by `per_hole`."""
    return per_hole(((filled - image).abs() * mask).mean((1, 2, 3)), mask)


class Perceptual(nn.Module):
    """Distance of channel-normalised VGG features, weighted by learned linear layers.

    The convolutions and weights come from a shift-tolerant LPIPS file. Between the slices we
    pool by plain 2x2 maxima where that network blurs as well: it is quicker, and good enough
    for a loss. So the values are not ST-LPIPS distances. Everything runs in `dtype`, outside of
    autocast, which would promote the squares to float32.

    Parameters
    ----------
    path : Path
        A VGG-16 state dict with keys ``net.slice<k>.<i>.weight`` and ``lin<k>.model.1.weight``.
    dtype : torch.dtype
        bfloat16 where the processor multiplies it fast, else float32.

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
        """Return the distance and that of the features' moments in the hole.

        Parameters
        ----------
        filled, image : (N, 3, H, W) Tensor
            RGB in [0, 1].
        mask : (N, 1, h, w) Tensor
            1 in the hole, at any size.
        weight : (N, 1, h, w) Tensor, optional
            Weight of the distance at every position, e.g. `near_rim`; 1 if not given.

        Returns
        -------
        distance : scalar Tensor
            Squared difference of the features, position by position, averaged by `per_hole`.
        moments : scalar Tensor
            Squared difference of the features' means and deviations over the hole, which asks
            for the right texture without asking where it lies (compare the style loss of [3]_).
        """
        with torch.no_grad():
            target = [_unit(x) for x in self.features(image)]
        distance = moments = filled.new_zeros(len(filled))
        for k, (a, b) in enumerate(zip(self.features(filled), target, strict=True)):
            a, lin = _unit(a), self.get_buffer(f"lin{k}")
            inside = F.adaptive_avg_pool2d(mask, a.shape[2:])
            error = F.conv2d((a - b).square(), lin).float()
            if weight is not None:
                error = error * F.adaptive_avg_pool2d(weight, a.shape[2:])
            distance = distance + error.mean((1, 2, 3))
            difference = (_moments(a, inside) - _moments(b, inside)).square()
            moments = moments + (difference * lin.flatten()).sum((0, 2))
        return per_hole(distance, mask), per_hole(moments * mask.mean((1, 2, 3)), mask)


def near_rim(mask: Tensor) -> Tensor:
    """Weights that fall with the depth in a hole, and with that of its deepest place.

    Next to known pixels it is known what texture belongs there. Deep in a large hole it is not,
    and a distance position by position is lowest for streaks that no photo has. Of a hole that
    is deep anywhere all weights are less, so that there L1 decides, and in small ones texture.

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
       (its spatially discounted loss)
    """
    holes = mask[:, 0].numpy().astype(np.uint8)
    depth = np.stack([cv2.distanceTransform(hole, cv2.DIST_L2, 3) for hole in holes])[:, None]
    return torch.from_numpy(np.exp(-depth / REACH - depth.max((1, 2, 3), keepdims=True) / DEEP))


def _moments(x: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean and deviation of each channel, (2, N, C)."""
    weight = weight / weight.sum((2, 3), keepdim=True)
    mean = (x * weight).sum((2, 3))
    # Under the root a little more than nothing: its slope at 0 is infinite.
    variance = ((x - mean[:, :, None, None]).square() * weight).sum((2, 3))
    return torch.stack([mean, (variance + 1e-4).sqrt()])


def _unit(x: Tensor) -> Tensor:
    """Scale the feature vector of every position to unit length."""
    return x * (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-3).reciprocal()


class Discriminator(nn.Module):
    """Patch discriminator at 1/8 of the image's size, spectrally normalised."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        sizes = [4, width, 2 * width, 4 * width]
        self.blocks = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(sizes)
        )
        self.blocks.append(spectral_norm(nn.Conv2d(sizes[-1], sizes[-1], 3, 1, 1)))
        self.last = spectral_norm(nn.Conv2d(sizes[-1], 1, 3, 1, 1))

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the patch scores (N, 1, H/8, W/8) and the feature maps on the way."""
        x = torch.cat([image * 2.0 - 1.0, mask], 1)
        maps = []
        for block in self.blocks:
            x = F.leaky_relu(block(x), 0.2)
            maps.append(x)
        return self.last(x).float(), maps


def hole_patches(mask: Tensor) -> Tensor:
    """Weights of the patches: their share of hole, balanced as in `per_hole`, mean about 1."""
    share = F.avg_pool2d(mask, 8)
    of_sample = share.mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
    return share / (of_sample * of_sample.mean()).sqrt()


def discriminator_loss(net: Discriminator, filled: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Hinge loss over the patches that touch a hole."""
    weight = hole_patches(mask)
    real, fake = net(image, mask)[0], net(filled, mask)[0]
    return (weight * (F.relu(1.0 - real) + F.relu(1.0 + fake))).mean()


def adversarial_loss(
    net: Discriminator, filled: Tensor, image: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the generator's hinge term and the feature-matching distance."""
    with torch.no_grad():
        real_maps = net(image, mask)[1]
    score, maps = net(filled, mask)
    matching = torch.stack(
        [(a - b).abs().float().mean((1, 2, 3)) for a, b in zip(maps, real_maps, strict=True)]
    ).sum(0)
    return -(hole_patches(mask) * score).mean(), per_hole(matching, mask)
