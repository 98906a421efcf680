"""Patches scored from what they change, against the usual way: gain and largest difference.

    pip install torch torchvision onnx
    python -m benchmarks.incremental export /tmp/nets resnet50 mobilenet_v2 vgg11_bn vgg16_bn
    python -m benchmarks.incremental run efficientnet-lite0 /tmp/nets/*.onnx

Both ways score the same random positions of the same patch in turn, in one thread. Exported
networks have random weights; their normalisations are calibrated, and the last layer is scaled so
that probabilities differ from image to image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

import onnxplain
from benchmarks.common import (
    describe_machine,
    device_option,
    format_spread,
    measure_cpu,
    measure_seconds,
    read_photo,
)
from onnxplain.core.protocols import Part
from onnxplain.masks.families import PatchMasks
from onnxplain.runtime import OnnxClassifier

SIDE, N_CLASSES = 224, 1000


@click.group(help=__doc__)
def main() -> None: ...


@main.command(help="Measure models: names of the zoo, or exported files.")
@click.argument("models", nargs=-1, required=True)
@click.option("--patch", "patches", type=int, multiple=True, default=(29, 16), show_default=True)
@click.option("--positions", default=32, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@device_option
def run(
    models: Sequence[str], patches: Sequence[int], positions: int, rounds: int, device: str
) -> None:
    print(f"{describe_machine()}, device {device}\n")
    print("| model | patch | CPU seconds | clock | largest difference | changes scores by |")
    print("|---|---|---|---|---|---|")
    for model in models:
        classifier = load(model, device)
        for patch in patches:
            figures = compare(classifier, patch, positions, rounds)
            print(f"| {Path(model).stem} | {patch} | {' | '.join(figures)} |", flush=True)


@main.command(help="Export networks of torchvision with random weights to a folder.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("networks", nargs=-1, required=True)
def export(folder: Path, networks: Sequence[str]) -> None:
    import torch
    import torchvision

    folder.mkdir(parents=True, exist_ok=True)
    for name in networks:
        torch.manual_seed(0)
        network = calibrate(getattr(torchvision.models, name)())
        torch.onnx.export(
            torch.nn.Sequential(network, torch.nn.Softmax(1)).eval(),
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(folder / f"{name}.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
        )


def calibrate(network: Any) -> Any:
    """Let normalisations fit smooth noise, and the last layer give logits that spread by 3."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain mean over what is seen
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    coarse = torch.randn(8, 3, 14, 14)
    images = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
    with torch.no_grad():
        for batch in images.split(4):
            network.train()(batch)
        last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)][-1]
        factor = 3 / network.eval()(images[:4]).std()
        last.weight *= factor
        last.bias *= factor
    return network


def load(model: str, device: str) -> OnnxClassifier:
    """Load a model of the zoo, or an exported network."""
    if not model.endswith(".onnx"):
        return onnxplain.load(model, device=device)
    return onnxplain.load(
        model,
        device=device,
        range=(0, 1),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        class_names=[f"class {place}" for place in range(N_CLASSES)],
    )


def compare(classifier: OnnxClassifier, patch: int, positions: int, rounds: int) -> list[str]:
    """Return how many times as fast it is, the largest difference, and what a patch changes."""
    image = read_photo(SIDE)
    planes = classifier.planes(image, np.full_like(image, image.mean()))
    corners = np.random.default_rng(1).integers(0, SIDE - patch + 1, (positions, 2))
    part = Part(planes, PatchMasks(corners, patch, (SIDE, SIDE)), 0, positions)
    answer, usual = classifier.changed_scores([part]), classifier.masked_scores([part])
    facts = answer.facts["incremental"]
    if not facts["used"]:
        return ["1", "1", f"not used: {facts['why']}", ""]
    ways = partial(classifier.masked_scores, [part]), partial(classifier.changed_scores, [part])
    cpu: list[float] = []
    clock: list[float] = []
    for _ in range(rounds):
        for measure, gains in ((measure_cpu, cpu), (measure_seconds, clock)):
            slow, quick = (measure(way) for way in ways)
            gains.append(slow / quick)
    difference = float(np.abs(answer.scores - usual).max())
    change = float(np.ptp(usual, axis=0).max())
    return [
        format_spread(cpu, 2),
        format_spread(clock, 2),
        f"{difference:.1e}",
        f"{change:.2g}",
    ]


if __name__ == "__main__":
    main()
