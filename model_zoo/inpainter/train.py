"""Train the inpainter on a folder of photos, until a given time, and resume from checkpoints."""

from __future__ import annotations

import argparse
import json
import logging
import math
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import numpy as np
import torch
import torch.nn.functional as F
from critic import compute_adversarial_losses, compute_critic_loss, join_gradients
from losses import (
    PerceptualDistance,
    compute_l1_loss,
    compute_rim_weights,
    compute_spectrum_loss,
)
from options import parse_arguments
from photos import (
    Batch,
    iterate_training_batches,
    make_held_out_batches,
    read_photo,
    split_photos,
)
from state import State, load_onnx_weights, make_state
from torch import Tensor, nn

log = logging.getLogger("inpainter")


def find_fast_dtype(device: torch.device) -> torch.dtype:
    """Return the faster of bfloat16 and float32 on this device, by timing both.

    With matrix units bfloat16 is several times faster; without AVX-512 it is emulated and ten
    times slower, and GPUs before 2020 emulate it, too.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        layer = nn.Conv2d(64, 64, 3, padding=1, dtype=dtype, device=device)
        x = torch.zeros(2, 64, 64, 64, dtype=dtype, device=device)
        x = x.contiguous(memory_format=torch.channels_last)
        for _ in range(3):  # the first run sets up
            start = time.perf_counter()
            layer(x).sum().backward()
            float(layer.bias.grad.sum())  # waits for the device
            seconds[dtype] = time.perf_counter() - start
    return min(seconds, key=seconds.__getitem__)


def make_autocast(args: argparse.Namespace) -> torch.autocast:
    """Return the context for mixed precision, which does nothing for float32."""
    return torch.autocast(args.device.type, torch.bfloat16, enabled=args.dtype == torch.bfloat16)


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the running average of the weights towards the network's weights."""
    for a, b in zip(average.parameters(), net.parameters(), strict=True):
        a.lerp_(b, 1.0 - decay)


def compute_perceptual(
    step: int, perceptual: PerceptualDistance, filled: Tensor, image: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the distances at full size on every tenth step, else at half size.

    Half size is four times cheaper.
    """
    weight = compute_rim_weights(mask)
    if step % 10:
        filled, image = F.avg_pool2d(filled, 2), F.avg_pool2d(image, 2)
    return perceptual(filled, image, mask, weight)


def run_step(
    state: State, perceptual: PerceptualDistance, batch: Batch, args: argparse.Namespace
) -> dict[str, float]:
    """Update the network, and the critic if its share is not 0; return the losses.

    L1 is that to the image; all other losses are about the texture.
    """
    image, mask, texture = batch
    with make_autocast(args):
        raw = state.net.predict(image, mask)
    # Not clipped: a clipped value would have no gradient.
    filled = torch.where(mask > 0.5, raw, image)
    terms = {"l1": compute_l1_loss(filled, image, mask)}
    loss = args.l1 * terms["l1"]
    if args.perceptual > 0:
        distance, moments = compute_perceptual(state.step, perceptual, filled, texture, mask)
        terms |= {"perceptual": distance, "moments": moments}
        loss = loss + args.perceptual * distance + args.moments * moments
    if args.spectrum > 0:
        terms["spectrum"] = compute_spectrum_loss(filled, texture, mask)
        loss = loss + args.spectrum * terms["spectrum"]
    if args.adversarial > 0:
        terms["critic"] = run_critic_step(state, filled.detach(), texture, mask, args)
        with make_autocast(args):
            fooling, matching = compute_adversarial_losses(state.critic, filled, texture, mask)
        terms |= {"fooling": fooling, "matching": matching}
        loss = loss + args.matching * matching
        (gradient,) = torch.autograd.grad(loss, raw, retain_graph=True)
        (of_critic,) = torch.autograd.grad(fooling, raw)
        # A new critic knows nothing yet.
        share = args.adversarial * min(1.0, state.step / 200)
        gradient = join_gradients(gradient, of_critic, share)
    else:
        (gradient,) = torch.autograd.grad(loss, raw)
    state.optimiser.zero_grad()
    raw.backward(gradient)
    terms["gradient"] = nn.utils.clip_grad_norm_(state.net.parameters(), args.clip)
    state.optimiser.step()
    update_average(state.average, state.net, min(args.decay, (1 + state.step) / (10 + state.step)))
    return {name: float(value.detach()) for name, value in terms.items()}


def run_critic_step(
    state: State, filled: Tensor, image: Tensor, mask: Tensor, args: argparse.Namespace
) -> Tensor:
    """Update the critic on one batch; return its loss."""
    with make_autocast(args):
        loss = compute_critic_loss(state.critic, filled, image, mask)
    state.critic_optimiser.zero_grad()
    loss.backward()
    state.critic_optimiser.step()
    return loss


@torch.no_grad()
def measure_held_out_losses(
    net: nn.Module,
    perceptual: PerceptualDistance,
    batches: list[tuple[Tensor, Tensor]],
    args: argparse.Namespace,
) -> dict[str, float]:
    """Return the mean of every loss that needs no critic over the held-out batches."""
    rows = []
    for image, mask in batches:
        image, mask = image.to(args.device), mask.to(args.device)
        with make_autocast(args):
            filled = net(image, mask)
        losses = (
            compute_l1_loss(filled, image, mask),
            *perceptual(filled, image, mask),
            compute_spectrum_loss(filled, image, mask),
        )
        rows.append([float(loss) for loss in losses])
    names = ("held_out_l1", "held_out_perceptual", "held_out_moments", "held_out_spectrum")
    return dict(zip(names, map(float, np.mean(rows, 0)), strict=True))


def set_rate(state: State, args: argparse.Namespace) -> None:
    """Set the learning rate: it rises over the first 200 steps and falls at the end.

    The fall is a quarter of a cosine over the last `--fall` of the time, or of the steps if they
    end before. Settled weights are better than weights that still move a lot.
    """
    left = (args.deadline - time.time()) / (args.deadline - args.begin)
    if args.steps:
        left = min(left, 1.0 - state.step / args.steps)
    fall = math.sin(0.5 * math.pi * min(1.0, max(left, 0.0) / args.fall)) if args.fall else 1.0
    warm = min(1.0, (state.step + 1) / 200)
    rate = args.lr * warm * max(fall, 0.02)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    for group in state.critic_optimiser.param_groups:
        group["lr"] = args.critic_lr


def append_line(path: Path, row: dict[str, float | str]) -> None:
    """Append one JSON line to the log."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("a") as file:
        file.write(json.dumps({"time": now} | row) + "\n")


def log_losses(state: State, losses: dict[str, float], args: argparse.Namespace) -> None:
    """Append losses to the log, with the step, the time of training and the size."""
    progress = {"step": state.step, "seconds": state.seconds, "size": args.size}
    append_line(args.out / "log.jsonl", progress | losses)


def catch_signals() -> list[int]:
    """Return a list that gets a number when the process is asked to stop."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return received


def train(state: State, perceptual: PerceptualDistance, args: argparse.Namespace) -> None:
    """Train until the deadline, the last step or a signal; save checkpoints, validate and log."""
    train_files, held_out_files = split_photos(args.data)
    photos = [read_photo(path) for path in train_files]
    held_out = [read_photo(path) for path in held_out_files[: args.n_checks]]
    checks = make_held_out_batches(held_out, args.size, args.batch)
    log.info("%d photos, %d held out, step %d", len(photos), len(held_out_files), state.step)
    signals = catch_signals()
    last_save = last_check = time.time()
    rows: list[dict[str, float]] = []
    start = time.monotonic()
    batches = iterate_training_batches(
        photos,
        args.size,
        args.batch,
        seed=args.seed,
        first=state.step,
        n_threads=args.loaders,
        by_patchmatch=args.patchmatch,
    )
    for batch in batches:
        if signals or time.time() >= args.deadline or (args.steps and state.step >= args.steps):
            break
        set_rate(state, args)
        on_device = Batch(*(part.to(args.device) for part in batch))
        rows.append(run_step(state, perceptual, on_device, args))
        state.step += 1
        # A long gap means that the process was paused from outside; it is not training.
        state.seconds += min(time.monotonic() - start, 30.0)
        start = time.monotonic()
        if len(rows) == args.log_steps:
            means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
            log_losses(state, means, args)
            rows = []
        if time.time() - last_check > args.check_minutes * 60:
            validate(state, perceptual, checks, args)
            last_check = time.time()
        if time.time() - last_save > args.save_minutes * 60:
            state.save(args.out / "latest.pt")
            last_save = time.time()
    state.save(args.out / "latest.pt")
    validate(state, perceptual, checks, args)


def validate(
    state: State,
    perceptual: PerceptualDistance,
    checks: list[tuple[Tensor, Tensor]],
    args: argparse.Namespace,
) -> None:
    """Measure the averaged weights on held-out photos; save them if they are the best so far."""
    losses = measure_held_out_losses(state.average, perceptual, checks, args)
    log_losses(state, losses, args)
    score = losses["held_out_l1"] + losses["held_out_perceptual"]
    if score < state.best:
        state.best = score
        torch.save(
            {"average": state.average.state_dict(), "step": state.step} | losses,
            args.out / "best.pt",
        )


def main() -> None:
    """Set up, resume and train."""
    logging.basicConfig(level=logging.INFO)
    args = parse_arguments(__doc__)
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    args.out.mkdir(parents=True, exist_ok=True)
    state = make_state(args.seed, args.device)
    if args.init_onnx:
        load_onnx_weights(state.net, args.init_onnx)
        load_onnx_weights(state.average, args.init_onnx)
    if args.resume:
        state.load(args.out / "latest.pt")
    args.dtype = find_fast_dtype(args.device)
    log.info("computing in %s on %s", args.dtype, args.device)
    settings = [
        f"{name}={value}"
        for name, value in vars(args).items()
        if name not in {"data", "vgg", "out"}
    ]
    append_line(args.out / "log.jsonl", {"start": " ".join(settings)})
    train(state, PerceptualDistance(args.vgg, args.dtype).to(args.device), args)


if __name__ == "__main__":
    main()
