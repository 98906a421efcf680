"""The images of ``onnxplain explain``: files, folders, patterns and standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from onnxplain.core.errors import ImageError
from onnxplain.explaining import Failure
from onnxplain.image import check_file, find_photos
from onnxplain.subjects import NamedImage, name_image

STANDARD_INPUT = "-"


class FoundImages(NamedTuple):
    """The images that can be opened, and the failures of the others."""

    images: list[NamedImage]
    failures: list[Failure]


def find_images(words: Iterable[str], *, recursive: bool) -> FoundImages:
    """Find the images that the words of the command line mean, and check that they can be opened.

    Callers do this before a model is loaded or downloaded, so that users learn of a wrong path
    at once.

    Raises
    ------
    ValueError
        If standard input is named twice.
    """
    found = FoundImages([], [])
    words = list(words)
    if words.count(STANDARD_INPUT) > 1:
        raise ValueError("- is standard input, which can be read once only")
    for word in words:
        if word == STANDARD_INPUT:
            content = b"" if sys.stdin is None else sys.stdin.buffer.read()
            found.images.append(NamedImage("standard input", "stdin", content))
            continue
        try:
            paths = find_photos(word, recursive=recursive)
        except (ImageError, ValueError) as error:
            found.failures.append(Failure(word, error))
            continue
        for path in paths:
            try:
                check_file(path)
            except ImageError as error:
                found.failures.append(Failure(str(path), error))
            else:
                # As it was written, if it was: names like ./photo.jpg stay as they are.
                given = word if Path(word) == path else path
                found.images.append(name_image(given, len(found.images)))
    return found
