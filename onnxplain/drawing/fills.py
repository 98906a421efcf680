"""What stands in for removed pixels: the holes of some masks as several fills fill them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import PIL.Image
from numpy.typing import ArrayLike, NDArray

from onnxplain.core.data import Case, Image, Images, Mask
from onnxplain.core.flow import FillQuery, Flow, MaskQuery
from onnxplain.core.params import get_values
from onnxplain.core.protocols import Fill
from onnxplain.engine.run import Job, collect_values
from onnxplain.image import Frame
from onnxplain.masks.families import ArrayMasks
from onnxplain.metrics.heatmaps.curves import rank_pixels
from onnxplain.metrics.judging import AnyClassifier, choose_fill, prepare_case
from onnxplain.plot.grid import Row, Tile, draw_grid
from onnxplain.plot.layout import stack
from onnxplain.plot.parts import draw_photo
from onnxplain.plot.text import FAINT, draw_text
from onnxplain.results import Explanation
from onnxplain.subjects import ImageSource

MARGIN, GAP, MIN_WIDTH = 20, 12, 360
SHARES = (0.05, 0.15, 0.30)  # of the pixels of an explanation's map, the highest ones
USUAL_FILLS = ("dataset-mean", "channel-mean", "blur", "gaussian-noise", "telea")


def draw_fills(
    classifier: AnyClassifier,
    image: ImageSource,
    masks: Explanation | Mapping[str, ArrayLike],
    fills: Sequence[Fill | str] = USUAL_FILLS,
    target: int | str | None = None,
    *,
    seed: int = 0,
    size: int = 176,
) -> PIL.Image.Image:
    """Draw the holes of some masks as several fills fill them, and what is left of the score.

    Parameters
    ----------
    classifier, image, seed
        As for `onnxplain.explain`.
    masks : Explanation, or mapping of str to (H, W) array
        Masks by name, where 1 removes, at the size of the classifier or of the photo; or an
        explanation, of which the highest 5, 15 and 30 % of the pixels are removed.
    fills : sequence of Fill or str
        A row each: names or values, such as ``"blur"`` or ``Blur(sigma=5)``.
    target : int or str, optional
        The class whose probability is written below; if not given, that of the explanation, or
        the predicted class.
    size : int
        Pixels of the longer side of each picture.

    Returns
    -------
    picture : PIL.Image.Image
        A row per fill and a column per mask.

    Raises
    ------
    ValueError, TypeError
        If there is no mask or no fill, or one of them cannot be used.
    """
    if target is None and isinstance(masks, Explanation):
        target = masks.target
    prepared = prepare_case(classifier, image, target)
    case = prepared.case
    if isinstance(masks, Explanation):
        named = _remove_highest(prepared.fit_heatmap(masks))
    else:
        named = {name: _fit_mask(mask, name, prepared.frame) for name, mask in masks.items()}
    used = [choose_fill(fill) for fill in fills]
    if not named or not used:
        raise ValueError("draw_fills takes at least one mask and one fill")
    removed = np.stack(list(named.values()))
    jobs = [Job((case,), (_fill(case, removed),), fill, seed) for fill in used]
    rows = [_draw_masks(case, named, size)]
    for label, (images, scores) in zip(
        _name_fills(used), collect_values(prepared.classifier, jobs), strict=True
    ):
        tiles = [
            Tile(draw_photo(picture, size), caption=f"probability {score:.3g}")
            for picture, score in zip(images, scores, strict=True)
        ]
        rows.append(Row(label, tiles))
    grid = draw_grid(rows, size)
    width = max(grid.shape[1], MIN_WIDTH)
    name = prepared.classifier.class_names[case.target].split(",")[0]
    score = prepared.probabilities[case.target]
    title = draw_text(f"{name} · class {case.target} · probability {score:.3g}", width, 16, most=2)
    note = "The holes in grey, and below as each fill fills them, with the probability then."
    return PIL.Image.fromarray(stack([title, draw_text(note, width, 13, FAINT), grid], GAP, MARGIN))


def _fill(case: Case, masks: Mask) -> Flow[tuple[Images, NDArray[np.float64]]]:
    """Return the image with the holes of masks filled, and its scores."""
    fills = (yield FillQuery(ArrayMasks(masks))).images
    scores = (yield MaskQuery(ArrayMasks(masks))).scores
    assert fills is not None
    return case.image * (1 - masks[..., None]) + fills * masks[..., None], scores


def _draw_masks(case: Case, masks: Mapping[str, NDArray[np.float32]], size: int) -> Row:
    """Draw the masks as holes in the image, with their names and areas."""
    tiles = []
    for name, mask in masks.items():
        hole: Image = case.image * (1 - mask[..., None]) + np.float32(0.85) * mask[..., None]
        tiles.append(Tile(draw_photo(hole, size), name, caption=f"{mask.mean():.0%} removed"))
    return Row("", tiles)


def _remove_highest(heatmap: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Make a mask of the highest pixels of a map per share."""
    rank = rank_pixels(heatmap, "row-major", np.random.default_rng(0))
    return {
        f"highest {share:.0%}": (rank < round(share * rank.size)).astype(np.float32)
        for share in SHARES
    }


def _fit_mask(mask: ArrayLike, name: str, frame: Frame) -> NDArray[np.float32]:
    """Bring a mask to the classifier's size."""
    plane = np.asarray(mask, np.float32)
    if plane.shape == frame.original != frame.size:
        plane = frame.bring_map(plane).astype(np.float32)
    if plane.shape != frame.size:
        raise ValueError(
            f"the mask {name!r} has shape {plane.shape}; give one of the photo {frame.original}, "
            f"or of the {frame.size} that the classifier sees of it"
        )
    if not (plane.min() >= 0 and plane.max() <= 1):
        raise ValueError(f"the mask {name!r} has values outside [0, 1]; 1 removes a pixel")
    return plane


def _name_fills(fills: Sequence[Fill]) -> list[str]:
    """Name fills; those of one name by their parameters, too."""
    names = [str(getattr(fill, "name", type(fill).__name__)) for fill in fills]
    labels = []
    for fill, name in zip(fills, names, strict=True):
        values = get_values(fill) if names.count(name) > 1 else {}
        labels.append(" ".join([name, *(f"{key}={value}" for key, value in values.items())]))
    return labels
