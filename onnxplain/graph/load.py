"""Read an ONNX file and check it: that it is ONNX, complete, valid, and safe to run."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from onnx import ModelProto, ValueInfoProto, external_data_helper

from onnxplain.core.errors import ModelError, tell_reason
from onnxplain.core.files import open_regular
from onnxplain.graph.external_data import embed_weights, is_blob, list_external_files
from onnxplain.graph.local_functions import inline_functions
from onnxplain.graph.order import sort_nodes
from onnxplain.graph.safety import check_safety
from onnxplain.graph.shapes import Shapes
from onnxplain.graph.stored import check_stored

MAX_BYTES = 4 * 2**30
MAX_MESSAGE = 2**31 - 1  # protobuf's own limit
# The folder of models that are no files: nothing lies beside them, as no path holds a null byte.
NOWHERE = Path("\0")
GIVEN = NOWHERE / "model.onnx"  # a model given by its content
INVALID = (  # what ONNX raises for a model that is not valid
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    UnicodeDecodeError,
)

# Files that people give instead of ONNX: offset, first bytes, what the file is and what to do.
OTHER_FORMATS = (
    (4, b"TFL3", "a TensorFlow Lite model; convert it with python -m tf2onnx.convert --tflite"),
    (4, b"ORTM", "in ONNX Runtime's own format; use the .onnx file it was made from"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes; export it with model.export(format='onnx')"),
    (0, b"PK", "a zip archive, as PyTorch and Keras write; export the model to ONNX"),
    (0, b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with git lfs pull"),
    (0, b"<", "a web page or XML; the download may have failed"),
)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """An ONNX file that was read and found safe to load.

    Parameters
    ----------
    path : Path
        Where the file is.
    proto : ModelProto
        Its content; tensors in external files are not loaded.
    sha256 : str
        Hash of the file's bytes followed by those of each external file in order of name.
    external : bool
        Whether weights lie in other files of the same folder.
    shapes : Shapes
        Shapes of its tensors at batch 1.
    """

    path: Path
    proto: ModelProto
    sha256: str
    external: bool
    shapes: Shapes

    @property
    def content(self) -> bytes | Path:
        """What to open a session from: the path if weights lie in other files, else bytes."""
        return self.path if self.external else self.proto.SerializeToString()

    @property
    def folder(self) -> Path | None:
        """Where a graph made from this one finds its weights; None if it holds them."""
        return self.path.parent if self.external else None

    def changed(self, proto: ModelProto) -> ModelFile:
        """Return the file with its graph replaced by one that holds all its weights."""
        digest = hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()
        return replace(self, proto=proto, sha256=digest, external=False)


def read_model(source: str | os.PathLike[str] | bytes, *, max_bytes: int = MAX_BYTES) -> ModelFile:
    """Read an ONNX file, and raise an error if it is damaged or could do harm.

    Parameters
    ----------
    source : path or bytes
        The file, or the content of one that holds all its weights.
    max_bytes : int
        Largest accepted number of bytes of the file and its external data together.

    Raises
    ------
    ModelError
        Naming the file, what is wrong with it, and what to do.
    """
    if isinstance(source, bytes):
        path, content = GIVEN, source
    else:
        path = Path(source)
        content = _read_content(path, max_bytes)
    file_content = content
    proto = _parse_model(content, path)
    check_stored(proto, path.name)
    files = list_external_files(proto, path)
    total = len(content) + sum(file.stat().st_size for file in files)
    if total > max_bytes:
        raise ModelError(_describe_excess(path.name, total, max_bytes))
    external = bool(files)
    if any(is_blob(file, path.parent) for file in files) and total <= MAX_MESSAGE:
        embed_weights(proto, path)
        content, external = proto.SerializeToString(), False
    if not external and sort_nodes(proto.graph):
        content = proto.SerializeToString()
    try:
        if not external and not proto.functions and any(map(_lacks_shape, proto.graph.output)):
            proto = onnx.shape_inference.infer_shapes(proto)  # ONNX's checker insists on them
            content = proto.SerializeToString()
        onnx.checker.check_model(str(path) if external else content)
    except INVALID as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{path.name}: not a valid ONNX model: {reason}; export it again"
        ) from error
    proto = inline_functions(proto, path.name)
    shapes = check_safety(proto, path.name)
    return ModelFile(path, proto, _hash_files(file_content, files), external, shapes)


def load_weights(file: ModelFile) -> ModelProto:
    """Return the graph of a file with all its weights in it.

    This is a copy if some of them lie in other files.

    Raises
    ------
    ModelError
        If it does not fit into one protobuf message.
    """
    if not file.external:
        return file.proto
    model = ModelProto()
    model.CopyFrom(file.proto)
    external_data_helper.load_external_data_for_model(model, str(file.path.parent))
    if model.ByteSize() > MAX_MESSAGE:
        raise ModelError(
            f"{file.path.name}: holds {model.ByteSize()} bytes with its external data, and a "
            f"graph made of it may hold {MAX_MESSAGE}; export a smaller one"
        )
    return model


def _lacks_shape(value: ValueInfoProto) -> bool:
    return value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")


def _read_content(path: Path, max_bytes: int) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; give the .onnx file in it")
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise ModelError(_describe_excess(path.name, size, max_bytes))
            content = file.read()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {tell_reason(error)}") from error
    if not content:
        raise ModelError(f"{path.name}: is empty")
    return content


def _describe_excess(name: str, size: int, max_bytes: int) -> str:
    return f"{name}: holds {size} bytes with its external data, more than the limit of {max_bytes}"


def _parse_model(content: bytes, path: Path) -> ModelProto:
    for offset, magic, description in OTHER_FORMATS:
        if content[offset : offset + len(magic)] == magic:
            raise ModelError(f"{path.name}: not ONNX but {description}")
    try:
        proto: ModelProto = ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(
            f"{path.name}: not an ONNX file, or a truncated one ({len(content)} bytes); "
            f"copy or export it again"
        ) from error
    if not proto.graph.output:
        raise ModelError(f"{path.name}: not an ONNX model: it has no graph with an output")
    return proto


def _hash_files(content: bytes, files: list[Path]) -> str:
    digest = hashlib.sha256(content)
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()
