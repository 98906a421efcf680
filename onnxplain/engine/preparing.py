"""Masks and fills of one slice: images that are composed here, or parts for the classifier."""

from __future__ import annotations

import numpy as np

from onnxplain.core.data import Image, Images, Mask
from onnxplain.core.flow import FillQuery, ImageQuery, MaskQuery
from onnxplain.core.protocols import Part
from onnxplain.engine.fillings import CachedFill
from onnxplain.engine.slices import Effort, Slice
from onnxplain.masks.families import render_masks


def make_parts(piece: Slice) -> tuple[list[Part], Effort]:
    """Make the parts of a slice: one for all of its masks, or one per mask if it is painted."""
    assert isinstance(piece.query, MaskQuery)
    assert piece.filling is not None
    masks, picture = piece.query.masks, piece.filling.picture
    if not isinstance(picture, CachedFill):
        return [Part(piece.filling.planes, masks, piece.start, piece.stop)], Effort()
    painted = picture.paint(_render_holes(piece))
    rows = range(piece.start, piece.stop)
    parts = [Part(planes, masks, i, i + 1) for i, planes in zip(rows, painted.planes, strict=True)]
    return parts, Effort(painted.n_made, painted.seconds)


def make_images(piece: Slice) -> tuple[Images, Effort]:
    """Return the images of a slice: those of its query, or composed here from its masks."""
    if isinstance(piece.query, ImageQuery):
        return piece.query.images[piece.start : piece.stop], Effort()
    assert isinstance(piece.query, MaskQuery)
    masks = render_slice(piece)
    has_own_holes = piece.query.holes is not None
    fill, effort = fill_masks(piece, _render_holes(piece) if has_own_holes else masks)
    return _compose_images(piece.case.image, fill, masks), effort


def _compose_images(image: Image, fill: Images, masks: Mask) -> Images:
    """Return ``image + mask * (fill - image)`` for every mask (eq. 1)."""
    composed: Images = fill - image
    # Channel by channel: a product that repeats the mask at each pixel takes five times as long.
    for channel in np.moveaxis(composed, -1, 0):
        channel *= masks
    composed += image
    return composed


def render_slice(piece: Slice) -> Mask:
    """Render the masks of a slice."""
    assert isinstance(piece.query, MaskQuery | FillQuery)
    return render_masks(piece.query.masks, piece.start, piece.stop)


def _render_holes(piece: Slice) -> Mask:
    """Render what is filled: the holes of the query, or else its masks."""
    assert isinstance(piece.query, MaskQuery)
    holes = piece.query.masks if piece.query.holes is None else piece.query.holes
    return render_masks(holes, piece.start, piece.stop)


def fill_masks(piece: Slice, masks: Mask) -> tuple[Images, Effort]:
    """Return the picture that stands in for what each mask removes."""
    assert piece.filling is not None
    picture = piece.filling.picture
    if not isinstance(picture, CachedFill):
        return np.broadcast_to(picture, (len(masks), *picture.shape)), Effort()
    filled = picture(masks)
    return filled.images, Effort(filled.n_made, filled.seconds)
