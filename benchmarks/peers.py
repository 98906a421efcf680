"""The same number of evaluations of the same ONNX file by DIANNA, Captum and lime, and by us.

    python -m benchmarks.peers --environment FOLDER

makes FOLDER a virtual environment with the peers and this checkout, if it is not one yet,
and runs there. Each peer and onnxplain take turns on one photo; the ratio is pair by pair.

What each peer is given: an ONNX Runtime session on two threads behind its callable, with
the batch size its documentation suggests or a larger one where it has an option. DIANNA's
RISE takes the ONNX file itself and opens a session a call. Captum's Occlusion and lime run
as they come.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

from benchmarks.common import inside, machine, photo, seconds, spread

PEERS = ("torch", "captum", "dianna", "lime")


@click.command(help=__doc__)
@click.option("--environment", type=click.Path(path_type=Path), help="Folder for the peers.")
@click.option("--rounds", default=5, show_default=True, help="Pairs of runs.")
@click.option("--evaluations", default=500, show_default=True, help="Of RISE and LIME.")
def main(environment: Path | None, rounds: int, evaluations: int) -> None:
    if environment is not None:
        words = ("--rounds", str(rounds), "--evaluations", str(evaluations))
        inside(environment, PEERS, "benchmarks.peers", words)
        return
    compare(rounds, evaluations)


def compare(rounds: int, evaluations: int) -> None:
    """Print the table."""
    import onnxplain
    from onnxplain.zoo import build_model

    path = build_model("efficientnet-lite0")
    classifier = onnxplain.load(path, device="cpu")
    image = photo(classifier.size[0])
    target = int(classifier.scores(image[None]).argmax())
    theirs = peer_runs(path, image, target, evaluations)
    ours: dict[str, object] = {
        "dianna RISE": onnxplain.RISE(n_masks=evaluations, grid=8),
        "captum Occlusion": onnxplain.SP(patch=29, stride=12),
        "lime": onnxplain.LIME(n_samples=evaluations),
    }
    print(machine())
    print(", ".join(f"{name} {version(name)}" for name in PEERS) + "\n")
    print("| peer | evaluations | peer, s | onnxplain, s | peer / onnxplain |")
    print("|---|---|---|---|---|")
    for name, run in theirs.items():
        method = ours[name]
        n = method.evaluations(classifier.size)  # type: ignore[attr-defined]
        run()  # warm
        own_run = partial(onnxplain.explain, classifier, image, method)
        times = [(seconds(run), seconds(own_run)) for _ in range(rounds)]
        peer, own = ([pair[i] for pair in times] for i in (0, 1))
        ratio = spread([a / b for a, b in times], 2)
        print(f"| {name} | {n} | {spread(peer, 2)} | {spread(own, 2)} | {ratio} |")


def peer_runs(
    path: Path, image: np.ndarray, target: int, evaluations: int
) -> dict[str, Callable[[], object]]:
    """One explanation by each peer."""
    import dianna
    import onnxruntime as ort
    import torch
    from captum.attr import Occlusion
    from lime.lime_image import LimeImageExplainer
    from skimage.segmentation import slic

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def logits(images: np.ndarray) -> np.ndarray:  # (N, H, W, 3) in [0, 1]
        ready = ((images * 255 - 127) / 128).transpose(0, 3, 1, 2).astype(np.float32)
        return session.run(None, {name: np.ascontiguousarray(ready)})[0]

    def probabilities(images: np.ndarray) -> np.ndarray:
        raw = logits(images)
        exp = np.exp(raw - raw.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    normalised = ((image * 255 - 127) / 128).transpose(2, 0, 1).astype(np.float32)

    def by_dianna() -> object:
        return dianna.explain_image(
            str(path),
            normalised,
            method="RISE",
            labels=[target],
            axis_labels={0: "channels"},
            n_masks=evaluations,
            feature_res=8,
            p_keep=0.5,
            batch_size=32,
        )

    tensor = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
    occlusion = Occlusion(lambda x: torch.from_numpy(probabilities(x.permute(0, 2, 3, 1).numpy())))

    def by_captum() -> object:
        return occlusion.attribute(
            tensor,
            sliding_window_shapes=(3, 29, 29),
            strides=(3, 12, 12),
            target=target,
            perturbations_per_eval=16,
        )

    def by_lime() -> object:
        return LimeImageExplainer().explain_instance(
            image,
            probabilities,
            top_labels=1,
            hide_color=0.5,
            num_samples=evaluations,
            batch_size=16,
            segmentation_fn=lambda x: slic(x, n_segments=50, compactness=30, sigma=3),
        )

    return {"dianna RISE": by_dianna, "captum Occlusion": by_captum, "lime": by_lime}


if __name__ == "__main__":
    main()
