"""Networks and optimisers in training, their checkpoints, and weights from an exported graph."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from critic import Critic
from network import Inpainter


@dataclass
class State:
    """Everything that a checkpoint holds.

    Batches are drawn by a generator seeded with (seed, step), so that the step alone restores
    the state of the randomness.
    """

    net: Inpainter
    average: Inpainter
    critic: Critic
    optimiser: torch.optim.Optimizer
    critic_optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    best: float = field(default=float("inf"))

    def save(self, path: Path) -> None:
        """Write the checkpoint; if this is interrupted, the old file stays whole."""
        parts = {
            name: value.state_dict() if hasattr(value, "state_dict") else value
            for name, value in vars(self).items()
        }
        torch.save(parts, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def load(self, path: Path) -> None:
        """Read a checkpoint written by `save`, on whatever device it was written."""
        parts = torch.load(path, map_location="cpu", weights_only=True)
        for name, value in vars(self).items():
            if hasattr(value, "load_state_dict"):
                value.load_state_dict(parts[name])
            else:
                setattr(self, name, parts[name])


def make_state(seed: int, device: torch.device) -> State:
    """Return the state before the first step: new networks and optimisers."""
    torch.manual_seed(seed)
    net: Inpainter = Inpainter().to(device, memory_format=torch.channels_last)
    critic: Critic = Critic().to(device, memory_format=torch.channels_last)
    return State(
        net,
        copy.deepcopy(net).requires_grad_(False),
        critic,
        torch.optim.AdamW(net.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=1e-4),
        torch.optim.AdamW(critic.parameters(), 1e-3, betas=(0.5, 0.99), weight_decay=1e-4),
    )


def load_onnx_weights(net: Inpainter, path: Path) -> None:
    """Load the network's weights from an ONNX file that `export.py` wrote."""
    tensors = {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in onnx.load(path).graph.initializer
    }
    net.load_state_dict({name: tensors[name] for name in net.state_dict()})
