"""Small random PyTorch networks with all that relevance passes, and their ONNX files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto
from torch import nn

SIZE, CLASSES = (16, 20), 5


class Sum(nn.Module):
    """Adds its operands; other programs hang their rules on a module."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.add = make()

    def forward(self, *operands: Any) -> Any:
        return self.add(torch.stack(operands, dim=-1))


class Plain(nn.Module):
    """Convolutions, pooling, and two dense layers, as in VGG."""

    def __init__(self, activation: Any = nn.ReLU, *, bias: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.Conv2d(3, 8, 3, padding=1, bias=bias),
                nn.BatchNorm2d(8) if bias else nn.Identity(),
            ),
            *(activation(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1, bias=bias)),
            *(activation(), nn.Conv2d(12, 12, 3, stride=2, groups=3, bias=bias), activation()),
            *(nn.Flatten(), nn.Linear(12 * 3 * 4, 16, bias=bias), activation()),
            nn.Linear(16, CLASSES, bias=bias),
        )

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class Residual(nn.Module):
    """Two residual blocks and a global pooling, as in ResNet."""

    def __init__(self, make_sum: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8))
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(5))
        self.first = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)])
        self.second = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)])
        self.third = nn.ModuleList([nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12)])
        self.skip = nn.ModuleList([nn.Conv2d(8, 12, 1, stride=2), nn.BatchNorm2d(12)])
        self.sums = nn.ModuleList([Sum(make_sum), Sum(make_sum)])
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.dense = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        def run(pair: Any, x: Any) -> Any:
            return pair[1](pair[0](x))

        x = self.relus[0](run(self.stem, x))
        inner = self.relus[1](run(self.first, x))
        x = self.relus[2](self.sums[0](run(self.second, inner), x))
        x = self.relus[3](self.sums[1](run(self.third, x), run(self.skip, x)))
        return self.dense(self.flatten(self.pool(x)))


def settle(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network random weights, and statistics to its normalisations."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
        net.train()
        for _ in range(20):
            net(torch.rand(64, 3, *SIZE) * 2 - 1)
    return net.eval()


def export(net: nn.Module, path: Path, *, dynamo: bool = False, whole: bool = False) -> ModelProto:
    """Export a network by the older or the newer exporter, with a batch of any size.

    With `whole` the older one leaves normalisations as they are.
    """
    example = (torch.rand(2, 3, *SIZE),)
    kinds: dict[str, Any] = {"dynamic_axes": {"image": {0: "N"}, "scores": {0: "N"}}}
    if whole:
        kinds |= {
            "training": torch.onnx.TrainingMode.PRESERVE,
            "do_constant_folding": False,
        }
    if dynamo:
        kinds = {"dynamic_shapes": ({0: torch.export.Dim("N", min=1, max=64)},)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            example,
            path,
            input_names=["image"],
            output_names=["scores"],
            opset_version=18,
            dynamo=dynamo,
            **kinds,
        )
    return onnx.load(path)
