"""Where the files of an explanation go: a name per question, which no other one takes."""

from __future__ import annotations

import itertools
import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from onnxplain.core.arrays import read_npz
from onnxplain.core.files import claim, shorten_name, wrap_write_errors
from onnxplain.core.files import replace as replace_file
from onnxplain.core.text_files import ANNOTATION_BYTES, parse_json, read_text

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


@contextmanager
def open_folder(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Check a folder for results, and remove it at the end if it was made for nothing.

    Files without content are removed with it.

    Raises
    ------
    OutputError
        As `check_folder`.
    """
    folder = Path(folder)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    check_folder(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # it is gone, or used
            if made and not any(file.stat().st_size or file.is_dir() for file in folder.iterdir()):
                for file in folder.iterdir():
                    file.unlink()
                for place in made:
                    place.rmdir()


def place(part: Path, folder: Path, record: Mapping[str, Any]) -> str:
    """Give the ``.npz`` the first name that is free, or that holds this very explanation.

    Who makes the ``.npz`` owns the name: other processes see it whole, with its record, and
    take another name unless they answer the same question.

    Parameters
    ----------
    part : path
        The ``.npz``, whole, under a name of its own.
    folder : path
        Where it belongs.
    record : mapping
        As it is read back from a file.

    Returns
    -------
    name : str
        The name without its ending.
    """
    name = "-".join(
        [
            shorten_name(Path(record["image"]).stem, 80),
            record["method"],
            _make_slug(record["target_name"]) or str(record["target"]),
        ]
    )
    question = _identify(record)
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
    replace_file(part, npz)  # where a folder has the name, the error says so
    return True


def _number_names(name: str) -> Iterator[str]:
    yield name
    for number in itertools.count(2):
        yield f"{name}-{number}"


def _make_slug(class_name: str) -> str:
    """Turn the first of a class's names into part of a file name."""
    first = class_name.split(",")[0].lower()
    return shorten_name(re.sub(r"\W+", "-", first).strip("-"), 40)


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
