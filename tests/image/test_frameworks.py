"""Photos reach the classifier as torchvision, timm and Hugging Face bring them, to the grey level.

Compared with torchvision 0.29.1 (torch 2.14.1), timm 1.0.31, transformers 5.24.0, Pillow 13.0.0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from onnxplain.core.data import Preprocessing
from onnxplain.image import place_frame
from tests.conftest import shared

pytestmark = [pytest.mark.framework, pytest.mark.slow]
Pipeline = Callable[[PIL.Image.Image], Any]

FILTERS = {
    "nearest": PIL.Image.Resampling.NEAREST,
    "lanczos": PIL.Image.Resampling.LANCZOS,
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "area": PIL.Image.Resampling.BOX,
    "hamming": PIL.Image.Resampling.HAMMING,
}


@cache
def read_photos() -> list[PIL.Image.Image]:
    """Read 60 photos; every second one upright, every third with an odd number of columns."""
    photos = []
    for i, path in enumerate(sorted(shared("data/eval/images").iterdir())[:60]):
        photo = PIL.Image.open(path).convert("RGB")
        photo = photo.transpose(PIL.Image.Transpose.ROTATE_90) if i % 2 else photo
        photos.append(photo.crop((i % 3, 0, photo.width, photo.height - i % 5)))
    return photos


def compare(pipeline: Pipeline, size: tuple[int, int], preprocessing: Preprocessing) -> float:
    """Return the greatest difference from a pipeline on all photos, in grey levels."""
    differences = []
    for photo in read_photos():
        image = np.asarray(photo, np.float32) / 255
        rows, columns, _ = image.shape
        ours = place_frame((rows, columns), size, preprocessing).bring(image)
        theirs: NDArray[np.float64] = np.asarray(pipeline(photo), np.float64)
        differences.append(np.abs(ours * 255.0 - theirs).max())
    assert len(differences) == 60
    return float(max(differences))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(
    ("resize", "crop", "fit", "to"),
    [
        (256, 224, "crop", (256, 256)),
        ((256, 256), 224, "stretch", (256, 256)),
        ((224, 224), 224, "stretch", None),
        (235, (224, 192), "crop", (235, 235)),
        (200, 224, "crop", (200, 200)),  # borders
        (None, 320, "keep", None),  # borders and cuts, odd and even
    ],
)
def test_torchvision(interpolation: Any, resize: Any, crop: Any, fit: Any, to: Any) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    modes = {"area": "box"}
    mode = transforms.InterpolationMode(modes.get(interpolation, interpolation))
    steps = [transforms.Resize(resize, mode)] if resize else []
    pipeline = transforms.Compose([*steps, transforms.CenterCrop(crop)])
    size = (crop, crop) if isinstance(crop, int) else crop
    assert compare(pipeline, size, Preprocessing(fit, to, interpolation)) < 1e-4


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(
    ("crop_mode", "fit"), [("center", "crop"), ("squash", "stretch"), ("border", "pad")]
)
@pytest.mark.parametrize(
    ("size", "crop_pct", "to"),
    [
        ((224, 224), 0.875, (256, 256)),
        ((224, 224), 1.0, (224, 224)),
        ((288, 288), 0.95, (303, 303)),
        ((224, 288), 0.9, (248, 320)),
    ],
)
def test_timm(
    interpolation: Any, crop_mode: str, fit: Any, size: Any, crop_pct: float, to: Any
) -> None:
    data = pytest.importorskip("timm.data")
    mean = (0.485, 0.456, 0.406)
    transform = data.create_transform(
        (3, *size),
        interpolation={"area": "box"}.get(interpolation, interpolation),
        mean=mean,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        normalize=False,
    )
    border = tuple(round(255 * part) for part in mean) if fit == "pad" else (0, 0, 0)
    preprocessing = Preprocessing(fit, to, interpolation, border)  # type: ignore[arg-type]
    steps = lambda photo: transform(photo).numpy().transpose(1, 2, 0)  # noqa: E731
    assert compare(steps, size, preprocessing) < 1e-4


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(
    ("size", "fit", "to"),
    [
        ({"shortest_edge": 256}, "crop", (256, 256)),
        ({"height": 256, "width": 256}, "stretch", (256, 256)),
        ({"shortest_edge": 225}, "crop", (225, 225)),
    ],
)
def test_hugging_face(interpolation: Any, size: dict[str, int], fit: Any, to: Any) -> None:
    transformers = pytest.importorskip("transformers")
    processor = transformers.CLIPImageProcessorPil(
        size=size,
        crop_size={"height": 224, "width": 224},
        resample=FILTERS[interpolation],
        do_rescale=False,
        do_normalize=False,
    )
    steps = lambda photo: processor(photo)["pixel_values"][0].transpose(1, 2, 0)  # noqa: E731
    preprocessing = Preprocessing(fit, to, interpolation, centre="floor")
    assert compare(steps, (224, 224), preprocessing) < 1e-4
