"""A method that reads heatmaps made elsewhere, so that they are judged like all others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.arrays import read_npy
from onnxplain.core.data import Attribution, Case, Heatmap, Preprocessing, Size
from onnxplain.core.errors import tell_reason
from onnxplain.core.files import hash_file
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import Frame, place_frame
from onnxplain.metrics.base import fit_heatmap


@dataclass(frozen=True)
class Given(Parametrised):
    """The heatmap ``FOLDER/PATH.npy`` for the image ``PATH.jpg``.

    It has the classifier's size, or the photo's: then it is cropped and resized as the photo.
    The path is relative to the folder of images. If there is no such heatmap, the one with
    the image's name is taken: ``FOLDER/NAME.npy``.

    Parameters
    ----------
    folder : str
        A folder of (H, W) arrays; larger values mean more evidence for the image's class.
    """

    name: ClassVar[str] = "given"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "dataset-mean"

    folder: Annotated[str, Param("folder of heatmaps, PATH.npy for PATH.jpg")] = "heatmaps"

    def evaluations(self, size: Size) -> int:
        """Return 0: the classifier is not used."""
        return 0

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Read the heatmap of a case whose name is the path of its image.

        Here it has the size of the case's image: a case does not know its photo.

        Raises
        ------
        ValueError
            If there is no heatmap, or it is not usable.
        """
        yield from ()
        return Attribution(self.read(case.name, place_frame(case.size, case.size, Preprocessing())))

    def read(self, image: str, frame: Frame) -> Heatmap:
        """Read the heatmap of an image, at the classifier's size.

        Parameters
        ----------
        image : str
            Path below the images' folder.
        frame : Frame
            How the photo is brought to the classifier's size.

        Raises
        ------
        ValueError
            If there is no heatmap, or it cannot be used.
        """
        path = self.path(image)
        try:
            heatmap = fit_heatmap(read_npy(path), frame)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read: {tell_reason(error)}") from error
        except (ValueError, TypeError, EOFError) as error:
            raise ValueError(f"{path}: is not a heatmap of {frame.size}: {error}") from error
        return heatmap.astype(np.float32)

    def path(self, image: str) -> Path:
        """Return the path of an image's heatmap; `image` is relative to the folder of images."""
        path = Path(self.folder) / PurePosixPath(image).with_suffix(".npy")
        return path if path.is_file() else Path(self.folder) / path.name

    def check(self, images: Iterable[str]) -> None:
        """Check, before any work is done, that no two images share a heatmap.

        Parameters
        ----------
        images : iterable of str
            Paths of all images, relative to their folder. Images that are not judged now
            are included, because a heatmap may belong to them.

        Raises
        ------
        ValueError
            If two images share a heatmap, or there is no folder.
        """
        if not Path(self.folder).is_dir():
            raise ValueError(
                f"given:folder={self.folder}: is not a folder; give a folder with a heatmap "
                f"PATH.npy for each image PATH.jpg"
            )
        first: dict[Path, str] = {}
        for image in images:
            path = self.path(image)
            if path.is_file() and first.setdefault(path, image) != image:
                raise ValueError(
                    f"{path} would be the heatmap of both {first[path]} and {image}; in "
                    f"{self.folder}, give each heatmap the path of its image with the ending .npy"
                )

    def sha256(self, image: str) -> str | None:
        """Return the checksum of an image's heatmap file; None if the file is unreadable."""
        return hash_file(self.path(image))
