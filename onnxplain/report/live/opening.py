"""Find and open the classifier that the maps of a report are of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxplain import loading
from onnxplain.core.errors import ModelError, OnnxplainError
from onnxplain.core.params import to_plain
from onnxplain.graph.load import ModelFile
from onnxplain.graph.shapes import list_fed_inputs, read_declared_dims
from onnxplain.report.material import Map, Material
from onnxplain.runtime import OnnxClassifier

# What results tell of a classifier that `onnxplain.load` takes.
RECORDED = (
    *("layout", "colour", "range", "mean", "std", "size", "fit", "resize", "interpolation"),
    *("border", "head", "input", "output", "allow_random"),
)


def find_model(material: Material) -> Path:
    """Find the file of the classifier that most maps are of, by its recorded name."""
    names = Counter(str(one.settings.get("model")) for one in material.maps)
    if not names:
        raise ModelError("there is no map in this report, so nothing to run live")
    (name, _), *_ = names.most_common(1)
    for known in (name, Path(name).stem):
        try:
            return loading.find_model(known)
        except OnnxplainError:
            continue
    raise ModelError(f"the file of the classifier {name} is not here; give it with --model")


def find_maps(material: Material, file: ModelFile) -> list[int]:
    """Return the positions of the maps that are of a classifier."""
    known = [one.settings.get("model_sha256") for one in material.maps]
    found = [place for place, sha256 in enumerate(known) if sha256 == file.sha256]
    if not found:
        models = sorted({str(one.settings.get("model")) for one in material.maps}) or ["none"]
        raise ModelError(
            f"no map of this report is of {file.path.name} (sha256 {file.sha256[:12]}...); the "
            f"maps are of {', '.join(models)}: give that model with --model"
        )
    return found


def open_classifier(
    file: ModelFile, maps: Sequence[Map], description: Mapping[str, Any]
) -> OnnxClassifier:
    """Open a classifier as it was when maps were made.

    Parameters
    ----------
    file : ModelFile
        Its file.
    maps : sequence of Map
        All maps of it.
    description : mapping
        What the results do not say, or wins over what they say: arguments of `onnxplain.load`.

    Raises
    ------
    ModelError
        If photos enter it in another way than they did then.
    """
    seen = maps[0].settings.get("preprocessing") or {}
    recorded = {name: to_plain(seen[name]) for name in RECORDED if name in seen}
    flags = {**recorded, **description}
    classifier = loading.load(file.path, device="cpu", batch_size=count_rows(file), **flags)
    now = json.loads(json.dumps(classifier.spec.describe()))
    for one in maps:
        then = one.settings.get("preprocessing") or {}
        for name in now:
            if name != "sources" and name in then and then[name] != now[name]:
                raise ModelError(
                    f"the maps were made with {name} = {then[name]}, and the model is opened with "
                    f"{name} = {now[name]}; give the options that explain was given"
                )
    return classifier


def count_rows(file: ModelFile) -> int:
    """Return how many images the graph takes at once; 1 if it does not say."""
    dims = read_declared_dims(list_fed_inputs(file.proto.graph)[0])
    return (dims and dims[0]) or 1
