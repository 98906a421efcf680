r"""How well maps of few evaluations agree with those of many, for methods that sample.

    python -m benchmarks.sampling run ROWS.jsonl --images DIR --annotations labels.csv \
        [--quantised FILE] [--places FILE]
    python -m benchmarks.sampling judge ROWS.jsonl ...   # deletion and pointing of the maps
    python -m benchmarks.sampling table ROWS.jsonl ...   # the same options

`run` scores the samples of every photo, model and method, and appends a line with the scores as
soon as they are known; it skips work whose line exists, so that it can be stopped and started at
any time. The first samples are a run of the method, the rest an independent reference. `table`
makes maps of the first N samples and prints Markdown, as in benchmarks/results/sampling.md.

A reference of few samples is noisy itself. The correlation of a run of n samples with one of m
is ``1 / sqrt((1 + c / n)(1 + c / m))`` where c is the variance of a sample over that of the map.
From it follows c, and so the correlation with the map of endless samples, which the table gives.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.agreement import correlate, correlate_ranks, measure_overlap
from benchmarks.common import describe_machine, read_rows
from onnxplain.core.data import Case, make_rng
from onnxplain.core.flow import Flow, Reply
from onnxplain.engine import run as engine
from onnxplain.engine.run import Job
from onnxplain.fills import DatasetMean
from onnxplain.image import MAX_PIXELS
from onnxplain.methods import LIME, RISE, Banzhaf, KernelSHAP
from onnxplain.methods.masks.optim import logit
from onnxplain.methods.scores.intervals import Estimate, find_quantile
from onnxplain.metrics import Deletion, PointingGame
from onnxplain.runtime import OnnxClassifier
from onnxplain.study.dataset import Item, draw_sample, read_items
from onnxplain.subjects import name_images, read_subject

Estimator: TypeAlias = Literal["default", "regression", "log-odds"]

SEED = 0
LITE0, QUANTISED, PLACES = "efficientnet-lite0", "mobilenet-v2-quantised", "squeezenet-places365"
METHODS: dict[str, Any] = {
    "banzhaf": Banzhaf(n_replicates=8),  # 3 replicates and a reference of 5
    "banzhaf-6": Banzhaf(grid=6, n_replicates=8),
    "rise": RISE(n_masks=2400),  # 1,600 masks and a reference of 800
    "kernel-shap": KernelSHAP(n_replicates=8),
    "lime": LIME(n_samples=1800),  # 1,000 samples and a reference of 800
    "lime-paired": LIME(n_samples=1800, paired=True),
}
NUMBERS = {  # of evaluations that are compared; the reference begins after the last
    "banzhaf": (128, 256, 384),
    "banzhaf-6": (128, 256, 384),
    "rise": (200, 400, 800, 1600),
    "kernel-shap": (128, 256, 384),
    "lime": (200, 400, 1000),
    "lime-paired": (200, 400, 1000),
}
VARIANTS: dict[str, dict[str, Estimator]] = {  # other maps of the same scores
    "rise": {"rise-regression": "regression"},
    "banzhaf": {"banzhaf-log-odds": "log-odds"},
    "banzhaf-6": {"banzhaf-6-log-odds": "log-odds"},
}
JUDGED = {  # with so many evaluations
    **{"banzhaf": 384, "banzhaf-log-odds": 384, "banzhaf-6": 384, "banzhaf-6-log-odds": 384},
    **{"rise": 1600, "kernel-shap": 384, "lime": 1000},
}
GAMES = ("banzhaf", "banzhaf-6", "kernel-shap")


def record_scores(flow: Flow[Any]) -> Flow[list[float]]:
    """Run a flow for its scores."""
    scores: list[float] = []
    query = next(flow)
    while True:
        reply = yield query
        scores += reply.scores.tolist()
        try:
            query = flow.send(reply)
        except StopIteration:
            return scores


def open_models(args: argparse.Namespace) -> dict[str, OnnxClassifier]:
    """Load the models that are given; the default classifier of the zoo always is."""
    models = {LITE0: onnxplain.load(LITE0, device=args.device)}
    if args.quantised:
        models[QUANTISED] = onnxplain.load(args.quantised, device=args.device)
    if args.places:
        mean = (116.68 / 255, 112.51 / 255, 104.05 / 255)
        models[PLACES] = onnxplain.load(
            args.places, device=args.device, colour="bgr", range=(0, 1), mean=mean, std=1.0
        )
    return models


def read_case(model: str, classifier: OnnxClassifier, item: Item) -> Case | None:
    """Read a photo; None if the classifier of ImageNet is wrong about it.

    The classifier of places explains the class it finds, of which there are no boxes.
    """
    (named,) = name_images([item.path])
    subject = read_subject(classifier, named, max_pixels=MAX_PIXELS)
    found = int(np.argmax(subject.probabilities))
    if model == PLACES:
        return subject.case(found)
    if found != int(str(item.label)) + (model == QUANTISED):
        return None
    boxes = tuple(subject.frame.box(box) for box in item.boxes_in(subject.frame.original))
    return replace(subject.case(found), boxes=boxes)


def draw_photos(items: list[Item]) -> Iterator[Item]:
    """Yield each photo once, in the order of a seeded draw."""
    seen: set[str] = set()
    for item in draw_sample(items, len(items), SEED):
        if item.file not in seen:
            seen.add(item.file)
            yield item


def run(args: argparse.Namespace) -> None:
    """Score the samples of every photo, model and method; append the rows."""
    rows = [row for row in read_rows(args.rows) if "scores" in row]
    done = {(row["model"], row["file"], row["method"]) for row in rows}
    for file, name, classifier, case in open_cases(args):
        for method in args.method or METHODS:
            if (name, file, method) not in done:
                scores = score_samples(classifier, case, method)
                append_row(
                    args.rows, {"model": name, "file": file, "method": method, "scores": scores}
                )


def open_cases(args: argparse.Namespace) -> Iterator[tuple[str, str, OnnxClassifier, Case]]:
    """Yield the file of each photo, each model and its classifier, and the photo for it."""
    models = open_models(args)
    n_photos = 0
    for item in draw_photos(read_items(args.images, args.annotations)):
        cases = {name: read_case(name, model, item) for name, model in models.items()}
        if None in cases.values():
            continue
        for name, case in cases.items():
            if case is not None:
                yield item.file, name, models[name], case
        n_photos += 1
        if n_photos == args.photos:
            return


def append_row(rows: Path, row: dict[str, Any]) -> None:
    """Append a line, which is all that an interrupted run may lose."""
    with rows.open("a") as file:
        file.write(json.dumps(row) + "\n")


def score_samples(classifier: OnnxClassifier, case: Case, method: str) -> list[float]:
    """Score the samples of one photo."""
    flow = record_scores(METHODS[method].flow(case, make_rng(SEED, case.name, method)))
    (outcome,) = engine.run(classifier, [Job((case,), (flow,), DatasetMean(), SEED)])
    if outcome.error:
        raise outcome.error
    return [round(score, 7) for score in outcome.values[0]]


class Run:
    """The samples of one photo, model and method, of which maps can be made."""

    def __init__(
        self,
        case: Case,
        method: str,
        scores: list[float],
        estimator: Estimator = "default",
        *,
        label: str = "",
    ) -> None:
        self.case, self.name, self.label = case, method, label or method
        self.scores = np.array(scores)
        self.method: Any = self._fit_method(len(scores))
        self.masks = self._draw_again()
        self.unscored: Any = None
        if estimator == "log-odds":
            self.scores = logit(np.clip(self.scores, 1e-7, 1 - 1e-7))
        if estimator == "regression":
            rng = make_rng(SEED, "unscored")
            self.unscored = self.method.draw_masks(rng, 20_000, case.size)

    def make_map(self, start: int, stop: int) -> NDArray[np.float32]:
        """Make the map of the samples from `start` to `stop`."""
        if self.name == "rise":
            masks = self.masks[-1].part(start, stop)
            heatmap: NDArray[np.float32]
            heatmap, _ = self.method.estimate(masks, self.scores[start:stop], self.unscored)
            return heatmap
        if self.name.startswith("lime"):
            kept = 1 - self.masks[-1].removed[start:stop]
            estimate, _ = self.method.fit(kept, self.scores[start:stop])
            return estimate.values.astype(np.float32)[self.masks[-1].segments]
        players = self.method.find_players(self.case)
        return players.enlarge(self.estimate(start, stop).values)

    def estimate(self, start: int, stop: int) -> Estimate:
        """Estimate the values of a game from the samples from `start` to `stop`."""
        ends = len(self.scores) - len(self.masks[-1])
        removed = self.masks[-1].cells.reshape(len(self.masks[-1]), -1)[start:stop:2]
        scores = self.scores[ends:][start:stop]
        total = self.scores[0] - self.scores[1] if ends else 0.0
        fit = self.method.fit(np.where(removed, -1.0, 1.0), scores[0::2] - scores[1::2], total)
        return Estimate(fit.values, fit.errors, fit.degrees)

    def _fit_method(self, n_scores: int) -> Any:
        """Return the method with as many samples as there are scores."""
        method: Any = METHODS[self.name]
        if self.name == "rise":
            return replace(method, n_masks=n_scores)
        if self.name.startswith("lime"):
            return replace(method, n_samples=n_scores)
        return replace(method, n_replicates=n_scores // 128)

    def _draw_again(self) -> list[Any]:
        """Return the masks of every query: the method draws as it did when they were scored."""
        flow = self.method.flow(self.case, make_rng(SEED, self.case.name, self.name))
        masks, n, query = [], 0, next(flow)
        while True:
            masks.append(query.masks)
            scores = self.scores[n : n + len(query.masks)]
            n += len(scores)
            try:
                query = flow.send(Reply(scores))
            except StopIteration:
                return masks


def open_runs(args: argparse.Namespace) -> Iterator[tuple[str, OnnxClassifier, Run]]:
    """Yield the model, its classifier and the samples of every row with scores."""
    models = open_models(args)
    items = {item.file: item for item in read_items(args.images, args.annotations)}
    for row in read_rows(args.rows):
        if "scores" in row and row["model"] in models:
            classifier = models[row["model"]]
            case = read_case(row["model"], classifier, items[row["file"]])
            assert case is not None
            method, scores = row["method"], row["scores"]
            yield row["model"], classifier, Run(case, method, scores)
            for label, estimator in VARIANTS.get(method, {}).items():
                variant = Run(case, method, scores, estimator, label=label)
                yield row["model"], classifier, variant


def judge(args: argparse.Namespace) -> None:
    """Judge the maps by the deletion AUC and the pointing game; append the rows."""
    done = {
        (row["model"], row["name"], row["judged"])
        for row in read_rows(args.rows)
        if "judged" in row
    }
    for model, classifier, sampled in list(open_runs(args)):
        n = JUDGED.get(sampled.label)
        if n is None or (model, sampled.case.name, sampled.label) in done:
            continue
        case, heatmap = sampled.case, sampled.make_map(0, n)
        values = {}
        metrics: list[Any] = [Deletion(), *([PointingGame()] if case.boxes else [])]
        for metric in metrics:
            flow = metric.flow(case, heatmap, make_rng(SEED))
            (outcome,) = engine.run(classifier, [Job((case,), (flow,), DatasetMean(), SEED)])
            if outcome.error:
                raise outcome.error
            values[metric.name] = outcome.values[0].value
        row = {"model": model, "name": case.name, "judged": sampled.label, **values}
        append_row(args.rows, row)


def compare(sampled: Run) -> dict[int, tuple[float, float, float]]:
    """Compare maps of the first N samples with the rest.

    Returns the correlation with the map of endless samples, by values and by ranks, and the overlap
    with the brightest pixels of the reference.
    """
    numbers = NUMBERS[sampled.name]
    last, end = numbers[-1], len(sampled.scores) - (sampled.name == "kernel-shap") * 2
    reference = sampled.make_map(last, end)[::4, ::4].ravel()
    maps = {n: sampled.make_map(0, n)[::4, ::4].ravel() for n in numbers}
    found = {}
    c, d = (
        find_noise(measure(maps[last], reference), last, end - last)
        for measure in (correlate, correlate_ranks)
    )
    for n, run_map in maps.items():
        r = correlate(run_map, reference) * np.sqrt(1 + c / (end - last))
        rho = correlate_ranks(run_map, reference) * np.sqrt(1 + d / (end - last))
        found[n] = (min(r, 1.0), min(rho, 1.0), measure_overlap(run_map, reference))
    return found


def find_noise(r: float, n: int, m: int) -> float:
    """Solve ``r = 1 / sqrt((1 + c / n)(1 + c / m))`` for c."""
    goal = 1 / max(r, 0.05) ** 2
    half = (n + m) / 2
    return float(np.sqrt(half**2 + n * m * (goal - 1)) - half)


def measure_coverage(sampled: Run) -> float:
    """Return how often pointwise 95 % intervals hold of the difference of run and reference."""
    last = NUMBERS[sampled.name][-1]
    run_part = sampled.estimate(0, last)
    rest = sampled.estimate(last, len(sampled.masks[-1]))
    width = find_quantile(0.975, run_part.degrees) * np.hypot(run_part.errors, rest.errors)
    return float(np.mean(np.abs(run_part.values - rest.values) <= width))


def table(args: argparse.Namespace) -> None:
    """Print the tables of all rows, as Markdown."""
    agreements: dict[tuple[str, str], list[dict[int, tuple[float, float, float]]]] = {}
    covered: dict[tuple[str, str], list[float]] = {}
    for model, _, sampled in open_runs(args):
        key = model, sampled.label
        agreements.setdefault(key, []).append(compare(sampled))
        if sampled.name in GAMES:
            covered.setdefault(key, []).append(measure_coverage(sampled))
    judged: dict[tuple[str, str], list[dict[str, float]]] = {}
    for row in read_rows(args.rows):
        if "judged" in row:
            judged.setdefault((row["model"], row["judged"]), []).append(row)
    print(HEAD.format(machine=describe_machine()))
    for (model, method), found in sorted(agreements.items()):
        for n in found[0]:
            means = np.mean([by_number[n] for by_number in found], axis=0)
            worst = min(by_number[n][0] for by_number in found)
            cells = [model, method, f"{n:,}", str(len(found))]
            cells += [f"{means[0]:.3f} ({worst:.3f})", f"{means[1]:.3f}", f"{means[2]:.2f}"]
            print("| " + " | ".join(cells) + " |")
    print(JUDGED_HEAD)
    for model, method in sorted({*judged, *covered}):
        rows = judged.get((model, method), [])
        deletion, pointing = (
            [row[name] for row in rows if name in row] for name in ("deletion", "pointing")
        )
        cells = [model, method, f"{JUDGED[method]:,}"]
        cells += [format_mean(covered.get((model, method), []), 3)]
        cells += [format_mean(deletion, 3), format_mean(pointing, 2)]
        print("| " + " | ".join(cells) + " |")


JUDGED_HEAD = """
| model | method | N | coverage | deletion AUC | pointing game |
|---|---|--:|--:|--:|--:|"""


def format_mean(values: list[float], digits: int) -> str:
    """Format a mean with the number of values; a dash without any."""
    return f"{np.mean(values):.{digits}f} (n={len(values)})" if values else "–"


HEAD = """# Agreement of maps of few evaluations with those of endless ones

`python -m benchmarks.sampling table`; {machine}.

CPU, dataset-mean fill, a 7 x 7 grid (`banzhaf-6`: 6 x 6), about 50 superpixels. `log-odds` has the
scores of the same runs as log-odds, with `score=log-odds`. Photos are a seeded draw of those that
both ImageNet classifiers get right; the classifier of places explains the class it finds.
Correlations are with the map of endless samples of the same method (means over n photos; in
brackets the lowest). Top 10 % is the overlap with a noisy reference, which is independent of the
run. Coverage: of the difference between run and reference, by pointwise 95 % intervals. Deletion
is filled with the dataset's mean.

| model | method | N | n | Pearson r | Spearman | top 10 % |
|---|---|--:|--:|--:|--:|--:|"""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the rows' file, the photos and the models."""
    command.add_argument("rows", type=Path)
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--annotations", type=Path, required=True)
    command.add_argument("--quantised", type=Path, help="MobileNet v2 with 8-bit weights")
    command.add_argument("--places", type=Path, help="SqueezeNet of Places365")
    command.add_argument("--device", default="cpu", help="where models run")
    command.add_argument("--photos", type=int, default=60, help="number of photos")


def main() -> None:
    """Score the samples, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    for call in (run, judge, table):
        command = commands.add_parser(call.__name__)
        add_options(command)
        command.add_argument("--method", action="append", choices=list(METHODS))
        command.set_defaults(call=call)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
