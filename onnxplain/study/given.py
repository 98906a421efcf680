"""Heatmaps that were made elsewhere, as a method: they are judged like all others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Parametrised
from onnxplain.metrics.base import check_heatmap


@dataclass(frozen=True)
class Given(Parametrised):
    """The heatmap ``FOLDER/PATH.npy`` for the image ``PATH.jpg``, of the classifier's size.

    Its path is that below the folder of images. Where there is no such heatmap it is the one
    of the image's name, ``FOLDER/NAME.npy``.

    Parameters
    ----------
    folder : str
        Holds (H, W) arrays; larger means more evidence for the image's class.
    """

    name: ClassVar[str] = "given"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "dataset-mean"

    folder: Annotated[str, Param("folder of heatmaps, PATH.npy for PATH.jpg")] = "heatmaps"

    def evaluations(self, size: Size) -> int:
        """None."""
        return 0

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Read the heatmap of a case that is named by its image's path; asks nothing.

        Raises
        ------
        ValueError
            If there is none, or none that can be used.
        """
        yield from ()
        path = self.path(case.name)
        try:
            found = check_heatmap(np.load(path, allow_pickle=False), case.size)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, EOFError) as error:
            raise ValueError(f"{path}: is no heatmap of {case.size}: {error}") from error
        return Attribution(found.astype(np.float32))

    def path(self, image: str) -> Path:
        """Where the heatmap of an image is; the image's path is that below its folder."""
        path = Path(self.folder) / PurePosixPath(image).with_suffix(".npy")
        return path if path.is_file() else Path(self.folder) / path.name

    def check(self, images: Iterable[str]) -> None:
        """Refuse before any work is done what would judge one heatmap for several images.

        Parameters
        ----------
        images : iterable of str
            Paths of all images below their folder, those too that are not judged now: the
            heatmap may be theirs.

        Raises
        ------
        ValueError
            If two images share a heatmap, or there is no folder.
        """
        if not Path(self.folder).is_dir():
            raise ValueError(
                f"given:folder={self.folder}: is no folder; it holds heatmaps, PATH.npy for the "
                f"image PATH.jpg"
            )
        first: dict[Path, str] = {}
        for image in images:
            path = self.path(image)
            if path.is_file() and first.setdefault(path, image) != image:
                raise ValueError(
                    f"{path} would be the heatmap of {first[path]} and of {image}; in "
                    f"{self.folder} give each the path of its image, but for the ending .npy"
                )

    def sha256(self, image: str) -> str | None:
        """Of the file, on which results depend; None if it cannot be read."""
        try:
            return hashlib.sha256(self.path(image).read_bytes()).hexdigest()
        except OSError:
            return None
