r"""How well maps of other programs agree with their own maps of endless evaluations.

    python -m benchmarks.sampling_peers run ROWS.jsonl --environment FOLDER --images DIR \
        --annotations labels.csv [--quantised FILE] [--places FILE]
    python -m benchmarks.sampling_peers table ROWS.jsonl

The photos, models and fill of `benchmarks.sampling`, in a virtual environment with the peers and
this checkout, which is created in FOLDER if it is missing. Programs that draw samples run twice
with different seeds: if r is the correlation of a run with the map of endless evaluations, that of
two runs is ``r * r``, and the table gives r. Programs that draw nothing are compared with their
own map of many evaluations, which contains those of the short run: that is in their favour. A
line is appended as soon as its map is known, so that `run` can be stopped and started at any time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement import correlate, correlate_ranks, measure_overlap
from benchmarks.common import add_table_command, describe_machine, read_rows, run_inside
from benchmarks.sampling import (
    SEED,
    add_options,
    append_row,
    open_cases,
)
from onnxplain.core.data import Case, make_rng
from onnxplain.fills import DatasetMean
from onnxplain.runtime import OnnxClassifier

PEERS = ("shap", "dianna", "xplique", "tensorflow-cpu", "torch")
GRID, COARSE, BATCH = 7, 28, 32

Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """A photo, the picture that stands in for what is removed, and the class.

    Parameters
    ----------
    classifier : Classifier
    image, filling : (H, W, 3) ndarray in [0, 1]
    target : int
    """

    classifier: OnnxClassifier
    image: Array
    filling: Array
    target: int

    def score(self, images: Array) -> Array:
        """Return the probabilities of the class, (N,)."""
        pixels = np.asarray(images, np.float32).clip(0, 1)
        parts = range(0, len(pixels), BATCH)
        found = [self.classifier.scores(pixels[start : start + BATCH]) for start in parts]
        return np.concatenate(found)[:, self.target]

    def score_players(self, players: Array) -> Array:
        """Return the probabilities if only some cells of a grid are kept."""
        kept = enlarge(players.reshape(-1, GRID, GRID), self.image.shape[0])[..., None]
        parts = [kept[start : start + BATCH] for start in range(0, len(kept), BATCH)]
        return np.concatenate(
            [self.score(np.where(part > 0, self.image, self.filling)) for part in parts]
        )


def run_kernel_shap(task: Task, n: int, seed: int) -> Array:
    """Make the map of shap's KernelExplainer on a grid."""
    import shap

    np.random.seed(seed)  # noqa: NPY002 - shap draws from the global generator
    explainer = shap.KernelExplainer(task.score_players, np.zeros((1, GRID**2)))
    values = explainer.shap_values(np.ones((1, GRID**2)), nsamples=n, l1_reg=False, silent=True)
    return enlarge(np.asarray(values).reshape(1, GRID, GRID), COARSE)[0]


def run_partition(task: Task, n: int, seed: int) -> Array:
    """Make the map of shap's PartitionExplainer."""
    import shap

    masker = shap.maskers.Image(task.filling.ravel(), task.image.shape)
    explainer = shap.PartitionExplainer(lambda images: task.score(images)[:, None], masker)
    found = explainer(task.image[None], max_evals=n, batch_size=BATCH, silent=True)
    return shrink(np.asarray(found.values).reshape(task.image.shape).sum(axis=2))


def run_rise(task: Task, n: int, seed: int) -> Array:
    """Make the map of DIANNA's RISE, which fills with 0: it gets the photo less the filling."""
    from dianna.methods.rise_image import RISEImage

    np.random.seed(seed)  # noqa: NPY002 - DIANNA draws from the global generator
    explainer = RISEImage(n_masks=n, feature_res=8, p_keep=0.5, axis_labels={2: "channels"})
    found = explainer.explain(
        lambda images: task.score(np.asarray(images) + task.filling)[:, None],
        (task.image - task.filling).astype(np.float32),
        [0],
        BATCH,
    )
    return shrink(np.asarray(found[0]))


def run_xplique(method: str, task: Task, n: int, seed: int) -> Array:
    """Make the map of an attribution of Xplique; it fills with 0, as DIANNA does."""
    from xplique import attributions

    def predict(images: Any) -> Any:
        scores = task.score(np.asarray(images) + task.filling)
        return np.stack([1 - scores, scores], axis=1)

    made = getattr(attributions, method)
    n_designs = n if method.startswith("Hsic") else n // (GRID**2 + 2)
    extra = {"estimator_batch_size": 256} if method.startswith("Hsic") else {}
    explainer = made(predict, grid_size=GRID, nb_design=n_designs, batch_size=BATCH, **extra)
    photo = (task.image - task.filling)[None].astype(np.float32)
    return shrink(np.asarray(explainer(photo, np.array([[0, 1]], np.float32)))[0, ..., 0])


class Peer(NamedTuple):
    """A program: how it runs, numbers of evaluations, and those of its own reference, if any."""

    run: Callable[[Task, int, int], Array]
    numbers: tuple[int, ...]
    reference: int = 0


RUNS = {  # 384 evaluations, as our maps have, or the next number that the program can make
    "shap KernelExplainer": Peer(run_kernel_shap, (384,)),
    "shap PartitionExplainer": Peer(run_partition, (400,), 4000),
    "DIANNA RISE": Peer(run_rise, (384, 1600)),
    "Xplique HSIC": Peer(partial(run_xplique, "HsicAttributionMethod"), (400,), 2048),
    "Xplique Sobol": Peer(partial(run_xplique, "SobolAttributionMethod"), (408,), 3264),
}


def run(args: argparse.Namespace) -> None:
    """Make the maps of every photo, model and program; append the rows."""
    if args.environment:
        arguments = ["run", str(args.rows.absolute())]
        for name in ("images", "annotations", "quantised", "places"):
            if value := getattr(args, name):
                arguments += [f"--{name}", str(value.absolute())]
        arguments += ["--device", args.device, "--photos", str(args.photos)]
        run_inside(args.environment, PEERS, "benchmarks.sampling_peers", arguments)
        return
    done = {(row["model"], row["file"], row["peer"]) for row in read_rows(args.rows)}
    for file, name, classifier, case in open_cases(args):
        for peer, program in RUNS.items():
            if (name, file, peer) not in done:
                row: dict[str, Any] = {"model": name, "file": file, "peer": peer}
                append_row(args.rows, row | {"agreement": measure(program, classifier, case)})


def measure(peer: Peer, classifier: OnnxClassifier, case: Case) -> dict[str, list[float]]:
    """Return correlation by values and by ranks, and the overlap, by number of evaluations."""
    filling = DatasetMean().prepare(case.image, make_rng(SEED))
    task = Task(classifier, case.image, np.broadcast_to(filling, case.image.shape), case.target)
    reference = peer.run(task, peer.reference, SEED) if peer.reference else None
    found = {}
    for n in peer.numbers:
        first = peer.run(task, n, 1).ravel()
        second = (peer.run(task, n, 2) if reference is None else reference).ravel()
        pair = correlate(first, second), correlate_ranks(first, second)
        r, rho = (max(value, 0.0) ** 0.5 for value in pair) if reference is None else pair
        found[str(n)] = [float(r), float(rho), measure_overlap(first, second)]
    return found


def table(args: argparse.Namespace) -> None:
    """Print the means over photos, as Markdown; maps that are not a number are left out."""
    found: dict[tuple[str, str, int], list[list[float]]] = {}
    for row in read_rows(args.rows):
        for n, values in row["agreement"].items():
            if np.isfinite(values).all():
                found.setdefault((row["model"], row["peer"], int(n)), []).append(values)
    print(f"{describe_machine()}\n")
    print("| model | program | N | n | Pearson r | Spearman | top 10 % |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for (model, peer, n), rows in sorted(found.items()):
        (r, rho, top), worst = np.mean(rows, axis=0), min(row[0] for row in rows)
        cells = [model, peer, f"{n:,}", str(len(rows))]
        cells += [f"{r:.3f} ({worst:.3f})", f"{rho:.3f}", f"{top:.2f}"]
        print(f"| {' | '.join(cells)} |")


def enlarge(maps: Array, side: int) -> Array:
    """Enlarge square maps by repeating cells."""
    index = np.arange(side) * maps.shape[-1] // side
    return maps[:, index][:, :, index]


def shrink(heatmap: Array) -> Array:
    """Average a map over coarse cells."""
    step = heatmap.shape[0] // COARSE
    return heatmap.reshape(COARSE, step, COARSE, step).mean(axis=(1, 3))


def main() -> None:
    """Make the maps, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run")
    add_options(command)
    command.add_argument("--environment", type=Path, help="of the programs")
    command.set_defaults(call=run)
    add_table_command(commands, table)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
