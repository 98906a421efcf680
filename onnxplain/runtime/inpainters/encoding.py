"""One run of an inpainter's graph: images and holes in the form it describes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images
from onnxplain.core.errors import InpainterError
from onnxplain.describe.inpainter.inpainter_spec import ColourOrder, InpainterSpec
from onnxplain.runtime.inpainters.fitting import Holes
from onnxplain.runtime.runner import pad_rows
from onnxplain.runtime.session import Session

Raw: TypeAlias = NDArray[np.float32]  # (N, H, W, 3) in the graph's own range and channel order


def run_graph(
    session: Session, spec: InpainterSpec, images: Images, holes: Holes, *, width: int
) -> Raw:
    """Run the graph on images (N, H, W, 3) of a size that it takes; return its own numbers.

    Copies of the last image fill the `width` rows of the call.

    Raises
    ------
    InpainterError
        If the output has another shape, or is not finite.
    ModelError
        If the graph cannot be run on such images.
    """
    n = len(images)
    images, holes = pad_rows(images, width), pad_rows(holes, width)
    (output,) = session.run(encode_inputs(spec, images, holes), [spec.output])
    check_shape(session, spec, output.shape, images.shape[:3])
    if not np.isfinite(output[:n]).all():
        raise make_finiteness_error(session, spec)
    raw = output[:n].astype(np.float32, copy=False)
    return raw if spec.output_layout == "nhwc" else raw.transpose(0, 2, 3, 1)


def check_shape(
    session: Session, spec: InpainterSpec, shape: tuple[int, ...], of_inputs: tuple[int, ...]
) -> None:
    """Check the shape of the output for inputs of so many images, rows and columns.

    Raises
    ------
    InpainterError
        If it is another.
    """
    n, rows, columns = of_inputs
    wanted = (n, rows, columns, 3) if spec.output_layout == "nhwc" else (n, 3, rows, columns)
    if shape != wanted:
        raise InpainterError(
            f"{session.name}: output {spec.output!r} has shape {shape}, where {wanted} was "
            f"expected, as images of {rows} x {columns} go in"
        )


def make_finiteness_error(session: Session, spec: InpainterSpec) -> InpainterError:
    """Make the error of an output that is not finite."""
    return InpainterError(
        f"{session.name}: painted NaN or infinite pixels; it may want another range than "
        f"[{spec.range[0]:g}, {spec.range[1]:g}], or other masks than {spec.hole:g} in holes "
        f"and {spec.known:g} elsewhere"
    )


def get_fixed_batch(session: Session, spec: InpainterSpec) -> int | None:
    """Return the only number of images that the graph takes; None if it takes any."""
    return next(tensor.shape[0] for tensor in session.inputs if tensor.name == spec.image_input)


def encode_inputs(spec: InpainterSpec, images: Images, holes: Holes) -> Mapping[str, NDArray[Any]]:
    """Encode images and holes in the form the graph takes, by the names of its inputs."""
    low, high = spec.range
    ordered = images[..., ::-1] if spec.colour == "bgr" else images
    mean, std = np.asarray(spec.mean), np.asarray(spec.std)
    x = _scale_channels(ordered, (high - low) / std, (low - mean) / std)
    if spec.premultiply:
        x = x.copy() if x is ordered else x
        x[holes] = 0
    mask = np.where(holes, np.float32(spec.hole), np.float32(spec.known))[..., None]
    if spec.pack == "separate":
        return {
            spec.image_input: _arrange(spec, x, spec.dtype),
            spec.mask_input: _arrange_mask(spec, mask),
        }
    if spec.pack == "channels":
        planes = {"image": x, "mask": mask, "ones": np.ones_like(mask)}
        x = np.concatenate([planes[plane] for plane in spec.planes], axis=3)
    elif spec.pack == "width":
        x = np.concatenate([x, mask.repeat(3, axis=3)], axis=2)
    return {spec.image_input: _arrange(spec, x, spec.dtype)}


def decode_pixels(raw: Raw, span: tuple[float, float], colour: ColourOrder) -> Images:
    """Decode the graph's numbers to RGB in [0, 1] without clipping.

    `span` holds the numbers of black and white.
    """
    low, high = span
    pixels = _scale_channels(raw, np.full(3, 1 / (high - low)), np.full(3, -low / (high - low)))
    return pixels[..., ::-1] if colour == "bgr" else pixels


def _scale_channels(
    x: NDArray[np.float32], scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Compute ``x * scale + shift`` by channel; return `x` itself if that changes nothing."""
    if (scale == 1).all() and (shift == 0).all():
        return x
    y = x * scale.astype(np.float32)
    y += shift.astype(np.float32)
    return y


def _arrange_mask(spec: InpainterSpec, mask: NDArray[np.float32]) -> NDArray[Any]:
    """Bring a mask (N, H, W, 1) into the form of an input of its own."""
    if not spec.mask_channels:
        return mask[..., 0].astype(spec.mask_dtype)
    wide = np.broadcast_to(mask, (*mask.shape[:3], spec.mask_channels))
    return _arrange(spec, wide, spec.mask_dtype)


def _arrange(spec: InpainterSpec, x: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Bring an array (N, H, W, C) into the layout and element type of an input."""
    if dtype == "uint8":
        x = np.clip(np.rint(x), 0, 255)
    axes = x.transpose(0, 3, 1, 2) if spec.layout == "nchw" else x
    return np.ascontiguousarray(axes, dtype)
