"""Explanations as values, and as files that are written whole or not at all."""

from __future__ import annotations

import itertools
import json
import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.arrays import read_npz
from onnxplain.core.data import Box, Heatmap
from onnxplain.core.errors import OutputError
from onnxplain.core.files import claim, open_part, replace, wrap_write_errors, write_atomic
from onnxplain.core.text_files import ANNOTATION_BYTES, parse_json, read_text
from onnxplain.image import Frame, write_png
from onnxplain.plot import draw_overlay

FORMAT = 1  # of the files; raised when earlier versions would misread new files

# What reading a damaged archive may raise.
READ_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)

_QUESTION_KEYS = ("target", "method", "parameters", "fill", "fill_parameters", "seed")


class SavedFiles(NamedTuple):
    """Paths of a saved explanation; `overlay` is None if its photo was not available."""

    heatmap: Path
    record: Path
    overlay: Path | None


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a classifier gave an image's target its score: a heatmap and how it was made.

    Parameters
    ----------
    image : str
        The path of the image, or ``image-0``, ``image-1``, ... for arrays.
    target : int
        Index of the explained class.
    target_name : str
        Name of that class.
    score : float in [0, 1]
        Probability of the target for the whole image.
    heatmap : (H, W) ndarray of float32
        At the classifier's size; larger = more evidence for the target.
    coarse, order : ndarray or None
        The map before it was enlarged to the image, and the order in which the method removed
        cells, if the method has them.
    method, fill : str
        Names in the registry.
    parameters, fill_parameters : mapping
        Hyperparameters of the method and the fill.
    seed : int
        Decides every random draw, together with the names of the image and the method.
    evaluations : int
        Number of images scored; targets of one image may share them.
    seconds : float
        Time from the start of the image to its end; other images may share its batches.
    inpaints : int
        Pictures that the fill made, one per distinct mask; 0 if one picture serves all masks.
    inpaint_seconds : float
        Time that all workers together spent on these pictures.
    inpaint_share : float in [0, 1]
        Share of the workers' time that these pictures took.
    provenance : mapping
        What ran: the classifier (file, sha256, provider, preprocessing), versions, and the size
        (rows, columns) of the photo and the sha256 of its pixels.
    details : mapping
        Further facts from the method.
    window : Box or None
        The part that the classifier saw, in pixels of the photo; None means all of it.
    photo : (rows, columns, 3) ndarray of uint8, or None
        What the overlay is drawn on; None if the explanation was read from a file.
    """

    image: str
    target: int
    target_name: str
    score: float
    heatmap: Heatmap = field(repr=False)
    method: str
    fill: str
    parameters: Mapping[str, Any]
    fill_parameters: Mapping[str, Any]
    seed: int
    evaluations: int
    seconds: float
    provenance: Mapping[str, Any]
    inpaints: int = 0
    inpaint_seconds: float = 0.0
    inpaint_share: float = 0.0
    coarse: NDArray[np.float32] | None = field(default=None, repr=False)
    order: NDArray[np.intp] | None = field(default=None, repr=False)
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    window: Box | None = None
    photo: NDArray[np.uint8] | None = field(default=None, repr=False)

    @cached_property
    def full_heatmap(self) -> Heatmap:
        """The heatmap at the photo's size; 0 where the classifier did not see the photo."""
        rows, columns = self.provenance["image_size"]
        height, width = self.heatmap.shape
        window = self.window or Box(0, 0, rows, columns)
        return Frame((rows, columns), (height, width), window).back(self.heatmap)

    def record(self) -> dict[str, Any]:
        """Return everything but the arrays, ready for JSON."""
        return {
            "format": FORMAT,
            "image": self.image,
            "target": self.target,
            "target_name": self.target_name,
            "score": self.score,
            "method": self.method,
            "parameters": dict(self.parameters),
            "fill": self.fill,
            "fill_parameters": dict(self.fill_parameters),
            "seed": self.seed,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "inpaints": self.inpaints,
            "inpaint_seconds": self.inpaint_seconds,
            "inpaint_share": self.inpaint_share,
            "details": dict(self.details),
            "window": None if self.window is None else asdict(self.window),
            "provenance": dict(self.provenance),
        }

    def save(self, folder: str | os.PathLike[str]) -> SavedFiles:
        """Write ``.npz``, ``.json`` and the overlay ``.png`` into a folder.

        The files are named after image, method and target. Files of the same explanation are
        replaced; files of another explanation are kept, and the new name gets a number.

        Parameters
        ----------
        folder : path
            The folder; made if it does not exist.

        Returns
        -------
        saved : SavedFiles
            The paths of the files.

        Raises
        ------
        OutputError
            If the folder cannot be made or written.
        """
        folder = Path(folder)
        with wrap_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.record(), allow_nan=False, indent=2)
            with open_part(folder) as (part, file):
                np.savez(file, allow_pickle=False, record=np.array(text), **self._list_arrays())
                file.close()
                base = _place(part, folder, self)
            npz, record = folder / f"{base}.npz", folder / f"{base}.json"
            png = None
            if self.photo is not None:
                png = folder / f"{base}.png"
                write_png(png, self.overlay(self.photo))
            # The record is written last: if it exists, the other files do.
            write_atomic(record, text.encode() + b"\n")
        return SavedFiles(npz, record, png)

    def overlay(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draw the heatmap over a photo (rows, columns, 3), with class, score and method above."""
        title = f"{self.target_name} {self.score:.3f} · {self.method} with {self.fill}"
        return draw_overlay(photo, self.full_heatmap, title=title, window=self.window)

    def _list_arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {
            "heatmap": self.heatmap,
            "coarse": self.coarse,
            "order": self.order,
        }
        return {name: array for name, array in arrays.items() if array is not None}


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Check that results can be written to a folder; make it if needed.

    Callers do this early, so that users learn of a problem before the work, not after.

    Raises
    ------
    OutputError
        If the folder cannot be made or written.
    """
    folder = Path(folder)
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()


def load_explanation(path: str | os.PathLike[str]) -> Explanation:
    """Read an explanation back from its ``.npz``.

    Parameters
    ----------
    path : path
        The ``.npz`` that `Explanation.save` wrote.

    Returns
    -------
    explanation : Explanation
        The explanation, without its photo.

    Raises
    ------
    OutputError
        If the file is missing, damaged, or was not written by `Explanation.save`.
    """
    path = Path(path)
    try:
        if path.suffix.lower() != ".npz" and path.exists():
            raise OutputError(f"{path}: is not an .npz; give the .npz of an explanation")
        arrays: dict[str, Any] = read_npz(path)
        record = parse_json(str(arrays.pop("record")))
        version = record.pop("format")
        if version != FORMAT:
            raise OutputError(
                f"{path}: has format {version}, but this version reads format {FORMAT}; "
                f"read it with the version of onnxplain that wrote it"
            )
        window = record.pop("window")
        return Explanation(**record, **arrays, window=None if window is None else Box(**window))
    except FileNotFoundError as error:
        raise OutputError(f"{path}: no such file; check the path") from error
    except READ_ERRORS as error:
        raise OutputError(
            f"{path}: is not a complete explanation written by onnxplain ({error}); "
            f"give the .npz of one, or make it again"
        ) from error


def _place(part: Path, folder: Path, explanation: Explanation) -> str:
    """Give the ``.npz`` the first name that is free, or that holds this very explanation.

    Who makes the ``.npz`` owns the name: other processes see it whole, with its record, and
    take another name unless they answer the same question.
    """
    name = "-".join(
        [
            _shorten(Path(explanation.image).stem, 80),
            explanation.method,
            _make_slug(explanation.target_name) or str(explanation.target),
        ]
    )
    question = _identify(json.loads(json.dumps(explanation.record())))
    return next(base for base in _number_names(name) if _take_name(part, folder / base, question))


def _take_name(part: Path, base: Path, question: list[Any]) -> bool:
    """Move the ``.npz`` to a name if it is free or holds the same question; say if it did."""
    npz, record = (base.with_name(f"{base.name}{suffix}") for suffix in (".npz", ".json"))
    if record.exists():  # also that of a .npz which somebody removed
        if _read_question(record) != question:
            return False
    elif claim(part, npz):
        return True
    elif npz.is_file() and _read_question(npz) != question:
        return False
    replace(part, npz)  # where a folder has the name, the error says so
    return True


def _number_names(name: str) -> Iterator[str]:
    yield name
    for number in itertools.count(2):
        yield f"{name}-{number}"


def _make_slug(class_name: str) -> str:
    """Turn the first of a class's names into part of a file name."""
    first = class_name.split(",")[0].lower()
    return _shorten(re.sub(r"\W+", "-", first).strip("-"), 40)


def _shorten(name: str, max_bytes: int) -> str:
    """Cut a name to a number of bytes, as file systems count bytes and not characters."""
    while len(os.fsencode(name)) > max_bytes:
        name = name[:-1]
    return name


def _read_question(path: Path) -> list[Any] | None:
    """Return what identifies the question of a ``.json`` or ``.npz``; None for other files."""
    try:
        if path.suffix == ".json":
            text = read_text(path, ANNOTATION_BYTES)
        else:
            text = str(read_npz(path)["record"])
        return _identify(parse_json(text))
    except READ_ERRORS:  # somebody else's file
        return None


def _identify(record: Mapping[str, Any]) -> list[Any]:
    """Return what identifies a question: image, classifier, target, method, fill, seed."""
    provenance = record.get("provenance", {})
    model = provenance.get("classifier", {})
    return [
        Path(record.get("image", "")).name,  # the part of the path that decides random draws
        *(record.get(key) for key in _QUESTION_KEYS),
        *(provenance.get(key) for key in ("pixels_sha256", "preprocessing", "inpainter")),
        *(model.get(key) for key in ("model", "sha256")),
    ]
