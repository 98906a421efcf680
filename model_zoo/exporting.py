"""Shared by the export scripts: real photos, the comparison, and the spec beside the model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import skimage.data
from numpy.typing import NDArray
from PIL import Image

# Left, top, right and bottom of the face in scikit-image's photo "astronaut".
FACE = (160, 50, 300, 190)


def make_output_folder(description: str) -> Path:
    """Read the folder from the command line and create it if it does not exist."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="folder for the models")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read_photos(side: int, mode: str = "RGB") -> NDArray[np.float32]:
    """Return real photos, stretched to a square: (N, side, side, channels) in 0 to 255."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    originals = [
        Image.fromarray(skimage.data.coffee()),
        Image.fromarray(skimage.data.chelsea()),
        Image.fromarray(skimage.data.stereo_motorcycle()[0]),
        astronaut,
        astronaut.crop(FACE),
    ]
    small = [
        np.asarray(photo.convert(mode).resize((side, side), Image.Resampling.BILINEAR))
        for photo in originals
    ]
    return np.stack(small).astype(np.float32).reshape(len(small), side, side, -1)


def require_equal(
    path: Path,
    framework: Callable[[NDArray[np.float32]], Any],
    inputs: NDArray[np.float32],
    tolerance: float,
) -> None:
    """Compare the ONNX file's scores with the framework's, one photo at a time.

    Raises
    ------
    SystemExit
        If a score differs by more than the tolerance, or a photo gets another class.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (model_input,) = session.get_inputs()
    name = model_input.name
    exported = np.concatenate([session.run(None, {name: x[None]})[0] for x in inputs])
    original = np.concatenate([np.asarray(framework(x[None])) for x in inputs])
    difference = float(np.abs(exported - original).max())
    print(f"{path.name}: largest difference on {len(inputs)} photos {difference:.1e}")
    if exported.argmax(1).tolist() != original.argmax(1).tolist() or not difference <= tolerance:
        raise SystemExit(
            f"{path.name} does not give the framework's scores: largest difference "
            f"{difference:.1e}, allowed {tolerance:.1e}"
        )


def write_spec(path: Path, **spec: object) -> None:
    """Write the values that the graph does not hold to a TOML file beside it.

    ``onnxplain`` reads them from there. The values are numbers, texts and lists of these, which
    look the same in TOML as in JSON.
    """
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in spec.items()]
    path.with_suffix(".toml").write_text("".join(lines), encoding="utf-8")
