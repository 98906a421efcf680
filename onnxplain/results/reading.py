"""Explanations read back from their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from onnxplain.core.arrays import read_npz
from onnxplain.core.data import Box, Meaning
from onnxplain.core.errors import ImageError, OutputError, tell_reason
from onnxplain.core.files import describe_missing
from onnxplain.core.text_files import parse_json
from onnxplain.image import read_image
from onnxplain.results.explanation import Explanation
from onnxplain.results.placing import READ_ERRORS
from onnxplain.results.saving import FORMAT, PHOTO
from onnxplain.subjects import to_uint8

READABLE = (1, 2)  # files of format 1 hold no photo


def find_npz(path: Path) -> Path:
    """Return the ``.npz`` of an explanation, of whose three files any one stands for all.

    Other paths, and those that have no ``.npz`` beside them, are returned as they are.
    """
    if path.suffix.lower() not in (".png", ".json"):
        return path
    beside = path.with_suffix(".npz")
    return beside if beside.exists() else path


def load_explanation(path: str | os.PathLike[str]) -> Explanation:
    """Read an explanation back from its ``.npz``.

    Parameters
    ----------
    path : path
        The ``.npz`` that `Explanation.save` wrote.

    Returns
    -------
    explanation : Explanation
        The explanation; its photo is a JPEG copy, good enough to draw on.

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
        if version not in READABLE:
            raise OutputError(
                f"{path}: has format {version}, but this version reads format {FORMAT}; "
                f"read it with the version of onnxplain that wrote it"
            )
        window, meaning = record.pop("window"), record.pop("meaning", {})
        jpeg = arrays.pop(PHOTO, None)
        return Explanation(
            **record,
            **arrays,
            meaning=Meaning(**meaning),
            window=None if window is None else Box(**window),
            photo=None if jpeg is None else to_uint8(read_image(jpeg.tobytes(), name=path.name)),
        )
    except FileNotFoundError as error:
        raise OutputError(describe_missing(path)) from error
    except (ImageError, *READ_ERRORS) as error:
        raise OutputError(
            f"{path}: is not a complete explanation written by onnxplain ({tell_reason(error)}); "
            f"give the .npz of one, or make it again"
        ) from error
