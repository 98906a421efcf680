"""Labelled images: read items from a folder and its annotations, and draw samples of them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxplain.core.data import Box, Size
from onnxplain.image import scale_box
from onnxplain.study.annotations import UNIT, read_annotations, read_wnids

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """One image and one class that it shows.

    Parameters
    ----------
    file : str
        Path below the folder of images, with forward slashes.
    path : Path
        Where the image is.
    label : int, str or None
        Index or name of the class; None if the class is not known.
    boxes : tuple of Box
        Where objects of the class are, in pixels of an image of the size `size`.
    size : (rows, columns), optional
        Size of the image that the boxes were drawn on; the size of the file if not given.
    class_name : str, optional
        Name that the annotations give to the class of the index. It shows whether the
        classifier has the same class at this index.
    """

    file: str
    path: Path
    label: int | str | None
    boxes: tuple[Box, ...] = ()
    size: Size | None = None
    class_name: str | None = None

    def boxes_in(self, size: Size) -> tuple[Box, ...]:
        """Return the boxes in pixels of the image at another size.

        Raises
        ------
        ValueError
            If there are boxes, and they were drawn on an image of another shape.
        """
        if self.boxes and self.size not in (None, UNIT):
            _check_same_shape(self.size, size)
        rows, columns = self.size or size
        y, x = size[0] / rows, size[1] / columns
        return tuple(scale_box(box, y, x) for box in self.boxes)


def _check_same_shape(annotated: Size, size: Size) -> None:
    """Check that one size is the other one scaled, up to a pixel of the smaller image."""
    (rows, columns), most = annotated, max(*annotated, *size)
    if abs(rows * size[1] - columns * size[0]) <= most:
        return
    texts = f"{rows}x{columns} and the photo has {size[0]}x{size[1]} (rows x columns)"
    if abs(columns * size[1] - rows * size[0]) <= most:
        raise ValueError(
            f"the boxes were drawn on an image of {texts}: it lies on its side, as in a tool that "
            f"ignores the EXIF orientation; annotate the photo upright"
        )
    raise ValueError(
        f"the boxes were drawn on an image of {texts}, which is another shape; annotate the photo "
        f"that is explained"
    )


def read_items(
    images: Path,
    annotations: Path | None = None,
    wnids: Path | None = None,
    notify: Callable[[str], None] = log.warning,
) -> list[Item]:
    """Read the images of a folder and their labels.

    Parameters
    ----------
    images : path
        The folder of the images.
    annotations : path, optional
        A ``.csv`` with one row per box: ``file``, ``class_index`` or ``class_name`` or both
        (`onnxplain.study.labels.find_known_items` compares them), and if there are boxes
        ``xmin, ymin, xmax, ymax`` with the ``width, height`` of the image that they were
        drawn on (1, 1 for boxes in [0, 1]); a folder of ImageNet's ``.xml`` files, in the
        same folders as the photos or with names that occur once; or COCO's ``.json``. Without
        annotations every folder below `images` is a class and holds its images, and images
        beside those folders have no label. Hidden files and folders are left out.
    wnids : path, optional
        A ``.csv`` with the columns ``wnid`` and ``class_index``, and optionally
        ``class_name`` or ``names``, for labels that are WordNet ids, such as those of
        ImageNet's folders and ``.xml`` files.
    notify : callable
        Called with a sentence on boxes and photos that are left out.

    Returns
    -------
    items : list of Item
        One per image and class, sorted by file.

    Raises
    ------
    ValueError
        If something cannot be read, a size is impossible, all boxes lie in [0, 1], it is not
        clear whose annotations a file holds, or there are no items.
    """
    if not images.is_dir():
        raise ValueError(f"{images}: is not a folder of images")
    entries = read_annotations(images, annotations, notify)
    index = read_wnids(wnids) if wnids else {}
    if not entries and annotations and annotations.is_dir():
        raise ValueError(f"{annotations}: no .xml file in this folder has the name of a photo")
    if not entries:
        raise ValueError(
            f"{annotations or images}: no images; give a folder of images, a folder with one "
            f"folder of images per class, or annotations that name images"
        )
    items = []
    for entry in entries:
        label, name = index.get(str(entry.label), (entry.label, entry.class_name))
        items.append(Item(entry.file, images / entry.file, label, entry.boxes, entry.size, name))
    return items


def draw_sample(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """Draw `limit` items by the seed; a larger sample contains every smaller sample.

    The draw of an item depends only on the seed, its file and its label.
    """
    if limit is None:
        return list(items)
    drawn = sorted(items, key=lambda item: draw(seed, "sample", item.file, str(item.label)))
    return drawn[:limit]


def is_held_out(file: str, share: float, seed: int) -> bool:
    """Return whether an image is one of those on which thresholds are chosen.

    Each image is held out with the probability `share`, independently of other images.
    """
    return draw(seed, "held-out", file) < share


def draw(seed: int, *names: str) -> float:
    """Draw a number in [0, 1) that depends only on the seed and the names."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
