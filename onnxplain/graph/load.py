"""Read and check an ONNX file: what it is, what else it refers to, and whether it is safe."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    external_data_helper,
)

from onnxplain.core.errors import ModelError
from onnxplain.graph.safety import check_safety, inline_functions
from onnxplain.graph.shapes import Shapes, list_subgraphs

MAX_BYTES = 4 * 2**30
MAX_MESSAGE = 2**31 - 1  # protobuf's own limit

# What people hand over instead of an ONNX file: offset, first bytes, what to do.
OTHERS = (
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
        Where it lies.
    proto : ModelProto
        Its content; tensors in external files are not loaded.
    sha256 : str
        Of the file's bytes and, following them, those of each external file by name.
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
        """What a session is opened from; weights in other files are found from the path only."""
        return self.path if self.external else self.proto.SerializeToString()

    @property
    def folder(self) -> Path | None:
        """Where a graph made of this one finds its weights; None if it holds them."""
        return self.path.parent if self.external else None

    def changed(self, proto: ModelProto) -> ModelFile:
        """The file with another graph in place of its own, that holds all its weights."""
        digest = hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()
        return replace(self, proto=proto, sha256=digest, external=False)


def read_model(path: str | Path, *, max_bytes: int = MAX_BYTES) -> ModelFile:
    """Read an ONNX file and refuse what is damaged or could do harm.

    Parameters
    ----------
    path : path
        The file.
    max_bytes : int
        Most bytes of the file and its external data together.

    Raises
    ------
    ModelError
        Saying which file, what is wrong with it, and what to do.
    """
    path = Path(path)
    written = content = _content(path, max_bytes)
    proto = _parse(content, path)
    files = _external_files(proto, path)
    total = len(content) + sum(file.stat().st_size for file in files)
    if total > max_bytes:
        raise ModelError(_too_large(path.name, total, max_bytes))
    if not files and not proto.functions and any(map(_lacks_shape, proto.graph.output)):
        proto = onnx.shape_inference.infer_shapes(proto)  # ONNX's checker insists on them
        content = proto.SerializeToString()
    try:
        onnx.checker.check_model(str(path) if files else content)
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{path.name}: not a valid ONNX model: {reason}; export it again"
        ) from error
    proto = inline_functions(proto, path.name)
    shapes = check_safety(proto, path.name)
    return ModelFile(path, proto, _sha256(written, files), bool(files), shapes)


def _lacks_shape(value: ValueInfoProto) -> bool:
    return value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")


def load_weights(file: ModelFile) -> ModelProto:
    """The graph of a file with all its weights in it; a copy if some lie in other files.

    Raises
    ------
    ModelError
        If it does not fit into one message.
    """
    if not file.external:
        return file.proto
    whole = ModelProto()
    whole.CopyFrom(file.proto)
    external_data_helper.load_external_data_for_model(whole, str(file.path.parent))
    if whole.ByteSize() > MAX_MESSAGE:
        raise ModelError(
            f"{file.path.name}: holds {whole.ByteSize()} bytes with its external data, and a "
            f"graph made of it may hold {MAX_MESSAGE}; export a smaller one"
        )
    return whole


def _content(path: Path, max_bytes: int) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; give the .onnx file in it")
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if not path.is_file():
        raise ModelError(f"{path}: not a regular file")
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise ModelError(_too_large(path.name, size, max_bytes))
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise ModelError(f"{path.name}: is empty")
    return content


def _too_large(name: str, size: int, max_bytes: int) -> str:
    return f"{name}: holds {size} bytes with its external data, more than the limit of {max_bytes}"


def _parse(content: bytes, path: Path) -> ModelProto:
    for offset, magic, what in OTHERS:
        if content[offset : offset + len(magic)] == magic:
            raise ModelError(f"{path.name}: not ONNX but {what}")
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


def _external_files(proto: ModelProto, path: Path) -> list[Path]:
    """The files with external tensors, sorted; each lies in the model's folder, unlinked."""
    sizes: dict[str, int] = {}
    for tensor in _tensors(proto):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in sizes:
            sizes[location] = _external_file(location, path).stat().st_size
        try:
            end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
        except ValueError as error:
            raise ModelError(
                f"{path.name}: external data of {tensor.name!r} has an offset or length that is "
                f"no number"
            ) from error
        if end > sizes[location]:
            raise ModelError(
                f"{path.name}: {location} is truncated: {tensor.name!r} needs {end} bytes, the "
                f"file has {sizes[location]}"
            )
    return [path.parent / location for location in sorted(sizes)]


def _external_file(location: str, path: Path) -> Path:
    """One external file, if it is a plain one inside the model's folder."""
    parts = PurePosixPath(location).parts
    outside = PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive
    if not location or outside or ".." in parts or "\\" in location:
        raise ModelError(
            f"{path.name}: its external data {location!r} leads out of the model's folder"
        )
    file = path.parent / location
    try:
        resolved = file.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"{path.name}: its external data {location!r} is missing; put that file beside it"
        ) from error
    linked = resolved != path.parent.resolve() / location
    if linked or not resolved.is_file() or resolved.stat().st_nlink > 1:
        raise ModelError(
            f"{path.name}: its external data {location!r} is a link or no plain file, which could "
            f"lead out of the model's folder; put a copy there"
        )
    return file


def _tensors(proto: ModelProto) -> Iterator[TensorProto]:
    """Every stored tensor, also inside nodes, subgraphs and functions."""
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:  # not in place yet
        yield from _node_tensors(function.node)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
        for _, graph in list_subgraphs(node):
            yield from _graph_tensors(graph)


def _sha256(content: bytes, files: list[Path]) -> str:
    digest = hashlib.sha256(content)
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()
