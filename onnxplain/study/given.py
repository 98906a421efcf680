"""Heatmaps that were made elsewhere, as a method: they are judged like all others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.data import Attribution, Case, Size
from onnxplain.flow import Flow
from onnxplain.metrics.base import check_heatmap
from onnxplain.params import Param, Parametrised


@dataclass(frozen=True)
class Given(Parametrised):
    """The heatmap ``FOLDER/NAME.npy`` for the image ``NAME.jpg``, of the classifier's size.

    Parameters
    ----------
    folder : str
        Holds (H, W) arrays; larger means more evidence for the image's class.
    """

    name: ClassVar[str] = "given"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "dataset-mean"

    folder: Annotated[str, Param("folder of heatmaps, NAME.npy for NAME.jpg")] = "heatmaps"

    def evaluations(self, size: Size) -> int:
        """None."""
        return 0

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Read the heatmap of a case; asks nothing.

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
        """Where the heatmap of an image of this file name is."""
        return Path(self.folder) / f"{Path(image).stem}.npy"

    def sha256(self, image: str) -> str | None:
        """Of the file, on which results depend; None if it cannot be read."""
        try:
            return hashlib.sha256(self.path(image).read_bytes()).hexdigest()
        except OSError:
            return None
