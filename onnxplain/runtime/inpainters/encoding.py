"""One run of an inpainter's graph: images and holes as its description has them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images
from onnxplain.core.errors import InpainterError
from onnxplain.describe.inpainter.inpainter_spec import ChannelOrder, InpainterSpec
from onnxplain.runtime.inpainters.fitting import Holes
from onnxplain.runtime.runner import pad_rows
from onnxplain.runtime.session import Session

Raw: TypeAlias = NDArray[np.float32]  # (N, H, W, 3): the answer's own numbers and channel order


def answer(session: Session, spec: InpainterSpec, images: Images, holes: Holes) -> Raw:
    """What the graph makes of images (N, H, W, 3) at a size it takes, in its own numbers.

    A graph of one batch gets copies of the last image beside the others.

    Raises
    ------
    InpainterError
        If the answer has another shape, or is not finite.
    ModelError
        If the graph cannot be run on such images.
    """
    n = len(images)
    axis = fixed_batch(session, spec)
    images, holes = pad_rows(images, axis or n), pad_rows(holes, axis or n)
    (given,) = session.run(encode(spec, images, holes), [spec.output])
    rows, columns = images.shape[1:3]
    shape = (rows, columns, 3) if spec.output_layout == "nhwc" else (3, rows, columns)
    if given.shape != (len(images), *shape):
        raise InpainterError(
            f"{session.name}: output {spec.output!r} has shape {given.shape}, where "
            f"{(len(images), *shape)} was expected, as images of {rows} x {columns} go in"
        )
    if not np.isfinite(given[:n]).all():
        raise InpainterError(
            f"{session.name}: painted NaN or infinite pixels; it may want another range than "
            f"[{spec.range[0]:g}, {spec.range[1]:g}], or other masks than {spec.hole:g} in holes "
            f"and {spec.known:g} elsewhere"
        )
    ordered = given[:n].astype(np.float32, copy=False)
    return ordered if spec.output_layout == "nhwc" else ordered.transpose(0, 2, 3, 1)


def fixed_batch(session: Session, spec: InpainterSpec) -> int | None:
    """The only number of images that the graph takes, None if any."""
    return next(one.shape[0] for one in session.inputs if one.name == spec.image_input)


def encode(spec: InpainterSpec, images: Images, holes: Holes) -> Mapping[str, NDArray[Any]]:
    """Images and holes as the graph takes them, by the names of its inputs."""
    low, high = spec.range
    ordered = images[..., ::-1] if spec.colour == "bgr" else images
    mean, std = np.asarray(spec.mean), np.asarray(spec.std)
    x = _affine(ordered, (high - low) / std, (low - mean) / std)
    if spec.premultiply:
        x = x.copy() if x is ordered else x
        x[holes] = 0
    mask = np.where(holes, np.float32(spec.hole), np.float32(spec.known))[..., None]
    if spec.pack == "separate":
        return {
            spec.image_input: _shaped(spec, x, spec.dtype),
            spec.mask_input: _own_mask(spec, mask),
        }
    if spec.pack == "channels":
        planes = {"image": x, "mask": mask, "ones": np.ones_like(mask)}
        x = np.concatenate([planes[plane] for plane in spec.planes], axis=3)
    elif spec.pack == "width":
        x = np.concatenate([x, mask.repeat(3, axis=3)], axis=2)
    return {spec.image_input: _shaped(spec, x, spec.dtype)}


def decode(raw: Raw, span: tuple[float, float], colour: ChannelOrder) -> Images:
    """The graph's numbers as RGB; `span` holds what black and white are. Nothing is clipped."""
    low, high = span
    pixels = _affine(raw, np.full(3, 1 / (high - low)), np.full(3, -low / (high - low)))
    return pixels[..., ::-1] if colour == "bgr" else pixels


def _affine(
    x: NDArray[np.float32], scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float32]:
    """``x * scale + shift`` by channel; `x` itself where that changes nothing."""
    if (scale == 1).all() and (shift == 0).all():
        return x
    y = x * scale.astype(np.float32)
    y += shift.astype(np.float32)
    return y


def _own_mask(spec: InpainterSpec, mask: NDArray[np.float32]) -> NDArray[Any]:
    if not spec.mask_channels:
        return mask[..., 0].astype(spec.mask_dtype)
    wide = np.broadcast_to(mask, (*mask.shape[:3], spec.mask_channels))
    return _shaped(spec, wide, spec.mask_dtype)


def _shaped(spec: InpainterSpec, x: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "uint8":
        x = np.clip(np.rint(x), 0, 255)
    axes = x.transpose(0, 3, 1, 2) if spec.layout == "nchw" else x
    return np.ascontiguousarray(axes, dtype)
