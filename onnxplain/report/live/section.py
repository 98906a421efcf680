"""The section of a report in which the classifier runs: its files, and what its script reads."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain import loading
from onnxplain.core.data import IMAGENET_MEAN, Image
from onnxplain.core.errors import ImageError, OnnxplainError, OutputError
from onnxplain.core.escaping import escape
from onnxplain.core.flow import NO_FILL
from onnxplain.core.spec import OUTPUTS
from onnxplain.graph.adapting import read_classifier
from onnxplain.graph.load import ModelFile, load_weights
from onnxplain.graph.shared_weights import share_weights
from onnxplain.plot.colours import Colormap, write_colours
from onnxplain.registry import GENERATIVE, choose_method_and_fill, get_fills, get_methods
from onnxplain.report.commands import format_entry
from onnxplain.report.fillings import cut_window
from onnxplain.report.live.opening import count_rows, find_maps, find_model, open_classifier
from onnxplain.report.live.ort_web import LICENCE, OrtWeb, find_ort_web
from onnxplain.report.live.packing import FOLDER, pack_file
from onnxplain.report.material import Map, Material
from onnxplain.report.page import LiveSection
from onnxplain.report.reading import make_photo_key
from onnxplain.runtime import OnnxClassifier
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.explainer_building import build_explainer_model
from onnxplain.subjects import (
    classify,
    fit_to_classifier,
    hash_photo,
    name_image,
    read_source,
)

LIMIT = 60_000_000  # bytes of the page
PACKED = 1.25  # bytes of text per byte of weights, which hardly get smaller by compression
STAND_IN = "grad-cam"  # the live map of methods that have none
SCRIPTS = ("engine.js", "classifier.js", "fills.js", "mask.js", "drawing.js", "live.js")
SOURCES: Mapping[str, tuple[str, ...]] = {"script-src": ("blob:", "'wasm-unsafe-eval'")}
COLOURS: tuple[Colormap, ...] = ("inferno", "blue-red")
MAX_PIXELS = 100_000_000  # of a photo that is read again


@dataclass(frozen=True)
class Live:
    """The part of a report in which the classifier runs, for ``write_report(..., live=Live())``.

    Parameters
    ----------
    model : path or str, optional
        The classifier that was explained; if not given, it is looked for by the name in the
        results, which is that of its file, and in the zoo.
    runtime : path, optional
        A folder with onnxruntime-web; if not given, npm fetches it once.
    description : mapping
        What neither the model's file nor the results say, as the arguments of `onnxplain.load`.
    """

    model: str | os.PathLike[str] | None = None
    runtime: str | os.PathLike[str] | None = None
    description: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, material: Material) -> LiveSection:
        """Make the section of a report.

        Raises
        ------
        ModelError, ZooError
            If the model cannot be found or loaded, or no map of the report is of it.
        OutputError
            If the page would be too large.
        LibraryMissing
            If the runtime cannot be had.
        """
        path = find_model(material) if self.model is None else loading.find_model(self.model)
        file = read_classifier(path)
        mine = find_maps(material, file)
        size = file.proto.ByteSize() * PACKED
        if size > LIMIT:
            raise _refuse_size(size, path.name)
        classifier = open_classifier(file, [material.maps[i] for i in mine], self.description)
        return make_live_section(
            material, mine, LiveModel(file, classifier, find_ort_web(self.runtime))
        )


class LiveModel(NamedTuple):
    """A classifier's file, the same in Python, and the runtime that runs it in a page."""

    file: ModelFile
    classifier: OnnxClassifier
    ort_web: OrtWeb


def make_live_section(material: Material, mine: list[int], live: LiveModel) -> LiveSection:
    """Make the section: the runtime, the classifier, explainers, photos, and what drives them.

    Parameters
    ----------
    material : Material
        What the report shows.
    mine : list of int
        Positions of the maps that are of this classifier.
    live : LiveModel
        The classifier.

    Raises
    ------
    OutputError
        If the page would be too large.
    """
    explainers, of_map = _build_explainers(material, mine, live)
    shared = share_weights(
        [load_weights(live.file).SerializeToString(), *(graph for _, graph in explainers)]
    )
    blocks = [
        pack_file("ort-module", live.ort_web.module),
        pack_file("ort-binary", live.ort_web.binary),
        pack_file("live-weights", shared.weights),
    ]
    blocks += [pack_file(f"live-graph-{place}", graph) for place, graph in enumerate(shared.graphs)]
    photos: list[dict[str, Any] | None] = [None] * len(material.photos)
    for place, key in enumerate(material.photos):
        of_photo = [material.maps[i] for i in mine if material.maps[i].photo == key]
        if not of_photo:
            continue
        image, is_exact = _bring(material, of_photo[0], live.classifier)
        if image is None:
            continue
        blocks.append(pack_file(f"live-photo-{place}", _encode(image)))
        probabilities = classify(live.classifier, _decode(image))
        photos[place] = {"exact": is_exact, "python": _list_best(probabilities)}
    size = sum(map(len, blocks))
    if size > LIMIT:
        raise _refuse_size(size, live.file.path.name)
    facts = {
        **_describe_model(live),
        "photos": photos,
        "explainers": [name for name, _ in explainers],
        "of_map": of_map,
    }
    text = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")
    blocks.append(f'<script type="application/json" id="live-data">{text}</script>\n')
    blocks.append(f"<!--\n{LICENCE}-->\n")
    markup = (FOLDER / "live.html").read_text("utf-8")
    body = markup.replace("MODEL", html.escape(escape(live.file.path.name))) + "".join(blocks)
    script = "\n".join((FOLDER / name).read_text("utf-8") for name in SCRIPTS)
    return LiveSection(
        body,
        f'(() => {{\n"use strict";\n{script}}})();',
        SOURCES,
        (FOLDER / "live.css").read_text("utf-8"),
    )


def _refuse_size(size: float, name: str) -> OutputError:
    return OutputError(
        f"a live page with {name} would have {size / 1e6:.0f} MB, and the limit is "
        f"{LIMIT / 1e6:.0f} MB, which browsers open without trouble; take a smaller classifier, "
        f"or quantise it to 8 bits (onnxruntime.quantization), or show fewer photos (--limit); "
        f"or leave out --live"
    )


def _build_explainers(
    material: Material, mine: list[int], live: LiveModel
) -> tuple[list[tuple[str, bytes]], dict[int, int]]:
    """Build the explainer of each method that has one, and say which map has which.

    If no method has one, a stand-in is built, if the classifier has gradients.
    """
    built: dict[str, tuple[str, bytes] | None] = {}
    of_map: dict[int, str] = {}
    for place in mine:
        method, fill = _name_settings(material.maps[place])
        key = f"{method} {fill}"
        if key not in built:
            built[key] = _try_to_build(live, method, fill)
        if built[key] is not None:
            of_map[place] = key
    found = {key: made for key, made in built.items() if made is not None}
    if not found and (made := _try_to_build(live, STAND_IN, None)):
        found[STAND_IN] = made
    order = list(found)
    return list(found.values()), {place: order.index(key) for place, key in of_map.items()}


def _name_settings(one: Map) -> tuple[str, str | None]:
    """Return method and fill of a map as names with parameters."""
    settings, methods, fills = one.settings, get_methods(), get_fills()
    name, fill = str(settings["method"]), str(settings["fill"])
    base, implied = GENERATIVE.get(name, (name, None))
    method = format_entry(name, settings["method_parameters"], methods.get(base))
    if fill in (NO_FILL, implied):
        return method, None
    return method, format_entry(fill, settings["fill_parameters"], fills.get(fill))


def _try_to_build(live: LiveModel, method: str, fill: str | None) -> tuple[str, bytes] | None:
    """Build an explainer; None if the method is no formula, or the model has no gradient."""
    try:
        choice = choose_method_and_fill(method, fill)
        return method, build_explainer_model(live.file, live.classifier.spec, choice)
    except (OnnxplainError, ValueError, TypeError):
        return None


def _bring(material: Material, one: Map, classifier: OnnxClassifier) -> tuple[Image | None, bool]:
    """Return a photo as the classifier sees it, and whether it is the photo itself.

    That is the file that was explained, if it is still there; else the copy in the report.
    """
    path = str(one.facts.get("image", ""))
    try:
        photo = read_source(name_image(path, 0), max_pixels=MAX_PIXELS)
        if make_photo_key(path, hash_photo(photo)) == one.photo:
            return fit_to_classifier(classifier, photo)[1], True
    except (ImageError, ValueError):
        pass
    copy = material.photos[one.photo]
    if copy.pixels is None:
        return None, False
    cut = cut_window(copy, one.window, classifier.size)
    return cut.astype(np.float32) / np.float32(255), False


def _encode(image: Image) -> bytes:
    """Write an image in 16 bits: the high bytes of all values, then the low ones."""
    levels = np.rint(image.astype(np.float64) * 65535).astype(np.uint16)
    return (levels >> 8).astype(np.uint8).tobytes() + (levels & 255).astype(np.uint8).tobytes()


def _decode(image: Image) -> Image:
    """Return an image as it is after `_encode`."""
    return (np.rint(image.astype(np.float64) * 65535) / 65535).astype(np.float32)


def _list_best(probabilities: NDArray[np.float64]) -> list[list[float]]:
    """Return the five most probable classes and their probabilities."""
    best = np.argsort(-probabilities, kind="stable")[:5]
    return [[int(k), float(probabilities[k])] for k in best]


def _describe_model(live: LiveModel) -> dict[str, Any]:
    """Return how the page's script feeds the graph and reads its answer."""
    spec = live.classifier.spec
    space = ModelSpace.of(spec)
    return {
        "input": spec.input,
        "output": spec.output,
        "size": list(spec.size),
        "layout": spec.layout,
        "colour": spec.colour,
        "gain": list(space.gain),
        "bias": list(space.bias),
        "rows": count_rows(live.file),
        "head": spec.head,
        "outputs": OUTPUTS[spec.head],
        "scale": list(spec.output_scale),
        "classes": [escape(name) for name in spec.class_names],
        "mean": [float(value) for value in IMAGENET_MEAN],
        "colours": {name: write_colours(name) for name in COLOURS},
    }
