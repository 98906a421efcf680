"""The patch critic: what tells filled holes from real pixels, and the losses of both sides."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from losses import average_over_holes
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SCALES = (1, 2, 4)
"""The critic looks at the image shrunk by these factors.

A score sees 54 px of the shrunk image, so that the coarsest ones see 216 px: streaks across a
large hole are wrong only as a whole.
"""


class PatchCritic(nn.Module):
    """A discriminator of patches at 1/8 of the image's size, spectrally normalised.

    Parameters
    ----------
    width : int
        Channels of the first layer.

    References
    ----------
    .. [1] Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017
    .. [2] Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018
    """

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


class Critic(nn.Module):
    """A patch critic per scale of `SCALES`."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.parts = nn.ModuleList(PatchCritic(width) for _ in SCALES)

    def forward(self, image: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor, list[Tensor]]]:
        """Return for each scale the scores, the weights of the patches and the feature maps."""
        views = []
        for part, scale in zip(self.parts, SCALES, strict=True):
            small = F.avg_pool2d(mask, scale)
            scores, maps = part(F.avg_pool2d(image, scale), small)
            views.append((scores, weight_patches(small), maps))
        return views


def weight_patches(mask: Tensor) -> Tensor:
    """Return weights of the patches: their share of hole, balanced as in `average_over_holes`.

    Their mean is about 1.
    """
    share = F.avg_pool2d(mask, 8)
    of_sample = share.mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
    return share / (of_sample * of_sample.mean()).sqrt()


def compute_critic_loss(net: Critic, filled: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Return the critic's hinge loss over the patches that touch a hole, averaged over scales."""
    losses = [
        (weight * (F.relu(1.0 - real) + F.relu(1.0 + fake))).mean()
        for (real, weight, _), (fake, _, _) in zip(net(image, mask), net(filled, mask), strict=True)
    ]
    return torch.stack(losses).mean()


def compute_adversarial_losses(
    net: Critic, filled: Tensor, image: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the inpainter's hinge loss and the feature-matching distance, averaged over scales."""
    with torch.no_grad():
        real = net(image, mask)
    fooling, matching = [], []
    for (score, weight, maps), (_, _, real_maps) in zip(net(filled, mask), real, strict=True):
        fooling.append(-(weight * score).mean())
        distances = [
            (a - b).abs().float().mean((1, 2, 3)) for a, b in zip(maps, real_maps, strict=True)
        ]
        matching.append(average_over_holes(torch.stack(distances).sum(0), mask))
    return torch.stack(fooling).mean(), torch.stack(matching).mean()


def join_gradients(others: Tensor, critics: Tensor, share: float) -> Tensor:
    """Add the critic's gradient to that of the other losses, scaled per sample to a share of it.

    A fixed weight would have to be found anew for every critic and every stage of its training.

    Parameters
    ----------
    others, critics : (N, 3, H, W) Tensor
        Gradients of the other losses, and of the loss from the critic, at the predicted pixels.
    share : float
        Length of what is added, relative to the length of `others`.

    Returns
    -------
    gradient : (N, 3, H, W) Tensor
        The gradient to walk back from.

    References
    ----------
    .. [1] Esser et al., Taming Transformers for High-Resolution Image Synthesis, CVPR 2021, eq. 7
       (there at the last layer, for the whole batch)
    """
    length, wanted = (
        torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True) for x in (critics, others)
    )
    return others + critics * (share * wanted / length.clamp(min=1e-12))
