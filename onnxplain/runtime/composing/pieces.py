"""Which masks of a batch one run on a device can compose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.protocols import Part
from onnxplain.masks.codes import Codes, encode_masks
from onnxplain.masks.families import render_masks
from onnxplain.runtime.tensors import DevicePlace


class DevicePlanes(NamedTuple):
    """An image on the device, and what stands in for its pixels.

    Parameters
    ----------
    base : DevicePlace
        The image in the model's space, one row.
    fill : DevicePlace
        The fill less the image in the model's space, one row. If it is painted: pictures
        (F, H, W, 3) RGB in [0, 1], one for all masks or one for each.
    is_painted : bool
        Whether an inpainter painted the fill.
    """

    base: DevicePlace
    fill: DevicePlace
    is_painted: bool = False


class Statics(NamedTuple):
    """The inputs that masks share, on the device, and a digest of their values."""

    digest: bytes
    places: Mapping[str, DevicePlace]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Masks as codes, with their image and fill."""

    planes: DevicePlanes
    codes: Codes
    statics: Statics

    def __len__(self) -> int:
        return len(next(iter(self.codes.per_evaluation.values())))

    @property
    def kind(self) -> tuple[Any, ...]:
        """What pieces must have in common for one run: image, graph and statics."""
        shapes = tuple(values.shape[1:] for values in self.codes.per_evaluation.values())
        base, _, is_painted = self.planes
        return base.address, is_painted, self.codes.family, id(self.statics), shapes


def encode_part(part: Part) -> Codes:
    """Encode the masks of a part; masks without codes go as they are."""
    codes = encode_masks(part.masks, part.start, part.stop)
    if codes is not None:
        return codes
    masks = render_masks(part.masks, part.start, part.stop).astype(np.float32, copy=False)
    return Codes("pixels", {"masks": masks}, dict)


def join_pieces(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Join neighbours that one run can compose.

    They have one fill in common, or one picture each, and these follow one another in memory.
    """
    run: list[Piece] = []
    fill: DevicePlace | None = None
    for piece in pieces:
        joined = _join_fills(fill, run, piece) if fill is not None else None
        if joined is None and fill is not None:
            yield _merge(run, fill)
            run = []
        run.append(piece)
        fill = piece.planes.fill if joined is None else joined
    if fill is not None:
        yield _merge(run, fill)


def _join_fills(fill: DevicePlace, run: Sequence[Piece], piece: Piece) -> DevicePlace | None:
    """Return the fill of a run and one more piece; None if it needs a run of its own."""
    other = piece.planes.fill
    if piece.kind != run[0].kind:
        return None
    if fill.address == other.address and fill.n_rows == other.n_rows == 1:
        return fill
    if fill.n_rows == sum(map(len, run)) and other.n_rows == len(piece):
        return fill.join(other)
    return None


def _merge(run: Sequence[Piece], fill: DevicePlace) -> Piece:
    """Make one piece of a run's."""
    if len(run) == 1:
        return run[0]
    codes = run[0].codes
    rows = {
        name: np.concatenate([piece.codes.per_evaluation[name] for piece in run])
        for name in codes.per_evaluation
    }
    planes = run[0].planes._replace(fill=fill)
    return Piece(planes, replace(codes, per_evaluation=rows), run[0].statics)


def digest_statics(statics: Mapping[str, NDArray[Any]]) -> bytes:
    """Digest names, types, shapes and values of arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for name, values in statics.items():
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.digest()
