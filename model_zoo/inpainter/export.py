"""Write a checkpoint's averaged weights as an ONNX graph, and check the graph's promises."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from holes import KINDS
from network import MULTIPLE, Inpainter
from numpy.typing import NDArray

log = logging.getLogger("inpainter")

OPSET = 17
TOLERANCE = 1e-4
"""Largest allowed difference between ONNX Runtime and torch, and between batch sizes."""

LIMIT_BYTES = 16_000_000


def load_average(checkpoint: Path) -> Inpainter:
    """Load the network with a checkpoint's averaged weights, ready to run."""
    net = Inpainter()
    parts = torch.load(checkpoint, map_location="cpu", weights_only=True)
    net.load_state_dict(parts["average"])
    return net.eval()


def write_graph(net: Inpainter, path: Path, note: str) -> None:
    """Export with dynamic batch, height and width; weights keep their names."""
    axes = {0: "N", 2: "H", 3: "W"}
    example = (torch.rand(2, 3, 256, 256), (torch.rand(2, 1, 256, 256) > 0.5).float())
    torch.onnx.export(
        net,
        example,
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["image", "mask"],
        output_names=["filled"],
        dynamic_axes={"image": axes, "mask": axes, "filled": axes},
    )
    model = onnx.load(path)
    model.doc_string = (
        f"image (N, 3, H, W) RGB in [0, 1] and mask (N, 1, H, W), 1 = hole, give filled RGB in "
        f"[0, 1]; H and W are multiples of {MULTIPLE}; known pixels are the image's. {note}"
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)


def make_example_batch(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make noise images: one for each hole kind, one that is all hole and one without a hole."""
    rng = np.random.default_rng(0)
    n = len(KINDS) + 2
    image = rng.integers(0, 256, (n, *size, 3), dtype=np.uint8)
    masks = [draw(rng, image[i]) for i, draw in enumerate(KINDS.values())]
    masks += [np.ones(size, np.bool_), np.zeros(size, np.bool_)]
    mask = np.stack(masks)[:, None].astype(np.float32)
    return image.transpose(0, 3, 1, 2).astype(np.float32) / 255.0, mask


def require(holds: bool, problem: str) -> None:
    """Raise RuntimeError with the problem unless the condition holds."""
    if not holds:
        raise RuntimeError(f"the exported graph is not fit to ship: {problem}")


def check_graph(net: Inpainter, path: Path) -> None:
    """Compare the graph with torch; check known pixels, range, unread holes and batch sizes."""
    size_bytes = path.stat().st_size
    require(size_bytes <= LIMIT_BYTES, f"{size_bytes} bytes, allowed are {LIMIT_BYTES}")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"image": image, "mask": mask})[0])

    for size in ((128, 128), (256, 256), (224, 320), (512, 512)):
        image, mask = make_example_batch(size)
        filled = run(image, mask)
        with torch.no_grad():
            expected = net(torch.from_numpy(image), torch.from_numpy(mask)).numpy()
        difference = float(np.abs(filled - expected).max())
        require(difference <= TOLERANCE, f"{size}: differs from torch by {difference}")
        known = np.broadcast_to(mask == 0, image.shape)
        require(np.array_equal(filled[known], image[known]), f"{size}: known pixels changed")
        in_range = np.isfinite(filled) & (filled >= 0) & (filled <= 1)
        require(bool(in_range.all()), f"{size}: values outside [0, 1]")
        other_holes = run(np.where(known, image, 1.0 - image), mask)
        require(np.array_equal(other_holes, filled), f"{size}: pixels in the hole are read")
        single = [run(i[None], m[None]) for i, m in zip(image, mask, strict=True)]
        drift = float(np.abs(np.concatenate(single) - filled).max())
        require(drift <= TOLERANCE, f"{size}: batch size changes the result by {drift}")
        log.info("%s: torch %.1e, batch of 1 against %d %.1e", size, difference, len(mask), drift)


def main() -> None:
    """Export the graph and check it."""
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="best.pt or latest.pt of a training run")
    parser.add_argument("onnx", type=Path, help="file to write")
    parser.add_argument("--note", default="", help="a line for the graph's doc string")
    args = parser.parse_args()
    net = load_average(args.checkpoint)
    write_graph(net, args.onnx, args.note)
    check_graph(net, args.onnx)


if __name__ == "__main__":
    main()
