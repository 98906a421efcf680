"""The content of a page: photos, rows of the sheet of maps, charts, and what its script reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain.plot.colours import Colormap, Scale, write_colours
from onnxplain.plot.text import choose_ticks, format_value
from onnxplain.report.charts import Chart, Curve, lay_out_chart
from onnxplain.report.material import FillPicture, Map, Material
from onnxplain.report.pictures import (
    FILL_BYTES,
    FILL_FORMS,
    encode_map,
    encode_photo,
    find_plain_colour,
    share_bytes,
)
from onnxplain.study.naming import make_namer

DRAWN_SIDE = 480  # units of the longer side of pictures in the page


@dataclass(frozen=True)
class SheetRow:
    """A photo and a class: one row of the sheet of all maps."""

    photo: int
    target: int
    target_name: str
    score: float | None
    maps: tuple[int | None, ...]  # one per method; None where there is none


class Content:
    """Arranges a material for the template: photos, rows of the sheet, and charts."""

    def __init__(self, material: Material) -> None:
        self.keys = list(material.photos)
        self.photos = [material.photos[key] for key in self.keys]
        self.maps = material.maps
        self.models, self.labels = _label_maps(self.maps)
        # A random map is there to be compared with, not to be looked at first.
        self.methods = sorted(
            dict.fromkeys(self.labels), key=lambda name: name.startswith("random")
        )
        self.cases = self._list_cases()
        self.fillings: list[FillPicture] = []
        photo_bytes, map_bytes = share_bytes(
            len(self.photos), sum(one.heatmap is not None for one in self.maps)
        )
        self.photo_urls = [
            "" if photo.pixels is None else encode_photo(photo.pixels, photo_bytes)
            for photo in self.photos
        ]
        self.map_urls = [
            "" if one.heatmap is None else encode_map(one.heatmap, one.scale, map_bytes)
            for one in self.maps
        ]
        self.fill_urls: dict[str, str] = {}
        self.charts, self.walks = self._draw_charts()

    def name_page(self) -> str:
        """Return a title for the page."""
        if len(self.photos) == 1:
            return f"Why {self.cases[0].target_name.split(',')[0]}? {self.photos[0].name}"
        return "Explanations of an image classifier"

    def draw_size(self, photo: int) -> tuple[float, float]:
        """Return width and height of a photo in units of the page."""
        rows, columns = self.photos[photo].size
        unit = DRAWN_SIDE / max(rows, columns)
        return round(columns * unit, 2), round(rows * unit, 2)

    def draw_window(self, place: int) -> tuple[float, float, float, float]:
        """Return left, top, width and height of a map in units of the page."""
        one = self.maps[place]
        unit = DRAWN_SIDE / max(self.photos[self.keys.index(one.photo)].size)
        box = one.window
        left, top = box.left * unit, box.top * unit
        width, height = (box.right - box.left) * unit, (box.bottom - box.top) * unit
        return round(left, 2), round(top, 2), round(width, 2), round(height, 2)

    def format_range(self, place: int) -> str:
        """Format the smallest and the largest value of a map."""
        one = self.maps[place]
        span = max(one.high - one.low, abs(one.high), abs(one.low), 1e-30)
        return f"{format_value(one.low, span)} to {format_value(one.high, span)}"

    def describe_map(self, place: int) -> str:
        """Describe a map in words, for those who do not see it."""
        one = self.maps[place]
        photo = self.photos[self.keys.index(one.photo)]
        text = f": {one.meaning.text}" if one.meaning.text else ""
        return (
            f"Map of {self.labels[place]} for {one.target_name} (class {one.target}) on "
            f"{photo.name}{text}; values from {self.format_range(place)}"
        )

    def list_tables(self) -> dict[str, list[list[str]]]:
        """Return each used table of colours as shares of red, green and blue, for a filter."""
        levels = np.linspace(0, 1, 33)
        tables = {}
        for name in dict.fromkeys(one.scale.colormap for one in self.maps):
            colours = Scale(0, 1, name).colour(levels)
            tables[str(name)] = [[f"{value:.3f}" for value in channel] for channel in colours.T]
        return tables

    def describe(self) -> dict[str, Any]:
        """Return what the page's script reads, as values that JSON can hold."""
        used: set[Colormap] = {"blue-red", *(one.scale.colormap for one in self.maps)}
        return {
            "unit": DRAWN_SIDE,
            "colours": {str(name): write_colours(name) for name in sorted(used)},
            "photos": [
                {"name": photo.name, "size": photo.size, "drawn": self.draw_size(place)}
                for place, photo in enumerate(self.photos)
            ],
            "cases": [
                {
                    "photo": case.photo,
                    "name": case.target_name,
                    "target": case.target,
                    "score": case.score,
                    "maps": [place for place in case.maps if place is not None],
                }
                for case in self.cases
            ],
            "maps": [self._describe_map(place) for place in range(len(self.maps))],
            "walks": self.walks,
        }

    def _describe_map(self, place: int) -> dict[str, Any]:
        one = self.maps[place]
        scale, box = one.scale, one.window
        span = scale.high - scale.low
        return {
            "label": self.labels[place],
            "colours": scale.colormap,
            "low": _round(scale.low),
            "high": _round(scale.high),
            "has_map": bool(self.map_urls[place]),
            "window": [box.top, box.left, box.bottom, box.right],
            "caption": one.meaning.text,
            "doubt": one.doubt,
            "command": one.command,
            "alt": self.describe_map(place),
            "ticks": [
                [
                    (tick - scale.low) / span if span > 0 else 0.5,
                    format_value(tick, max(span, 1e-30)),
                ]
                for tick in choose_ticks(scale.low, scale.high)
            ],
        }

    def _list_cases(self) -> list[SheetRow]:
        """Return the rows of the sheet: photos as they came, the most probable class first."""
        rows: dict[tuple[int, int], dict[str, int]] = {}
        for place, one in enumerate(self.maps):
            row = rows.setdefault((self.keys.index(one.photo), one.target), {})
            row.setdefault(self.labels[place], place)
        cases = []
        for (photo, target), row in rows.items():
            first = self.maps[next(iter(row.values()))]
            maps = tuple(row.get(label) for label in self.methods)
            cases.append(SheetRow(photo, target, first.target_name, first.score, maps))
        # Files come by name, which puts the classes of a photo in the order of the alphabet.
        return sorted(cases, key=lambda case: (case.photo, -(case.score or 0.0)))

    def _draw_charts(self) -> tuple[list[tuple[int, Chart]], list[dict[str, Any]]]:
        """Draw one chart per case and kind of walk; describe the walks for the script."""
        charts: list[tuple[int, Chart]] = []
        walks: list[dict[str, Any]] = []
        for place, case in enumerate(self.cases):
            titles: dict[str, list[tuple[int, Any]]] = {}
            for position in case.maps:
                for walk in () if position is None else self.maps[position].walks:
                    titles.setdefault(walk.title, []).append((position or 0, walk))
            for title, found in titles.items():
                lines = [
                    Curve(self.labels[i], walk.shares, walk.scores, self._number(i))
                    for i, walk in found
                ]
                for i, walk in found:
                    walks.append(
                        {
                            "map": i,
                            "chart": len(charts),
                            "way": walk.way,
                            "shares": [_round(share) for share in walk.shares],
                            "scores": [_round(score) for score in walk.scores],
                            "cells": walk.cells,
                            "grid": walk.grid,
                            "fill": self._describe_filling(walk.filling),
                        }
                    )
                charts.append((place, lay_out_chart(title, lines, found[0][1].way)))
        return charts, walks

    def _number(self, place: int) -> int:
        return self.methods.index(self.labels[place])

    def _describe_filling(self, filling: FillPicture) -> dict[str, str]:
        """Describe a fill: its colour, or the id of its picture in the page."""
        if filling.picture is None:
            return {"name": filling.name}
        if colour := find_plain_colour(filling.picture):
            return {"name": filling.name, "colour": colour}
        url = encode_photo(filling.picture, FILL_BYTES, FILL_FORMS)
        identifier = self.fill_urls.setdefault(url, f"f{len(self.fill_urls)}")
        return {"name": filling.name, "id": identifier}


def _label_maps(maps: Sequence[Map]) -> tuple[list[str], list[str]]:
    """Return the classifiers, and a label per map that no other map of its photo and class has."""
    settings = [dict(one.settings) for one in maps]
    name = make_namer(settings, ("model", "method"))
    models = sorted({name(one, "model") for one in settings})
    many_seeds = len({one["seed"] for one in settings}) > 1
    taken: set[tuple[str, int, str]] = set()
    labels = []
    for one, made in zip(maps, settings, strict=True):
        parts = [name(made, "method")]
        parts += [name(made, "model")] if len(models) > 1 else []
        parts += [f"seed {made['seed']}"] if many_seeds else []
        first, number = " · ".join(parts), 2
        label = first
        while (one.photo, one.target, label) in taken:
            label, number = f"{first} · {number}", number + 1
        taken.add((one.photo, one.target, label))
        labels.append(label)
    return models, labels


def _round(value: float) -> float:
    """Round a number to six digits, which is more than anybody sees."""
    return float(f"{value:.6g}")
