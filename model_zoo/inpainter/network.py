"""The inpainter: a first guess by push-pull, refined by a slim residual U-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MULTIPLE = 16
"""Height and width must be multiples of this."""


def push_pull(image: Tensor, mask: Tensor, levels: int = 4) -> Tensor:
    """Fill holes smoothly from a pyramid of averages of the known pixels.

    A cell of the pyramid counts as known if any pixel in it is known, so that a hole is filled
    from the finest level with a known cell.

    Parameters
    ----------
    image : (N, 3, H, W) Tensor
        Pixels; those in the hole are not read.
    mask : (N, 1, H, W) Tensor
        1 in the hole, 0 where the pixel is known.
    levels : int
        Number of halvings; beyond them the mean of all known pixels is used.

    Returns
    -------
    filled : (N, 3, H, W) Tensor
        Smooth in the hole, equal to the image elsewhere.

    References
    ----------
    .. [1] Gortler et al., The Lumigraph, SIGGRAPH 1996 (pull-push)
    """
    known = 1.0 - mask
    pyramid = [(image * known, known)]
    for _ in range(levels):
        colour, weight = pyramid[-1]
        weight = F.avg_pool2d(weight, 2)
        # Cells of the finer level are 0 or 1, so a weight here is 0 or at least 1/4.
        scale = (4.0 * weight).clamp(max=1.0) / weight.clamp(min=0.1)
        pyramid.append((F.avg_pool2d(colour, 2) * scale, weight * scale))
    colour, weight = pyramid[-1]
    mean = colour.mean((2, 3), keepdim=True) / weight.mean((2, 3), keepdim=True).clamp(min=1e-6)
    weight = weight + 1e-3  # gives the mean colour where no known pixel is near
    colour = colour + 1e-3 * mean
    for _ in range(2):
        colour = F.avg_pool2d(colour, 3, 1, 1)
        weight = F.avg_pool2d(weight, 3, 1, 1)
    filled = colour / weight
    for colour, weight in reversed(pyramid[:-1]):
        coarse = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        filled = colour + (1.0 - weight) * coarse
    return filled


def _make_conv(
    n_in: int, n_out: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, gain: float = 1.0
) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, kernel, stride, dilation * (kernel // 2), dilation)
    nn.init.kaiming_normal_(layer.weight, 0.2)
    with torch.no_grad():
        layer.weight.mul_(gain)
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input.

    Nothing is normalised over the batch or the image, so that a sample's result depends on that
    sample alone. The small gain of the second convolution keeps the start of training stable.
    """

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _make_conv(width, width, dilation=dilation)
        self.second = _make_conv(width, width, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined features, in the same shape."""
        return x + self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.2)), 0.2))


class Attention(nn.Module):
    """Multi-head self-attention over all positions of a coarse feature map.

    Linear maps are 1x1 convolutions, so that every weight keeps its name in an ONNX file.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.norm = nn.LayerNorm(width)
        self.qkv = _make_conv(width, 3 * width, 1, gain=0.7)
        self.out = _make_conv(width, width, 1, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features plus the attended features, in the same shape."""
        n, c, h, w = x.shape
        tokens = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        q, k, v = self.qkv(tokens).reshape(n, 3, self.heads, self.depth, h * w).unbind(1)
        weights = (q.transpose(2, 3) * self.depth**-0.5 @ k).softmax(-1)
        mixed = v @ weights.transpose(2, 3)
        return x + self.out(mixed.reshape(n, c, h, w))


class UpBlock(nn.Module):
    """Doubles the size, narrows the features and joins them with the encoder's."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.narrow = _make_conv(n_in, n_out, 1)
        self.join = _make_conv(2 * n_out, n_out, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return features in the shape of `skip`."""
        x = F.interpolate(self.narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.join(torch.cat([x, skip], 1))


class Inpainter(nn.Module):
    """A network that fills the holes of images; known pixels stay the same to the bit.

    Parameters
    ----------
    widths : tuple of int
        Channels at 1/2, 1/4, 1/8 and 1/16 of the image's size.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 128, 192)) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.stem = _make_conv(16, w2)
        self.enc2 = ResidualBlock(w2)
        self.down4 = _make_conv(w2, w4, stride=2)
        self.enc4 = ResidualBlock(w4)
        self.down8 = _make_conv(w4, w8, stride=2)
        self.enc8 = ResidualBlock(w8, 2)
        self.down16 = _make_conv(w8, w16, stride=2)
        self.middle = nn.Sequential(
            ResidualBlock(w16),
            Attention(w16),
            ResidualBlock(w16, 2),
            Attention(w16),
            ResidualBlock(w16),
        )
        self.up8 = UpBlock(w16, w8)
        self.dec8 = ResidualBlock(w8)
        self.up4 = UpBlock(w8, w4)
        self.dec4 = ResidualBlock(w4)
        self.up2 = UpBlock(w4, w2)
        self.dec2 = ResidualBlock(w2)
        self.head = _make_conv(w2, 12, gain=0.1)

    def predict(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return the unclipped prediction for every pixel, (N, 3, H, W)."""
        guess = push_pull(image, mask)
        x2 = self.enc2(self.stem(F.pixel_unshuffle(torch.cat([guess - 0.5, mask], 1), 2)))
        x4 = self.enc4(self.down4(x2))
        x8 = self.enc8(self.down8(x4))
        x = self.middle(self.down16(x8))
        x = self.dec8(self.up8(x, x8))
        x = self.dec4(self.up4(x, x4))
        x = self.dec2(self.up2(x, x2))
        return guess + F.pixel_shuffle(self.head(F.leaky_relu(x, 0.2)), 2).float()

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Fill the holes.

        Parameters
        ----------
        image : (N, 3, H, W) Tensor
            RGB in [0, 1]; pixels in the hole are not read.
        mask : (N, 1, H, W) Tensor
            1 in the hole, 0 where the pixel is known.

        Returns
        -------
        filled : (N, 3, H, W) Tensor
            RGB in [0, 1]; known pixels are those of the image.
        """
        return torch.where(mask > 0.5, self.predict(image, mask).clamp(0.0, 1.0), image)
