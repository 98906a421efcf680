"""What a report shows: photos, maps of them, curves of the maps, studies, and what failed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import NO_MEANING, Box, Heatmap, Meaning, Size
from onnxplain.plot.colours import Scale, choose_scale
from onnxplain.study.tables import Table

Way: TypeAlias = Literal["away", "back"]


def _check_numbers(what: str, *values: object) -> None:
    """Raise an error unless all values are finite numbers: files may hold anything."""
    for value in values:
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"a {what} has finite numbers, got {value!r}")


class Omission(NamedTuple):
    """Something that could not be read, explained or judged, and why."""

    what: str
    reason: str


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that was explained.

    Parameters
    ----------
    name : str
        Name of its file.
    size : (rows, columns)
        Of the photo itself, to which boxes and windows refer.
    pixels : (H, W, 3) ndarray of uint8, or None
        A smaller copy; None if there is none.
    """

    name: str
    size: Size
    pixels: NDArray[np.uint8] | None

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) and 0 < n < 1_000_000 for n in self.size):
            raise ValueError(f"a photo has rows and columns, got {self.size}")


@dataclass(frozen=True, eq=False)
class FillPicture:
    """What stands in for removed pixels.

    Parameters
    ----------
    name : str
        Name of the fill.
    picture : (H, W, 3) ndarray of uint8, or None
        What it shows in the window of the map; None if it is not known here.
    """

    name: str
    picture: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class CurveWalk:
    """The score while more and more pixels are removed or brought back.

    Parameters
    ----------
    title : str
        What is removed in which order; walks of several maps with one title share a chart.
    shares, scores : tuple of float
        Share of the pixels that are removed or back, from 0 to 1, and the score there.
    way : {'away', 'back'}
        Whether pixels are removed from the photo or brought back to the fill.
    filling : FillPicture
        What is seen in place of removed pixels.
    cells : tuple of int
        The removed cells in their order; empty if pixels go by the values of the map.
    grid : (rows, columns)
        Of the cells.
    """

    title: str
    shares: tuple[float, ...]
    scores: tuple[float, ...]
    way: Way
    filling: FillPicture
    cells: tuple[int, ...] = ()
    grid: Size = (1, 1)

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.scores) or not self.shares:
            raise ValueError(f"a curve has {len(self.shares)} shares, {len(self.scores)} scores")
        _check_numbers("curve", *self.shares, *self.scores)


class Value(NamedTuple):
    """What a metric says of a map; no number if it failed or is not defined."""

    metric: str
    number: float | None
    better: str  # lower or higher
    error: str = ""


@dataclass(frozen=True, eq=False)
class Map:
    """One answer of one method for one photo and class.

    Parameters
    ----------
    photo : str
        Key of the photo.
    target, target_name, score
        Class and its probability, as in `onnxplain.results.Explanation`; the score is None if
        it is not recorded.
    settings : mapping
        What tells methods apart: classifier, method and fill with their parameters.
    heatmap : (H, W) ndarray of float32, or None
        At most `MAP_SIDE` pixels a side; None if it was not kept.
    window : Box
        Where the map lies, in pixels of the photo.
    meaning : Meaning
        What its numbers are.
    doubt : str
        Why the map may say nothing; empty if there is no reason.
    low, high : float
        Smallest and largest value of the map as it was made.
    facts : mapping
        Everything that is recorded, as values that JSON can hold.
    command : str
        A command that makes the map again.
    walks : tuple of CurveWalk
    values : tuple of Value
        What metrics say of this map.
    """

    photo: str
    target: int
    target_name: str
    score: float | None
    settings: Mapping[str, Any]
    heatmap: Heatmap | None
    window: Box
    meaning: Meaning = NO_MEANING
    doubt: str = ""
    low: float = 0.0
    high: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    walks: tuple[CurveWalk, ...] = ()
    values: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        box, score = self.window, 0.0 if self.score is None else self.score
        numbers = (box.top, box.left, box.bottom, box.right, self.low, self.high, score)
        _check_numbers("map", *numbers, self.target)
        _check_numbers("metric", *(v.number for v in self.values if v.number is not None))
        if not (box.bottom > box.top and box.right > box.left):
            raise ValueError(f"a map lies in a window of the photo, got {box}")

    @property
    def scale(self) -> Scale:
        """Which value has which colour, as in the figures of `onnxplain.plot`."""
        return choose_scale(np.array([self.low, self.high]))


@dataclass(frozen=True, eq=False)
class StudyPart:
    """The tables of one evaluation.

    Parameters
    ----------
    name : str
        Where its rows are.
    verdicts : str
        How many images were classified correctly, in words.
    means : Table
        As `onnxplain.study.tables.summarise` makes it.
    pairs : Table or None
        As `onnxplain.study.tables.compare_pairs` makes it.
    limits : tuple of str
        What the study cannot show, one sentence each.
    curves : tuple of CurveWalk
        Means over the images; the labels of their lines are in `curve_labels`.
    """

    name: str
    verdicts: str
    means: Table
    pairs: Table | None
    limits: tuple[str, ...] = ()
    curve_labels: tuple[str, ...] = ()
    curves: tuple[CurveWalk, ...] = ()


@dataclass(eq=False)
class Material:
    """Everything that goes into a report; it is gathered piece by piece.

    Parameters
    ----------
    limit : int
        Largest number of photos; further ones are counted, not kept.
    """

    limit: int
    photos: dict[str, Photo] = field(default_factory=dict)
    maps: list[Map] = field(default_factory=list)
    studies: list[StudyPart] = field(default_factory=list)
    broken: list[Omission] = field(default_factory=list)
    failures: list[Omission] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)  # keys of photos
    left_out: set[str] = field(default_factory=set)
    places: dict[str, int] = field(default_factory=dict)  # of the maps, by their questions

    def has_room(self, key: str) -> bool:
        """Return whether a photo is shown; count it if not."""
        if key in self.shown or len(self.shown) < self.limit:
            self.shown.add(key)
            return True
        self.left_out.add(key)
        return False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show but files that cannot be read."""
        return not (self.maps or self.studies or self.failures)

    def add(self, photo: Photo, new: Map) -> None:
        """Add a map of a photo, or what is new about a known one, as from its evaluation."""
        self.photos[new.photo] = photo
        question = json.dumps([new.photo, new.target, new.settings], sort_keys=True)
        place = self.places.setdefault(question, len(self.maps))
        known = self.maps[place] if place < len(self.maps) else None
        if known is None or (known.heatmap is not None and new.heatmap is not None):
            self.places[question] = len(self.maps)
            self.maps.append(new)
            return
        first, second = (known, new) if known.heatmap is not None else (new, known)
        self.maps[place] = replace(
            first,
            walks=(*first.walks, *second.walks),
            values=(*first.values, *second.values),
        )
