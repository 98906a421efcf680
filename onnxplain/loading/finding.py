"""Find the file of a model: by its path, its folder, or its name in the zoo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image
from onnxplain.core.errors import ModelError, tell_reason
from onnxplain.core.files import describe_missing
from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime import load_classifier
from onnxplain.runtime.seen_head import settle_head
from onnxplain.subjects import classify, fit_to_classifier

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and is not always needed
    from onnxplain.graph.load import ModelFile


class SerialisableModel(Protocol):
    """A model in memory, such as an `onnx.ModelProto`."""

    def SerializeToString(self) -> bytes:  # the name that onnx gives it
        """Return the content of its file."""
        ...


# A path or a name in the zoo; a folder with a model; the content of a file; a model in memory.
ModelSource: TypeAlias = str | os.PathLike[str] | bytes | SerialisableModel

DEFAULT_MODEL = "efficientnet-lite0"
DEFAULT_INPAINTER = "inpainter"
# Files of weights that are no ONNX, for error texts.
WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".h5", ".keras", ".tflite", ".msgpack"}


def find_model(model: str | os.PathLike[str]) -> Path:
    """Find the file of a model given by its path, its folder, or its name in the zoo.

    Raises
    ------
    ModelError, ZooError
        If there is no such file or zoo model, the folder does not hold one model, or the zoo
        model cannot be built.
    """
    if not os.fspath(model):  # as a path it would be the working folder
        raise ModelError("no model is given; give the path of an ONNX file, or a name in the zoo")
    path = Path(model)
    try:
        if path.is_dir():
            return _find_in_folder(path)
        if path.exists():
            return path
    except OSError as error:  # a folder that cannot be entered, a name that is too long
        raise ModelError(f"{path}: cannot be opened: {tell_reason(error)}") from error
    from onnxplain import zoo  # it imports onnx, which takes 0.2 s

    names = [model.name for model in zoo.list_models()]
    if str(model) in names:
        return zoo.build_model(str(model), score=score_photo)
    if path.suffix or len(path.parts) > 1:
        raise ModelError(describe_missing(path))
    raise ModelError(
        f"give the path of an ONNX file, or a name in the zoo: "
        f"{describe_unknown(str(model), names)}"
    )


def _find_in_folder(folder: Path) -> Path:
    """Find the model in a folder as Hugging Face, Optimum and timm lay it out.

    That is ``model.onnx``, else ``onnx/model.onnx``, else the only ONNX file in either place.
    """
    for usual in (folder / "model.onnx", folder / "onnx" / "model.onnx"):
        if usual.is_file():
            return usual
    found = sorted([*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")])
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(path.relative_to(folder).as_posix() for path in found)
        raise ModelError(f"{folder}: holds several ONNX files; give the path of one: {listed}")
    weights = sorted(path.name for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES)
    hint = f" but {', '.join(weights[:5])}: export that model to ONNX, or" if weights else ";"
    raise ModelError(f"{folder}: holds no ONNX file{hint} give the path of an ONNX file")


def find_source(model: ModelSource) -> Path | bytes:
    """Find the file of a model, or return its content where there is no file."""
    if isinstance(model, str | os.PathLike):
        return find_model(model)
    if isinstance(model, bytes):
        return model
    if not hasattr(model, "SerializeToString"):
        raise TypeError(
            f"a model is a path, a name in the zoo, the bytes of an ONNX file, or an "
            f"onnx.ModelProto, got {type(model).__name__}; for a module of PyTorch use "
            f"onnxplain.from_torch, for a model of Keras onnxplain.from_keras"
        )
    try:
        return model.SerializeToString()
    except Exception as error:  # protobuf's own, for more than 2 GB
        raise ModelError(
            f"the ModelProto cannot be written to bytes: {error}; save it as a file with external "
            f"data, and give its path"
        ) from error


def is_inpainter(path: Path) -> bool:
    """Return whether a file is described as an inpainter, or its graph returns a picture.

    Raises
    ------
    ModelError, InpainterError
        If the file or its description cannot be read.
    """
    from onnxplain.describe.inpainter import resolve_inpainter
    from onnxplain.graph.load import read_model

    return resolve_inpainter.is_inpainter(read_model(path))


def read_classifier_file(
    model: ModelSource, description: dict[str, Any]
) -> tuple[ModelFile, ModelSpec]:
    """Read a classifier's file and resolve its description."""
    from onnxplain.describe.resolve import resolve_spec
    from onnxplain.graph.adapting import read_classifier

    file = read_classifier(find_source(model))
    return file, settle_head(file, resolve_spec(file, description))


def score_photo(path: Path, photo: Image) -> NDArray[np.float32]:
    """Return the probabilities (K,) that the classifier in a file gives a photo (H, W, 3)."""
    classifier = load_classifier(path, device="cpu", batch_size=1)
    _, image = fit_to_classifier(classifier, photo)
    return classify(classifier, image).astype(np.float32)
