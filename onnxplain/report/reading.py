"""From the files of `Explanation.save` and of evaluations to the material of a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Box, Heatmap, Size
from onnxplain.core.errors import OutputError
from onnxplain.image import list_files, resize
from onnxplain.report.commands import format_command
from onnxplain.report.fillings import make_filling
from onnxplain.report.material import CurveWalk, Map, Material, Omission, Photo
from onnxplain.results import Explanation, describe_doubt, find_npz, load_explanation
from onnxplain.study.result import ROWS_FILE

PHOTO_SIDE = 448  # pixels of a copy's longer side
MAP_SIDE = 256


def find_files(given: Iterable[Path], material: Material) -> Iterator[Path]:
    """Yield the ``.npz`` and ``rows.jsonl`` files that paths mean, each once.

    Parameters
    ----------
    given : iterable of path
        Folders, whose files are taken; or files that ``explain`` or ``evaluate`` wrote: of the
        three files of an explanation any one stands for all.
    material : Material
        Gets what cannot be used.
    """
    known: set[Path] = set()
    for path in given:
        for file in _list_folder(path) if path.is_dir() else _find_file(path, material):
            if file not in known:
                known.add(file)
                yield file


def add_explanation(material: Material, explanation: Explanation) -> None:
    """Add an explanation: its photo, map, and the order of its removed cells.

    Raises
    ------
    OutputError
        If its map is none.
    """
    if explanation.heatmap.ndim != 2 or not np.isfinite(explanation.heatmap).all():
        raise OutputError(f"{explanation.image}: holds no map of finite numbers; make it again")
    key = make_photo_key(explanation.image, explanation.provenance.get("pixels_sha256"))
    if not material.has_room(key):
        return
    rows, columns = (int(n) for n in explanation.provenance["image_size"])
    photo = material.photos.get(key)
    if photo is None or photo.pixels is None:
        pixels = None if explanation.photo is None else shrink_photo(explanation.photo)
        photo = Photo(Path(explanation.image).name, (rows, columns), pixels)
    window = explanation.window or Box(0, 0, rows, columns)
    record = json.loads(json.dumps(explanation.record()))  # tuples become lists, as in files
    material.add(
        photo,
        Map(
            photo=key,
            target=explanation.target,
            target_name=str(explanation.target_name),
            score=explanation.score,
            settings=describe_settings(record, record["provenance"]),
            heatmap=shrink_map(explanation.heatmap),
            window=window,
            meaning=explanation.meaning,
            doubt=describe_doubt(explanation.heatmap, explanation.meaning),
            low=float(explanation.heatmap.min()),
            high=float(explanation.heatmap.max()),
            facts=record,
            command=format_command(record),
            walks=tuple(_find_walks(explanation, photo, window)),
        ),
    )


def read_explanation(material: Material, path: Path) -> None:
    """Add the explanation of an ``.npz``, or why it cannot be read."""
    try:
        add_explanation(material, load_explanation(path))
    except OutputError as error:
        material.broken.append(Omission(path.name, str(error)))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{path}: its record is not as onnxplain writes it ({error!r}); make it again"
        material.broken.append(Omission(path.name, reason))


def describe_settings(record: Any, provenance: Any) -> dict[str, Any]:
    """Return what tells one method from others, with the names of a study's rows."""
    classifier = provenance.get("classifier", {})
    preprocessing = provenance.get("preprocessing") or {}
    return {
        "model": classifier.get("model"),
        "model_sha256": classifier.get("sha256"),
        "preprocessing": {
            name: value for name, value in preprocessing.items() if name != "sources"
        },
        "method": record["method"],
        "method_parameters": record["parameters"],
        "fill": record["fill"],
        "fill_parameters": record["fill_parameters"],
        "seed": record["seed"],
    }


def make_photo_key(image: str, sha256: object) -> str:
    """Return what tells a photo from others: its file's name and its pixels."""
    return f"{Path(image).name}/{sha256}"


def shrink_photo(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a copy of a photo of at most `PHOTO_SIDE` pixels a side."""
    size = fit_size(pixels.shape[:2], PHOTO_SIDE)
    if size == pixels.shape[:2]:
        return pixels
    smaller = resize(pixels.astype(np.float32), size, antialias=True)
    return np.rint(np.clip(smaller, 0, 255)).astype(np.uint8)


def shrink_map(heatmap: Heatmap) -> Heatmap:
    """Return a map of at most `MAP_SIDE` pixels a side."""
    size = fit_size(heatmap.shape, MAP_SIDE)
    whole = heatmap.astype(np.float32, copy=False)
    return whole if size == heatmap.shape else resize(whole, size, antialias=True)


def fit_size(size: tuple[int, ...], side: int) -> Size:
    """Return rows and columns of at most `side`, in the proportions of a size."""
    factor = min(side / max(size), 1)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def _list_folder(folder: Path) -> list[Path]:
    """Return the results in a folder and those below it, sorted."""
    try:
        found = sorted(list_files(folder, (".npz", ".jsonl")))
    except ValueError as error:
        raise OutputError(str(error)) from error
    return [file for file in found if file.suffix.lower() == ".npz" or file.name == ROWS_FILE]


def _find_file(path: Path, material: Material) -> list[Path]:
    """Return the file that holds the results to which a file belongs."""
    if not path.exists():
        reason = "no such file; give a folder or a file that explain or evaluate wrote"
    elif find_npz(path).suffix.lower() in (".npz", ".jsonl"):
        return [find_npz(path)]
    elif path.suffix.lower() in (".png", ".json"):
        reason = f"there is no {path.stem}.npz beside it, which holds the map"
    else:
        reason = "is no result; give .npz files of explain or rows.jsonl of evaluate"
    material.broken.append(Omission(path.name, f"{path}: {reason}"))
    return []


def _find_walks(explanation: Explanation, photo: Photo, window: Box) -> Iterator[CurveWalk]:
    """Yield the removal of cells, of a method that has an order and the scores along it."""
    trajectory = explanation.details.get("trajectory")
    order, coarse = explanation.order, explanation.coarse
    if not trajectory or order is None or coarse is None or coarse.ndim != 2:
        return
    counts, scores = zip(*trajectory, strict=True)
    size = (explanation.heatmap.shape[0], explanation.heatmap.shape[1])
    yield CurveWalk(
        "Removal by the method itself",
        tuple(float(count) / coarse.size for count in counts),
        tuple(map(float, scores)),
        "away",
        make_filling(
            photo, window, size, explanation.fill, explanation.fill_parameters, explanation.seed
        ),
        tuple(int(cell) for cell in order),
        (coarse.shape[0], coarse.shape[1]),
    )
