"""What the export scripts share: real photos, the comparison, the spec beside the model."""

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

# Left, top, right, bottom of the face in scikit-image's photo "astronaut".
FACE = (160, 50, 300, 190)


def output_folder(description: str) -> Path:
    """The folder named on the command line, made if it is not there."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="where the models go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def photos(side: int, mode: str = "RGB") -> NDArray[np.float32]:
    """Real photos, stretched to a square: (N, side, side, channels) in 0 ... 255."""
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
    (given,) = session.get_inputs()
    exported = np.concatenate([session.run(None, {given.name: x[None]})[0] for x in inputs])
    original = np.concatenate([np.asarray(framework(x[None])) for x in inputs])
    difference = float(np.abs(exported - original).max())
    print(f"{path.name}: largest difference on {len(inputs)} photos {difference:.1e}")
    if exported.argmax(1).tolist() != original.argmax(1).tolist() or not difference <= tolerance:
        raise SystemExit(f"{path.name} does not give the framework's scores")


def write_spec(path: Path, **spec: object) -> None:
    """Write what the graph cannot tell beside it, where ``onnxplain`` reads it.

    The values are numbers, texts and lists of them, which TOML writes as JSON does.
    """
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in spec.items()]
    path.with_suffix(".toml").write_text("".join(lines), encoding="utf-8")
