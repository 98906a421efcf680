"""The same curves of the same heatmaps by Quantus and by RISE's evaluation, and by us.

    python -m benchmarks.evaluation_peers --environment FOLDER

makes FOLDER a virtual environment with Quantus and this checkout, if it is not one yet, and
runs there. Curves are first compared number by number; then each peer and onnxplain take
turns on the same photos, heatmaps and steps, and the ratio is pair by pair.

What each peer is given: an ONNX Runtime session on two threads, all photos as one batch for
Quantus, which asks for one step of all of them at a time. RISE's evaluation is its program's
loop written again: one image a call, as ``CausalMetric.single_run`` has it. onnxplain judges
one photo after the other by the plain functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import inside, machine, photo, seconds, spread

PEERS = ("torch", "quantus")
STEP, PATCH, REGIONS = 224 * 8, 8, 100
MEAN = np.float32((0.485, 0.456, 0.406))

Array = NDArray[Any]
Predict = Callable[[Array], Array]  # images (N, 3, H, W) in [0, 1] to probabilities


@click.command(help=__doc__)
@click.option("--environment", type=click.Path(path_type=Path), help="Folder for the peers.")
@click.option("--rounds", default=5, show_default=True, help="Pairs of runs.")
@click.option("--images", "n_images", default=8, show_default=True, help="Photos.")
def main(environment: Path | None, rounds: int, n_images: int) -> None:
    if environment is not None:
        words = ("--rounds", str(rounds), "--images", str(n_images))
        inside(environment, PEERS, "benchmarks.evaluation_peers", words)
        return
    compare(rounds, n_images)


def compare(rounds: int, n_images: int) -> None:
    """Print the table."""
    import onnxplain
    from onnxplain import metrics
    from onnxplain.zoo import build_model

    path = build_model("efficientnet-lite0")
    classifier = onnxplain.load(path, device="cpu")
    image = photo(classifier.size[0])
    images = np.stack([np.roll(image, 9 * i, axis=1) for i in range(n_images)])
    maps = np.random.default_rng(0).random((n_images, *classifier.size))
    target = int(classifier.scores(image[None]).argmax())
    predict = session(path)

    def ours(judge: Any, **more: Any) -> Array:
        return np.array(
            [
                judge(classifier, one, heatmap, target, **more).details["curve"]
                for one, heatmap in zip(images, maps, strict=True)
            ]
        )

    regions = partial(ours, metrics.morf, patch=PATCH, steps=REGIONS, fill="black")
    # Quantus flips colours, not pixels, in steps that must divide the number of pixels: three
    # of its steps are one of STEP pixels. As many steps of ours are timed.
    n_flips = 3 * math.ceil(maps[0].size / STEP)
    many = partial(ours, metrics.deletion, step=math.ceil(maps[0].size / n_flips), fill="black")
    few = partial(ours, metrics.deletion, step=STEP, fill="black")
    runs = {
        "Quantus PixelFlipping": (
            partial(pixel_flipping, predict, images, maps, target),
            few,
            many,
        ),
        "Quantus RegionPerturbation": (
            partial(region_perturbation, predict, images, maps, target),
            *(regions, regions),
        ),
        "RISE's evaluation, written again": (
            partial(rise, predict, images, maps, target),
            *(partial(ours, metrics.deletion, step=STEP),) * 2,
        ),
    }
    print(machine())
    print(", ".join(f"{name} {version(name)}" for name in PEERS) + f"; {n_images} photos\n")
    print("| peer | evaluations | ours | largest difference | peer, s | onnxplain, s | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, (run, own, timed) in runs.items():
        curves, found = run(), own()
        every = curves[:, 2::3] if timed is many else curves
        difference = np.abs(every - found[:, -every.shape[1] :]).max()
        assert difference < 1e-3, (name, difference)
        times = [(seconds(run), seconds(timed)) for _ in range(rounds)]
        peer, mine = ([one[i] for one in times] for i in (0, 1))
        ratio = spread([a / b for a, b in times], 2)
        print(
            f"| {name} | {curves.size} | {timed().size} | {difference:.1e} | {spread(peer, 2)} "
            f"| {spread(mine, 2)} | {ratio} |"
        )


def session(path: Path) -> Predict:
    """The classifier on two threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    made = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = made.get_inputs()[0].name

    def predict(images: Array) -> Array:
        raw = made.run(None, {name: ((images * 255 - 127) / 128).astype(np.float32)})[0]
        exp = np.exp(raw - raw.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    return predict


def quantus_model(predict: Predict) -> Any:
    """The classifier as the PyTorch module that Quantus takes."""
    import torch

    class Module(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.from_numpy(predict(x.numpy()))

    return Module().eval()


def pixel_flipping(predict: Predict, images: Array, maps: Array, target: int) -> Array:
    """Scores after each step."""
    import quantus

    metric = quantus.PixelFlipping(features_in_step=STEP, disable_warnings=True)
    return by_quantus(metric, predict, images, maps, target)


def region_perturbation(predict: Predict, images: Array, maps: Array, target: int) -> Array:
    """Scores after each region; Quantus tells how much they fell."""
    import quantus

    metric = quantus.RegionPerturbation(
        patch_size=PATCH, regions_evaluation=REGIONS, disable_warnings=True
    )
    drops = by_quantus(metric, predict, images, maps, target)
    before = predict(images.transpose(0, 3, 1, 2))[:, target]
    return before[:, None] - drops


def by_quantus(metric: Any, predict: Predict, images: Array, maps: Array, target: int) -> Array:
    scores = metric(
        model=quantus_model(predict),
        x_batch=np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
        y_batch=np.full(len(images), target),
        a_batch=maps[:, None],
        device="cpu",
        softmax=False,
        batch_size=len(images),
    )
    return np.array(scores)


def rise(predict: Predict, images: Array, maps: Array, target: int) -> Array:
    """The loop of RISE's evaluation: deletion to the mean colour, one image a call."""
    curves = []
    for image, heatmap in zip(images, maps, strict=True):
        start = image.transpose(2, 0, 1)[None].copy()
        finish = np.broadcast_to(MEAN[:, None, None], start.shape).reshape(1, 3, -1)
        order = np.flip(np.argsort(heatmap.reshape(-1)))
        n_steps = math.ceil(heatmap.size / STEP)
        scores = []
        for i in range(n_steps + 1):
            scores.append(predict(start)[0, target])
            chosen = order[STEP * i : STEP * (i + 1)]
            start.reshape(1, 3, -1)[0, :, chosen] = finish[0, :, chosen]
        curves.append(scores)
    return np.array(curves)


if __name__ == "__main__":
    main()
