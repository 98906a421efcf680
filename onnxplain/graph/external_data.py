"""Find the files beside a model that hold its weights, and check that they are safe to open."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import ModelProto, TensorProto

from onnxplain.core.errors import ModelError
from onnxplain.graph.stored import list_tensors


def list_external_files(proto: ModelProto, path: Path) -> list[Path]:
    """List the files that hold external tensors, sorted by name.

    Parameters
    ----------
    proto : ModelProto
        The model, before its local functions are put in place.
    path : Path
        The model's file; the external files are found from its folder.

    Raises
    ------
    ModelError
        If one of them is missing, a link, not a plain file, outside the model's folder, or too
        short for its tensors. Links into the blobs of the Hugging Face cache that the model
        lies in are accepted.
    """
    sizes: dict[str, int] = {}
    for tensor in list_tensors(proto):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in sizes:
            sizes[location] = _find_external_file(location, path).stat().st_size
        try:
            end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
        except ValueError as error:
            raise ModelError(
                f"{path.name}: the external data of {tensor.name!r} has an offset or length that "
                f"is not a number; export the model again"
            ) from error
        if end > sizes[location]:
            raise ModelError(
                f"{path.name}: {location} is truncated: {tensor.name!r} needs {end} bytes, the "
                f"file has {sizes[location]}; copy it again"
            )
    return [path.parent / location for location in sorted(sizes)]


def embed_weights(proto: ModelProto, path: Path) -> None:
    """Put the external tensors of a model into it; its files were found to be safe.

    The libraries that load weights do not follow links.
    """
    for tensor in list_tensors(proto):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        length = entries.get("length")
        with (path.parent / entries["location"]).open("rb") as file:
            file.seek(int(entries.get("offset", 0)))
            tensor.raw_data = file.read(-1 if length is None else int(length))
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT


def is_blob(file: Path, folder: Path) -> bool:
    """Return whether a link leads to a blob of the Hugging Face cache that holds the folder.

    There a model lies in ``models--NAME/snapshots/REVISION``, and its files are links to
    ``models--NAME/blobs``.
    """
    resolved = file.resolve()
    for snapshots in folder.resolve().parents:
        cache = snapshots.parent
        if snapshots.name == "snapshots" and cache.name.startswith("models--"):
            return file.is_symlink() and resolved.parent == cache / "blobs"
    return False


def _find_external_file(location: str, path: Path) -> Path:
    """Return the path of an external file; raise an error unless it is plain and in the folder."""
    parts = PurePosixPath(location).parts
    outside = PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive
    if not location or outside or ".." in parts or "\\" in location:
        raise ModelError(
            f"{path.name}: its external data {location!r} lies outside the model's folder; put "
            f"the file beside the model and export it with a relative path"
        )
    file = path.parent / location
    try:
        resolved = file.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: a zero in a name
        raise ModelError(
            f"{path.name}: its external data {location!r} is missing; put that file beside it, "
            f"and give the model by its path"
        ) from error
    linked = resolved != path.parent.resolve() / location and not is_blob(file, path.parent)
    if linked or not resolved.is_file() or resolved.stat().st_nlink > 1:
        raise ModelError(
            f"{path.name}: its external data {location!r} is a link or not a plain file, and could "
            f"lead out of the model's folder; put a copy there"
        )
    return file
