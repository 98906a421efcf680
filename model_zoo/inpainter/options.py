"""The command line of `train.py`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

import torch


def parse_arguments(description: str | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of photos")
    add("--vgg", type=Path, required=True, help="vgg_shift_tolerant.pth (PyPI stlpips-pytorch)")
    add("--out", type=Path, required=True, help="folder for checkpoints and the log")
    add("--until", type=datetime.fromisoformat, help="stop at this time (UTC unless it has a zone)")
    add("--hours", type=float, default=1.0, help="hours until the stop, if --until is not given")
    add("--steps", type=int, help="stop at this step, if it comes before the time")
    add("--resume", action="store_true", help="continue from latest.pt in --out")
    add("--init-onnx", type=Path, help="start from the weights of an exported model")
    add("--size", type=int, default=128, help="side of the training squares")
    add("--batch", type=int, default=8)
    add("--lr", type=float, default=4e-4)
    add("--critic-lr", type=float, default=2e-4)
    add("--l1", type=float, default=1.0, help="weight of the hole L1")
    add("--perceptual", type=float, default=1.0, help="weight of the perceptual distance; 0 is off")
    add("--moments", type=float, default=0.0, help="weight of the features' moments in the hole")
    add("--spectrum", type=float, default=0.0, help="weight of the spectra in the hole; 0 is off")
    add(
        "--adversarial",
        type=float,
        default=0.0,
        help="length of the critic's gradient at the pixels, relative to the others'; 0 is off",
    )
    add("--matching", type=float, default=0.0, help="weight of the critic's feature distance")
    add(
        "--patchmatch",
        action="store_true",
        help="in holes above 64 px, aim for the texture that PatchMatch continues",
    )
    add("--fall", type=float, default=0.4, help="last share of the time in which the rate falls")
    add("--clip", type=float, default=1.0, help="largest gradient norm")
    add("--decay", type=float, default=0.999, help="decay of the averaged weights")
    add("--seed", type=int, default=0)
    add("--device", type=torch.device, help="cpu or cuda (default: cuda if there is one)")
    add("--threads", type=int, default=2, help="1 is faster beside other programs")
    add("--loaders", type=int, default=1, help="threads that draw batches; 8 for a GPU")
    add("--n-checks", type=int, default=80, help="held-out photos to validate on")
    add("--log-steps", type=int, default=50, help="steps that a line of the log averages")
    add("--check-minutes", type=float, default=5.0)
    add("--save-minutes", type=float, default=3.0)
    args = parser.parse_args()
    args.device = args.device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    until = args.until
    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    args.begin = time.time()
    args.deadline = until.timestamp() if until else args.begin + args.hours * 3600
    return args
