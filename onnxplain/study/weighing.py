"""Weights of layers for `onnxplain.Combined`, learned from labelled photos.

References
----------
.. [1] Rebuffi, Fong, Ji & Vedaldi, There and back again: Revisiting backpropagation saliency
   methods, CVPR 2020, sec. 4.3, :arXiv:`2004.02866`
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from onnxplain.core.inside import Layered
from onnxplain.core.protocols import Classifier
from onnxplain.methods.layers.combined import Base, Combined
from onnxplain.study.evaluate import PathLike, evaluate


@dataclass(frozen=True)
class LayerWeights:
    """How often each layer's map alone points at the object.

    Parameters
    ----------
    base : str
        The method that made the maps.
    layers : tuple of str
        The layers, from the first to the last.
    accuracies : tuple of float in [0, 1]
        The accuracy of each in the pointing game.
    n : int
        Number of photos.
    """

    base: Base
    layers: tuple[str, ...]
    accuracies: tuple[float, ...]
    n: int = field(default=0, kw_only=True)

    @property
    def text(self) -> str:
        """The weights, of sum 1, as ``weights`` of `onnxplain.Combined` takes them."""
        total = sum(self.accuracies)
        return "/".join(f"{accuracy / total:.4f}" for accuracy in self.accuracies)


def weigh_layers(
    classifier: Classifier,
    images: PathLike,
    *,
    annotations: PathLike | None = None,
    wnids: PathLike | None = None,
    base: Base = "norm-grad",
    layers: str = "stages",
    limit: int | None = None,
    seed: int = 0,
    only_correct: bool = True,
    output: PathLike | None = None,
    progress: bool | None = None,
) -> LayerWeights:
    """Learn weights for `onnxplain.Combined`: each layer's accuracy in the pointing game [1]_.

    Take other photos for this than for judging the maps.

    Parameters
    ----------
    classifier : Classifier
        From `onnxplain.load`.
    images : path
        Folder of the labelled photos.
    annotations, wnids, limit, seed, only_correct, progress
        As for `onnxplain.evaluate`; the annotations must have boxes.
    base : str
        The method that makes a map of each layer, as for `onnxplain.Combined`.
    layers : str
        The layers, as for `onnxplain.Combined`.
    output : path, optional
        Folder for the rows, so that the work can be resumed; a temporary one if not given.

    Returns
    -------
    weights : LayerWeights

    Raises
    ------
    ValueError, TypeError
        If an argument or the annotations are wrong, or no photo counts.
    OnnxplainError
        If the classifier has no such layers or gradients.
    """
    if not isinstance(classifier, Layered):
        raise TypeError("weights are of layers of ONNX files; load one with onnxplain.load")
    names = [layer.tensor for layer in classifier.find_layers(layers)]
    study = evaluate(
        images,
        annotations=annotations,
        wnids=wnids,
        models=classifier,
        methods=[Combined(base=base, layers=name) for name in names],
        metrics="pointing",
        limit=limit,
        seed=seed,
        only_correct=only_correct,
        output=output,
        progress=progress,
    )
    hits: defaultdict[str, list[float]] = defaultdict(list)
    for row in study.rows:
        if row["kind"] == "score" and row.get("value") is not None:
            hits[row["method_parameters"]["layers"]].append(row["value"])
    if not any(any(values) for values in hits.values()):
        causes = sorted({str(row["error"]) for row in study.failures})
        raise ValueError(
            f"{Path(images)}: no layer points at an object of "
            f"{max(map(len, hits.values()), default=0)} photos that count; photos need a box and "
            f"the right prediction{': ' if causes else ''}{'; '.join(causes[:3])}"
        )
    accuracies = tuple(sum(hits[name]) / len(hits[name]) for name in names)
    return LayerWeights(base, tuple(names), accuracies, n=min(len(hits[name]) for name in names))
