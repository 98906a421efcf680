"""An explanation as a value that can be drawn, saved and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import NO_MEANING, Box, Heatmap, Meaning
from onnxplain.core.flow import NO_FILL
from onnxplain.image import bring_back, encode_png, scale_box
from onnxplain.plot import USUAL_LOOK, Colormap, Look, Style, draw_figure
from onnxplain.plot.with_matplotlib import Axes, plot_figure
from onnxplain.results.doubt import describe_doubt
from onnxplain.results.saving import FORMAT, Content, SavedFiles, save_content

NOTEBOOK_LOOK = Look(size=320)


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
    meaning : Meaning
        What the numbers of the heatmap are.
    window : Box or None
        The part that the classifier saw, in pixels of the photo; None means all of it.
    photo : (rows, columns, 3) ndarray of uint8, or None
        What the overlay is drawn on; None if the explanation was read from a file without it.
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
    meaning: Meaning = NO_MEANING
    window: Box | None = None
    photo: NDArray[np.uint8] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return (
            f"Explanation({self.image!r}: {self.target_name} ({self.target}) {self.score:.3f}, "
            f"{self.method} with {self.fill}, {self.evaluations} evaluations)"
        )

    @cached_property
    def full_heatmap(self) -> Heatmap:
        """The heatmap at the photo's size; 0 where the classifier did not see the photo."""
        rows, columns = self.provenance["image_size"]
        window = self.window or Box(0, 0, rows, columns)
        return bring_back(self.heatmap, (rows, columns), window)

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
            "meaning": asdict(self.meaning),
            "window": None if self.window is None else asdict(self.window),
            "provenance": dict(self.provenance),
        }

    def save(self, path: str | os.PathLike[str], look: Look = USUAL_LOOK) -> SavedFiles:
        """Write the explanation into a folder, or one file of it.

        Parameters
        ----------
        path : path
            A folder, which is made if it does not exist: ``.npz``, ``.json`` and the overlay
            ``.png`` are written into it, named after image, method and target. Files of the
            same explanation are replaced; files of another one are kept, and the new name gets
            a number. Or a file with one of these three endings, which is written or replaced.
        look : Look
            Style, colours and size of the overlay (see `onnxplain.plot.Look`).

        Returns
        -------
        saved : SavedFiles
            The paths of the files.

        Raises
        ------
        OutputError
            If a folder cannot be made or written.
        ValueError
            If the path has the ending of another kind of picture, or the overlay is to be
            written and there is no photo.

        Examples
        --------
        >>> explanation.save("explanations")  # doctest: +SKIP
        >>> explanation.save("overlay.png")  # doctest: +SKIP
        """
        arrays = {"heatmap": self.heatmap, "coarse": self.coarse, "order": self.order}
        content = Content(self.record(), arrays, self.photo, lambda: self._draw(self.photo, look))
        return save_content(content, Path(path))

    def overlay(
        self,
        photo: NDArray[np.uint8] | None = None,
        *,
        style: Style = "panel",
        colormap: Colormap | None = None,
        alpha: float = 0.6,
        size: int = 448,
    ) -> NDArray[np.uint8]:
        """Draw the photo, the heatmap and both together, with what it explains and a scale.

        Parameters
        ----------
        photo : (rows, columns, 3) ndarray of uint8, optional
            Another picture of the photo's size to draw on; the explained photo if not given.
        style, colormap, alpha, size
            As `onnxplain.plot.Look` takes them.

        Returns
        -------
        figure : (rows, columns, 3) ndarray of uint8

        Raises
        ------
        ValueError
            If there is no photo, as the explanation was read from a file that holds none, or an
            option is out of range.
        """
        chosen = self.photo if photo is None else photo
        return self._draw(chosen, Look(style, colormap, alpha, size))

    def _draw(self, photo: NDArray[np.uint8] | None, look: Look) -> NDArray[np.uint8]:
        if photo is None:
            raise ValueError(
                f"{self.image}: this explanation was read from a file without its photo; give the "
                f"photo, as overlay(photo)"
            )
        rows, columns = self.provenance["image_size"]
        if photo.shape[:2] != (rows, columns):
            raise ValueError(
                f"{self.image}: the explained photo has size {(rows, columns)}, the picture to "
                f"draw on {photo.shape[:2]}"
            )
        return draw_figure(
            photo,
            self.heatmap,
            look,
            title=self._title,
            subtitle=self._subtitle,
            caption=self.meaning.text,
            note=describe_doubt(self.heatmap, self.meaning),
            window=self.window,
        )

    @property
    def _title(self) -> str:
        name = self.target_name.split(",")[0]
        return f"{name} · class {self.target} · probability {self.score:.3g}"

    @property
    def _subtitle(self) -> str:
        filled = "" if self.fill == NO_FILL else f", removed pixels filled with {self.fill}"
        return f"{Path(self.image).name} · {self.method}{filled}"

    def plot(
        self,
        axes: Axes | None = None,
        *,
        style: Style = "panel",
        colormap: Colormap | None = None,
        alpha: float = 0.6,
        size: int = 448,
    ) -> tuple[Axes, ...]:
        """Plot what `overlay` draws with matplotlib, to go on working with it.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Where to plot; the style ``panel`` then shows the map over the photo alone. A new
            figure if not given.
        style, colormap, alpha
            As for `overlay`.
        size : int
            Hundredths of an inch per picture of a new figure.

        Returns
        -------
        axes : tuple of matplotlib.axes.Axes
            One per picture, whose coordinates are pixels of the photo; ``axes[0].figure`` is the
            figure.

        Raises
        ------
        LibraryMissing
            If matplotlib is not installed; ``pip install 'onnxplain[plot]'`` does that.
        ValueError
            If an option is out of range.

        Examples
        --------
        >>> photo, heat, both = explanation.plot()  # doctest: +SKIP
        >>> both.scatter([120], [80])  # doctest: +SKIP
        >>> both.figure.savefig("figure.pdf")  # doctest: +SKIP
        """
        rows, columns = self.provenance["image_size"]
        note = describe_doubt(self.heatmap, self.meaning)
        return plot_figure(
            self.photo,
            self.heatmap,
            self.window,
            (rows, columns),
            Look(style, colormap, alpha, size),
            title=f"{self._title}\n{self._subtitle}",
            caption=f"{self.meaning.text}. {note}" if note else self.meaning.text,
            axes=axes,
        )

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        """Return the figure for notebooks, with a text for those who cannot see it."""
        look = NOTEBOOK_LOOK if self.photo is not None else replace(NOTEBOOK_LOOK, style="map")
        rows, columns = self.provenance["image_size"]
        photo = np.full((rows, columns, 3), 128, np.uint8) if self.photo is None else self.photo
        return encode_png(self._draw(photo, look)), {"alt": f"{self._title}, {self._subtitle}"}


def find_part_seen(explanation: Explanation) -> Box:
    """Return what the classifier saw, in shares of the rows and columns of the photo."""
    rows, columns = explanation.provenance["image_size"]
    return scale_box(explanation.window or Box(0, 0, rows, columns), 1 / rows, 1 / columns)
