"""DIANNA, Captum and lime compared with onnxplain: as many evaluations of the same ONNX file.

    python -m benchmarks.peers --environment FOLDER

A virtual environment with the peers and this checkout is created in FOLDER if it is missing, and
the benchmark runs in it. Each peer and onnxplain take turns on one photo. Each ratio is the time
of a peer's run divided by the time of the onnxplain run after it.

Captum's Occlusion and lime call an ONNX Runtime session on two threads, with the batch size
that their documentation suggests, or a larger one if there is an option for it. They are not
modified. DIANNA's RISE takes the ONNX file itself and opens a session in each call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

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

PEERS = ("torch", "captum", "dianna", "lime")

Images = NDArray[Any]
Predict = Callable[[Images], Images]  # images (N, H, W, 3) in [0, 1] to probabilities


@click.command(help=__doc__)
@environment_option
@click.option("--rounds", default=5, show_default=True, help="Runs of each peer and of onnxplain.")
@click.option(
    "--evaluations", default=500, show_default=True, help="Evaluations of RISE and of LIME."
)
@device_option
def main(environment: Path | None, rounds: int, evaluations: int, device: str) -> None:
    if environment is not None:
        arguments = ("--rounds", str(rounds), "--evaluations", str(evaluations), "--device", device)
        run_inside(environment, PEERS, "benchmarks.peers", arguments)
        return
    print_comparison(rounds, evaluations, device)


def print_comparison(rounds: int, evaluations: int, device: str) -> None:
    """Run every peer and onnxplain `rounds` times and print the table."""
    import onnxplain
    from onnxplain.zoo import build_model

    path = build_model("efficientnet-lite0")
    classifier = onnxplain.load(path, device=device)
    image = read_photo(classifier.size[0])
    target = int(classifier.scores(image[None]).argmax())
    peer_runs = make_peer_runs(path, image, target, evaluations, device)
    methods: dict[str, Any] = {
        "dianna RISE": onnxplain.RISE(n_masks=evaluations, grid=8),
        "captum Occlusion": onnxplain.SP(patch=29, stride=12),
        "lime": onnxplain.LIME(n_samples=evaluations),
    }
    print(describe_machine())
    print(", ".join(f"{name} {version(name)}" for name in PEERS) + "\n")
    print("| peer | evaluations | peer, s | onnxplain, s | peer / onnxplain |")
    print("|---|---|---|---|---|")
    for name, run in peer_runs.items():
        method = methods[name]
        n = method.evaluations(classifier.size)
        run()  # warm-up
        own_run = partial(onnxplain.explain, classifier, image, method)
        times = [(measure_seconds(run), measure_seconds(own_run)) for _ in range(rounds)]
        peer, own = (list(seconds) for seconds in zip(*times, strict=True))
        ratio = format_spread([a / b for a, b in times], 2)
        print(f"| {name} | {n} | {format_spread(peer, 2)} | {format_spread(own, 2)} | {ratio} |")


def make_peer_runs(
    path: Path, image: Images, target: int, evaluations: int, device: str
) -> dict[str, Callable[[], object]]:
    """Return, for each peer, a function that makes one explanation."""
    predict = make_predict(path, device)
    return {
        "dianna RISE": make_dianna_run(path, image, target, evaluations),
        "captum Occlusion": make_captum_run(predict, image, target),
        "lime": make_lime_run(predict, image, evaluations),
    }


def normalise(images: Images) -> Images:
    """Normalise images (..., 3) in [0, 1] by the classifier's mean and standard deviation."""
    return (images * 255 - 127) / 128


def make_predict(path: Path, device: str) -> Predict:
    """Open the classifier on two threads, and return a function from images to probabilities."""
    session = open_raw(path, 2, device)
    name = session.get_inputs()[0].name

    def predict(images: Images) -> Images:
        pixels = normalise(images).transpose(0, 3, 1, 2).astype(np.float32)
        logits = session.run(None, {name: np.ascontiguousarray(pixels)})[0]
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    return predict


def make_dianna_run(
    path: Path, image: Images, target: int, evaluations: int
) -> Callable[[], object]:
    """Return a function that calls DIANNA's RISE, which takes the ONNX file itself."""
    import dianna

    return partial(
        dianna.explain_image,
        str(path),
        normalise(image).transpose(2, 0, 1).astype(np.float32),
        method="RISE",
        labels=[target],
        axis_labels={0: "channels"},
        n_masks=evaluations,
        feature_res=8,
        p_keep=0.5,
        batch_size=32,
    )


def make_captum_run(predict: Predict, image: Images, target: int) -> Callable[[], object]:
    """Return a function that calls Captum's Occlusion."""
    import torch
    from captum.attr import Occlusion

    occlusion = Occlusion(lambda x: torch.from_numpy(predict(x.permute(0, 2, 3, 1).numpy())))
    return partial(
        occlusion.attribute,
        torch.from_numpy(image.transpose(2, 0, 1)[None].copy()),
        sliding_window_shapes=(3, 29, 29),
        strides=(3, 12, 12),
        target=target,
        perturbations_per_eval=16,
    )


def make_lime_run(predict: Predict, image: Images, evaluations: int) -> Callable[[], object]:
    """Return a function that calls lime, with a segmentation like that of onnxplain."""
    from lime.lime_image import LimeImageExplainer
    from skimage.segmentation import slic

    def explain() -> object:
        return LimeImageExplainer().explain_instance(
            image,
            predict,
            top_labels=1,
            hide_color=0.5,
            num_samples=evaluations,
            batch_size=16,
            segmentation_fn=lambda x: slic(x, n_segments=50, compactness=30, sigma=3),
        )

    return explain


if __name__ == "__main__":
    main()
