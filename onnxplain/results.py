"""Explanations as values, and as files that appear whole or not at all."""

from __future__ import annotations

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

from onnxplain.core.data import Box, Heatmap
from onnxplain.core.errors import OutputError
from onnxplain.core.files import open_replacement, wrap_write_errors, write_atomic
from onnxplain.image import Frame, write_png
from onnxplain.plot import draw_overlay

FORMAT = 1  # of the files; grows when a reader of the old ones would misread the new ones

# How broken archives fail to be read.
READ_ERRORS = (
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

_QUESTION = ("target", "method", "parameters", "fill", "fill_parameters", "seed")


class SavedFiles(NamedTuple):
    """Where an explanation was written; `draw_overlay` is None if its photo was not at hand."""

    heatmap: Path
    record: Path
    overlay: Path | None


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a classifier gave an image's target its score.

    Parameters
    ----------
    image : str
        The path it was given by, or ``image-0``, ``image-1``, ... for arrays.
    target : int
        Index of the class that is explained.
    target_name : str
        Its name.
    score : float in [0, 1]
        Probability of the target for the whole image.
    heatmap : (H, W) ndarray of float32
        At the classifier's size; larger = more evidence for the target.
    coarse, order : ndarray or None
        What the method computed before the heatmap was brought to image size, and the
        order in which it removed cells, where it has them.
    method, fill : str
        Their names in the registry.
    parameters, fill_parameters : mapping
        Their hyperparameters.
    seed : int
        Together with the image's name and the method's it decides every random draw.
    evaluations : int
        Images that were scored; targets of one image may share them.
    seconds : float
        From when the image was taken up to its end; images of one call share batches.
    inpaints : int
        Pictures that a fill made for masks, each mask once; 0 where one picture is the fill.
    inpaint_seconds : float
        Spent on them by all workers together.
    inpaint_share : float in [0, 1]
        Share of the workers' time that was.
    provenance : mapping
        What ran: the classifier (file, sha256, provider, preprocessing), versions, and the
        size (rows, columns) of the photo and the sha256 of its pixels.
    details : mapping
        Further facts that the method reports.
    window : Box or None
        The part of the photo that the classifier saw, in its pixels; None is all of it.
    photo : (rows, columns, 3) ndarray of uint8, or None
        What the overlay is drawn on; None for an explanation read from a file.
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
        """At the photo's own size (rows, columns); 0 where the classifier did not see the photo."""
        rows, columns = self.provenance["image_size"]
        height, width = self.heatmap.shape
        window = self.window or Box(0, 0, rows, columns)
        return Frame((rows, columns), (height, width), window).back(self.heatmap)

    def record(self) -> dict[str, Any]:
        """Everything but the arrays, ready for JSON."""
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

        They are named after image, method and target. The files of the same explanation
        made before are replaced; those of another one never are: the name gets a number.

        Parameters
        ----------
        folder : path
            Is made if it is not there.

        Returns
        -------
        saved : Saved
            The paths.

        Raises
        ------
        OutputError
            If the folder cannot be made or written.
        """
        folder = Path(folder)
        with wrap_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            base = _free_name(folder, self)
            npz, record = folder / f"{base}.npz", folder / f"{base}.json"
            text = json.dumps(self.record(), allow_nan=False, indent=2)
            with open_replacement(npz) as file:
                np.savez(file, allow_pickle=False, record=np.array(text), **self._arrays())
            png = None
            if self.photo is not None:
                png = folder / f"{base}.png"
                write_png(png, self.overlay(self.photo))
            # The record comes last: where it is, the others are.
            write_atomic(record, text.encode() + b"\n")
        return SavedFiles(npz, record, png)

    def overlay(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The heatmap over its photo (rows, columns, 3), with class, score and method above."""
        title = f"{self.target_name} {self.score:.3f} · {self.method} with {self.fill}"
        return draw_overlay(photo, self.full_heatmap, title=title, window=self.window)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {
            "heatmap": self.heatmap,
            "coarse": self.coarse,
            "order": self.order,
        }
        return {name: array for name, array in arrays.items() if array is not None}


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder for results if it is not there, and see that it can be written.

    Raises
    ------
    OutputError
        If it cannot: before the work, not after it.
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
        What `Explanation.save` wrote.

    Returns
    -------
    explanation : Explanation
        Without the photo.

    Raises
    ------
    OutputError
        If the file is missing, damaged, or was not written by `Explanation.save`.
    """
    path = Path(path)
    try:
        if path.suffix.lower() != ".npz" and path.exists():
            raise OutputError(f"{path}: is no .npz; give the .npz of an explanation")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        record = json.loads(str(arrays.pop("record")))
        written = record.pop("format")
        if written != FORMAT:
            raise OutputError(
                f"{path}: has format {written}, and this version reads {FORMAT}; "
                f"read it with the version of onnxplain that wrote it"
            )
        window = record.pop("window")
        return Explanation(**record, **arrays, window=None if window is None else Box(**window))
    except FileNotFoundError as error:
        raise OutputError(f"{path}: no such file; check the path") from error
    except READ_ERRORS as error:
        raise OutputError(
            f"{path}: is not a whole explanation written by onnxplain ({error}); "
            f"give the .npz of one, or make it again"
        ) from error


def _free_name(folder: Path, explanation: Explanation) -> str:
    """The first name that is free, or that holds this very explanation."""
    name = "-".join(
        [
            _cut(Path(explanation.image).stem, 80),
            explanation.method,
            _slug(explanation.target_name) or str(explanation.target),
        ]
    )
    return next(one for one in _numbered(name) if _may_take(folder / f"{one}.json", explanation))


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _slug(class_name: str) -> str:
    """The first of a class's names, fit for a file name."""
    first = class_name.split(",")[0].lower()
    return _cut(re.sub(r"\W+", "-", first).strip("-"), 40)


def _cut(name: str, most: int) -> str:
    """The start of a name, in so many bytes: file systems count those."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


def _may_take(record: Path, explanation: Explanation) -> bool:
    try:
        there = json.loads(record.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:  # somebody else's file
        return False
    here = json.loads(json.dumps(explanation.record()))
    return isinstance(there, dict) and _identity(there) == _identity(here)


def _identity(record: Mapping[str, Any]) -> list[Any]:
    """What tells one question from another: image, classifier, target, method, fill, seed."""
    provenance = record.get("provenance", {})
    model = provenance.get("classifier", {})
    return [
        Path(record.get("image", "")).name,  # decides what is drawn
        *(record.get(key) for key in _QUESTION),
        *(provenance.get(key) for key in ("pixels_sha256", "preprocessing", "inpainter")),
        *(model.get(key) for key in ("model", "sha256")),
    ]
