"""How much the results differ where onnxplain does not do what a paper's program does.

    python -m benchmarks.paper_programs --images DIR --annotations labels.csv [--photos 24]

Prints the figures in the Notes of the classes: boxes by a share of a map's range or of its maximum,
the edge of the pointing game, SP's enlargements, FIDO's map, and the blur of a photo and of what
the classifier sees of it. The photos are a seeded draw from those that EfficientNet-Lite0 gets
right; budgets are small.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.common import describe_machine, device_option
from onnxplain.core.data import Attribution, Case, Image, make_rng
from onnxplain.core.flow import Flow, ImageQuery, Method
from onnxplain.core.protocols import Classifier
from onnxplain.engine.run import Job, collect_values, make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.fills import Blur, DatasetMean
from onnxplain.image import MAX_PIXELS, gaussian_blur
from onnxplain.masks.enlarge import Enlargement
from onnxplain.methods import FIDO, LIME, RISE, SP
from onnxplain.metrics import LocalisationError, PointingGame, SaliencyMetric
from onnxplain.metrics.heatmaps.boxes import ALPHAS, Scale
from onnxplain.registry import to_fill
from onnxplain.study.dataset import draw_sample, read_items
from onnxplain.subjects import Subject, name_image, read_subject

SEED = 0
METHODS: Mapping[str, Method] = {
    "rise": RISE(n_masks=600),
    "sp": SP(stride=8),
    "lime": LIME(n_samples=400),
}
ALIGNMENTS: tuple[Literal["center", "stretch"], ...] = ("center", "stretch")
QUICK_FIDO = FIDO(n_steps=60, n_samples=4, learning_rate=0.25, warm_up=6)


class Photo(NamedTuple):
    """A photo that the classifier gets right, with the object's boxes as it sees them."""

    subject: Subject
    case: Case


def draw_photos(classifier: Classifier, images: Path, annotations: Path) -> Iterator[Photo]:
    """Yield the correctly classified photos in the order of the draw."""
    items = read_items(images, annotations)
    for item in draw_sample(items, len(items), SEED):
        subject = read_subject(classifier, name_image(item.path, 0), max_pixels=MAX_PIXELS)
        if int(subject.probabilities.argmax()) == item.label:
            rows, columns, _ = subject.photo.shape
            boxes = tuple(subject.frame.box(box) for box in item.boxes_in((rows, columns)))
            yield Photo(subject, replace(subject.case(int(item.label)), boxes=boxes))


def explain(photo: Photo, method: Method, classifier: Classifier) -> Attribution:
    """Explain a photo with the method's usual fill."""
    settled, gradients = settle_method(method, classifier)
    jobs = make_jobs(settled, [photo.case], to_fill(method.usual_fill), SEED)
    (attribution,) = collect_values(classifier, jobs, gradients=gradients)
    return attribution


def score(photo: Photo, image: Image, classifier: Classifier) -> float:
    """Return the probability of the photo's class for another image."""

    def ask() -> Flow[float]:
        return float((yield ImageQuery(image[None])).scores[0])

    (probability,) = collect_values(classifier, [Job((photo.case,), (ask(),), DatasetMean(), SEED)])
    return probability


def measure_difference(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the largest difference of two maps as a share of the range of the first."""
    return float(abs(first - second).max() / np.ptp(first))


def compare_boxes(photos: Sequence[Photo], maps: Sequence[Any], classifier: Classifier) -> None:
    """Print what both scales of alpha give for the maps of every method."""
    print(
        "| map | scale | alphas whose box is the whole image | error at .2 | least error (alpha) "
        "| saliency at .2 | least (alpha) |\n|---|---|--:|--:|--:|--:|--:|"
    )
    scales: tuple[Scale, ...] = ("min-max", "max")
    for name, scale in itertools.product(METHODS, scales):
        judged = [
            judge_boxes(photo, heatmaps[name], scale, classifier)
            for photo, heatmaps in zip(photos, maps, strict=True)
        ]
        whole, error, saliency = (np.mean(values, axis=0) for values in zip(*judged, strict=True))
        cells = [name, scale, f"{whole.sum():.1f} of {len(ALPHAS)}"]
        for values in (error, saliency):
            best = values.argmin()
            cells += [f"{values[ALPHAS.index(0.2)]:.3f}", f"{values[best]:.3f} ({ALPHAS[best]})"]
        print(f"| {' | '.join(cells)} |", flush=True)


def judge_boxes(photo: Photo, heatmap: Any, scale: Scale, classifier: Classifier) -> list[Any]:
    """Judge a map at every alpha: is its box the whole image, does it miss, how salient is it."""
    flow = SaliencyMetric(scale=scale).flow(photo.case, heatmap, make_rng(SEED))
    (saliency,) = collect_values(classifier, [Job((photo.case,), (flow,), DatasetMean(), SEED)])
    error = LocalisationError(scale=scale).judge(heatmap, photo.case.boxes)
    whole = [share == 1 for share in saliency.details["areas"]]
    return [whole, error.details["values"], saliency.details["values"]]


def compare_pointing(photos: Sequence[Photo], maps: Sequence[Any]) -> str:
    """Count the maps whose hit depends on whether exactly 15 pixels are a hit."""
    nearly = PointingGame(tolerance=np.nextafter(15.0, 0))
    changed = sum(
        PointingGame().judge(heatmap, photo.case.boxes).value
        != nearly.judge(heatmap, photo.case.boxes).value
        for photo, heatmaps in zip(photos, maps, strict=True)
        for heatmap in heatmaps.values()
    )
    return f"{changed} of {len(photos) * len(METHODS)} maps"


def compare_alignments(photo: Photo, classifier: Classifier) -> float:
    """Compare SP's map between the centres of the patches with the stretched one."""
    first, second = (
        explain(photo, SP(stride=8, align=align), classifier).heatmap for align in ALIGNMENTS
    )
    return measure_difference(first, second)


def compare_fido_maps(photo: Photo, classifier: Classifier) -> float:
    """Compare FIDO's map, of enlarged log-odds, with the enlarged probabilities."""
    attribution = explain(photo, QUICK_FIDO, classifier)
    assert attribution.coarse is not None
    enlarge = Enlargement.bilinear(len(attribution.coarse), photo.case.size)
    probabilities = enlarge.pixels(attribution.coarse.astype(np.float64))
    return measure_difference(attribution.heatmap, probabilities)


def score_blurred_photo(photo: Photo, classifier: Classifier) -> float:
    """Return the score of the photo, blurred at its own size as in the program of MP."""
    pixels = photo.subject.photo.astype(np.float32) / np.float32(255)
    blurred = gaussian_blur(pixels, 10).clip(0, 1)
    return score(photo, photo.subject.frame.bring(blurred), classifier)


def score_blurred(photo: Photo, classifier: Classifier, sigma: float = 10) -> float:
    """Return the score of what the classifier sees of the photo, blurred."""
    return score(photo, Blur(sigma).prepare(photo.case.image, make_rng(SEED)), classifier)


def score_shrunk_blur(photo: Photo, classifier: Classifier) -> float:
    """Return the score under the blur that equals that of the photo at its own size."""
    return score_blurred(photo, classifier, find_shrunk_sigma(photo, classifier))


def find_shrunk_sigma(photo: Photo, classifier: Classifier) -> float:
    """Find what 10 pixels of the photo are in pixels of the classifier's input."""
    frame = photo.subject.frame
    return float(10 * frame.size[0] / (frame.window.bottom - frame.window.top))


def find_effect(photo: Photo, classifier: Classifier) -> float:
    """Return by how much the blur lowers the score; MP's first disc is chosen by this."""
    before = photo.subject.probabilities[photo.case.target]
    return float(before - score_blurred(photo, classifier))


@click.command(help=__doc__)
@click.option("--images", type=click.Path(path_type=Path), required=True)
@click.option("--annotations", type=click.Path(path_type=Path), required=True)
@click.option("--photos", "n_photos", default=24, show_default=True)
@device_option
def main(images: Path, annotations: Path, n_photos: int, device: str) -> None:
    classifier = onnxplain.load("efficientnet-lite0", device=device)
    photos = list(itertools.islice(draw_photos(classifier, images, annotations), n_photos))
    maps = [
        {name: explain(photo, method, classifier).heatmap for name, method in METHODS.items()}
        for photo in photos
    ]
    print(f"{len(photos)} photos; {describe_machine()}\n")
    compare_boxes(photos, maps, classifier)
    print(f"\nHits that depend on exactly 15 pixels: {compare_pointing(photos, maps)}")
    figures = {
        "SP stretched, not centred: largest difference": compare_alignments,
        "FIDO's map and its probabilities: largest difference": compare_fido_maps,
        "p, photo blurred at its own size by 10": score_blurred_photo,
        "p, image blurred by 10": score_blurred,
        "p, image blurred by as much of the object": score_shrunk_blur,
        "sigma of that blur": find_shrunk_sigma,
        "effect of removing everything on p, by blur": find_effect,
    }
    for name, measure in figures.items():
        values = [measure(photo, classifier) for photo in photos]
        low, mean, high = min(values), float(np.mean(values)), max(values)
        print(f"{name}: mean {mean:.4f}, from {low:.4f} to {high:.4f}", flush=True)


if __name__ == "__main__":
    main()
