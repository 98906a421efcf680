"""Sanity checks of the methods that look inside: class, weights, and a shift of the input.

    python -m benchmarks.white_box_sanity MODEL PHOTO... [description of the model]
    python -m benchmarks.white_box_sanity efficientnet-lite0 photos/*.jpg
    python -m benchmarks.white_box_sanity squeezenet.onnx photos/*.jpg --colour bgr ...

Each method explains the most and the least probable class of each photo (`class`: rank
correlation of the two maps), the model with the last third, two thirds and all of its layers
shuffled (`weights`: mean rank correlation with the map of the trained model, by magnitudes, as
signs flip), and the model that is given the photo plus 0.3 and subtracts it first (`shift`:
largest difference of the two maps, as a share of the largest magnitude). Means over photos. A
method that explains the class and the model has low numbers in all three columns; `fixed` marks
what is above 0.5, and 1e-2 for the shift.

Score-CAM is left out: its channels cost a run of the model each.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import onnxplain
from benchmarks.common import describe_machine, device_option
from onnxplain.core.flow import Method, WhiteBox
from onnxplain.graph.surgery import list_weight_layers
from onnxplain.metrics.stability.sanity import ClassSensitivity, InputInvariance
from onnxplain.metrics.stability.similarity import Spearman
from onnxplain.registry import METHODS, make_method

SHIFT, PARTS = 0.3, 3
FEW: dict[str, dict[str, Any]] = {
    "ig": {"n_points": 16, "tolerance": 0},
    "smoothgrad": {"n_samples": 10},
}
LEFT_OUT = {"score-cam"}
FURTHER = (
    "norm-grad:phase=scaling,aggregate=filter-norm",
    "grad-cam:layer=stage:1",
    "linear-approx:layer=stage:1",
    "gradient:score=contrast",
    "grad-cam:score=contrast",
)
Map = NDArray[Any]


@click.command(help=__doc__)
@click.argument("model")
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--colour")
@click.option("--range", "range_", nargs=2, type=float)
@click.option("--mean", nargs=3, type=float)
@click.option("--std", nargs=3, type=float)
@device_option
def main(model: str, photos: tuple[Path, ...], device: str, **description: Any) -> None:
    logging.disable(logging.WARNING)  # of maps that are empty
    given = {name.rstrip("_"): value for name, value in description.items() if value}
    plain = onnxplain.load(model, device=device, batch_size=4, **given)
    shifted = onnxplain.load_shifted(model, SHIFT, device=device, **given)
    file = onnxplain.zoo.build_model(model) if not Path(model).exists() else Path(model)
    depth = len(list_weight_layers(read(file)))
    every = -(-depth // PARTS)
    shuffled = list(onnxplain.load_randomised(model, every=every, device=device, **given))
    print(describe_machine())
    print(f"{Path(model).name}: {len(photos)} photos, {depth} layers with weights\n")
    print("| method | class | weights | shift | |\n|---|---|---|---|---|")
    for name, method in list_methods():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of maps that are all constant
            rows = [judge(method, photo, plain, shifted, shuffled) for photo in photos]
            by_class, by_weights, by_shift = np.nanmean(np.array(rows), axis=0)
        fixed = {"class": by_class > 0.5, "weights": by_weights > 0.5, "shift": by_shift > 0.01}
        text = ", ".join(name for name, value in fixed.items() if value)
        cells = f"{by_class:.2f} | {by_weights:.2f} | {by_shift:.0e}"
        print(f"| {name} | {cells} | {f'fixed: {text}' if text else ''} |", flush=True)


def read(file: Path) -> Any:
    import onnx

    return onnx.load(file)


def list_methods() -> Iterator[tuple[str, Method]]:
    """Yield the methods that look inside, by name, and some at other settings."""
    for name in sorted(METHODS):
        method = make_method(name, FEW.get(name, {}))
        if isinstance(method, WhiteBox) and name not in LEFT_OUT:
            yield name, method
    for text in FURTHER:
        entry = onnxplain.registry.parse_entry(text)
        yield text, make_method(entry.name, entry.parameters)


def judge(
    method: Method, photo: Path, plain: Any, shifted: Any, shuffled: list[Any]
) -> list[float]:
    """Return the three numbers of one photo."""
    probabilities = plain.predict(photo, top=len(plain.class_names))
    most, least = probabilities[0].index, probabilities[-1].index
    own = explain(plain, photo, method, most)
    other = explain(plain, photo, method, least)
    moved = explain(shifted, photo, method, most)
    broken = [explain(classifier, photo, method, most) for classifier in shuffled]
    ranks = [Spearman().compare(np.abs(own), np.abs(heatmap)) for heatmap in broken]
    size = np.abs(own).max()
    shift = InputInvariance().compare(own, moved) / size if size else np.nan
    return [ClassSensitivity().compare(own, other), float(np.nanmean(ranks)), float(shift)]


def explain(classifier: Any, photo: Path, method: Any, target: int) -> Map:
    heatmap: Map = onnxplain.explain(
        classifier, photo, replace(method), target=target, progress=False
    ).heatmap
    return heatmap


if __name__ == "__main__":
    main()
