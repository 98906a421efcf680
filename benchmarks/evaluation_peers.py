"""Quantus and RISE's evaluation compared with onnxplain: the same curves of the same heatmaps.

    python -m benchmarks.evaluation_peers --environment FOLDER

A virtual environment with Quantus and this checkout is created in FOLDER if it is missing, and
the benchmark runs in it. First, the curves are compared value by value. Then each peer and
onnxplain take turns on the same photos, heatmaps and steps. Each ratio is the time of a peer's
run divided by the time of the onnxplain run after it.

The peers call an ONNX Runtime session on two threads. Quantus gets all photos as one batch,
because it scores one step of all photos at a time. RISE's evaluation is a reimplementation of
the loop in ``CausalMetric.single_run``, with one image per call. onnxplain judges one photo
after the other by its functions for single heatmaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import (
    describe_machine,
    device_option,
    environment_option,
    format_spread,
    measure_seconds,
    open_raw,
    read_photo,
    run_inside,
)

PEERS = ("torch", "quantus")
STEP, PATCH, REGIONS = 224 * 8, 8, 100
MEAN = np.array((0.485, 0.456, 0.406), np.float32)

Array = NDArray[Any]
Predict = Callable[[Array], Array]  # images (N, 3, H, W) in [0, 1] to probabilities


@click.command(help=__doc__)
@environment_option
@click.option("--rounds", default=5, show_default=True, help="Runs of each peer and of onnxplain.")
@click.option("--images", "n_images", default=8, show_default=True, help="Number of photos.")
@device_option
def main(environment: Path | None, rounds: int, n_images: int, device: str) -> None:
    if environment is not None:
        arguments = ("--rounds", str(rounds), "--images", str(n_images), "--device", device)
        run_inside(environment, PEERS, "benchmarks.evaluation_peers", arguments)
        return
    print_comparison(rounds, n_images, device)


class Runs(NamedTuple):
    """The runs of a peer and of onnxplain; each returns the curves of all photos."""

    peer: Callable[[], Array]
    compared: Callable[[], Array]  # ours with the peer's steps
    timed: Callable[[], Array]  # ours with as many evaluations as the peer
    first: int = 0  # index of the peer's first compared value
    every: int = 1  # step from one compared value to the next


def print_comparison(rounds: int, n_images: int, device: str) -> None:
    """Check that the curves agree, run both sides `rounds` times and print the table."""
    import onnxplain
    from onnxplain.zoo import build_model

    path = build_model("efficientnet-lite0")
    classifier = onnxplain.load(path, device=device)
    image = read_photo(classifier.size[0])
    images = np.stack([np.roll(image, 9 * i, axis=1) for i in range(n_images)])
    maps = np.random.default_rng(0).random((n_images, *classifier.size))
    target = int(classifier.scores(image[None]).argmax())
    print(describe_machine())
    print(", ".join(f"{name} {version(name)}" for name in PEERS) + f"; {n_images} photos\n")
    print("| peer | evaluations | ours | largest difference | peer, s | onnxplain, s | ratio |")
    print("|---|---|---|---|---|---|---|")
    predict = make_predict(path, device)
    for name, runs in make_runs(classifier, predict, images, maps, target).items():
        curves, own_curves = runs.peer(), runs.compared()
        compared = curves[:, runs.first :: runs.every]
        difference = np.abs(compared - own_curves[:, -compared.shape[1] :]).max()
        assert difference < 1e-3, (name, difference)
        times = [(measure_seconds(runs.peer), measure_seconds(runs.timed)) for _ in range(rounds)]
        peer, own = (list(seconds) for seconds in zip(*times, strict=True))
        ratio = format_spread([a / b for a, b in times], 2)
        print(
            f"| {name} | {curves.size} | {runs.timed().size} | {difference:.1e} "
            f"| {format_spread(peer, 2)} | {format_spread(own, 2)} | {ratio} |"
        )


def make_runs(
    classifier: Any, predict: Predict, images: Array, maps: Array, target: int
) -> dict[str, Runs]:
    """Return the runs of every peer, by the name in the table."""
    from onnxplain import metrics

    def compute_curves(judge: Any, **parameters: Any) -> Array:
        return np.array(
            [
                judge(classifier, image, heatmap, target, **parameters).details["curve"]
                for image, heatmap in zip(images, maps, strict=True)
            ]
        )

    regions = partial(compute_curves, metrics.morf, patch=PATCH, steps=REGIONS, fill="black")
    # Quantus flips single colour values in steps that must divide the number of pixels, so
    # three of its steps make one step of STEP pixels. The timed run has as many steps as Quantus.
    n_flips = 3 * math.ceil(maps[0].size / STEP)
    fine_step = math.ceil(maps[0].size / n_flips)
    fine = partial(compute_curves, metrics.deletion, step=fine_step, fill="black")
    coarse = partial(compute_curves, metrics.deletion, step=STEP, fill="black")
    to_mean = partial(compute_curves, metrics.deletion, step=STEP)
    given = (predict, images, maps, target)
    return {
        "Quantus PixelFlipping": Runs(
            partial(run_pixel_flipping, *given), coarse, fine, first=2, every=3
        ),
        "Quantus RegionPerturbation": Runs(
            partial(run_region_perturbation, *given), regions, regions
        ),
        "RISE's evaluation, written again": Runs(
            partial(run_rise_deletion, *given), to_mean, to_mean
        ),
    }


def make_predict(path: Path, device: str) -> Predict:
    """Open the classifier on two threads, and return a function from images to probabilities."""
    session = open_raw(path, 2, device)
    name = session.get_inputs()[0].name

    def predict(images: Array) -> Array:
        logits = session.run(None, {name: ((images * 255 - 127) / 128).astype(np.float32)})[0]
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    return predict


def make_quantus_model(predict: Predict) -> Any:
    """Wrap the classifier in a PyTorch module, as Quantus needs one."""
    import torch

    class Module(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.from_numpy(predict(x.numpy()))

    return Module().eval()


def run_pixel_flipping(predict: Predict, images: Array, maps: Array, target: int) -> Array:
    """Run pixel flipping by Quantus, and return the scores after each step."""
    import quantus

    metric = quantus.PixelFlipping(features_in_step=STEP, disable_warnings=True)
    return run_quantus(metric, predict, images, maps, target)


def run_region_perturbation(predict: Predict, images: Array, maps: Array, target: int) -> Array:
    """Run region perturbation by Quantus, and return the scores; Quantus gives their drops."""
    import quantus

    metric = quantus.RegionPerturbation(
        patch_size=PATCH, regions_evaluation=REGIONS, disable_warnings=True
    )
    drops = run_quantus(metric, predict, images, maps, target)
    before = predict(images.transpose(0, 3, 1, 2))[:, target]
    return before[:, None] - drops


def run_quantus(metric: Any, predict: Predict, images: Array, maps: Array, target: int) -> Array:
    """Return the values of a Quantus metric for all photos in one batch."""
    scores = metric(
        model=make_quantus_model(predict),
        x_batch=np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
        y_batch=np.full(len(images), target),
        a_batch=maps[:, None],
        device="cpu",
        softmax=False,
        batch_size=len(images),
    )
    return np.array(scores)


def run_rise_deletion(predict: Predict, images: Array, maps: Array, target: int) -> Array:
    """Run the loop of RISE's evaluation: deletion to the mean colour, one image per call."""
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
