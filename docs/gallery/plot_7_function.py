"""
Any function is a classifier
============================

Here it is the share of red in the middle of the picture. A sliding patch finds out where it looks.
"""

import numpy as np
import PIL.Image

import onnxplain


def score(images):
    """Return the scores (N, 2) of images (N, H, W, 3) in [0, 1]."""
    middle = images[:, 40:72, 40:72]
    red = middle[..., 0].mean(axis=(1, 2)) / (middle.sum(axis=3).mean(axis=(1, 2)) + 1e-6)
    return np.stack([red, 1 - red], axis=1).astype(np.float32)


classifier = onnxplain.from_callable(score, size=(112, 112), class_names=("red", "other"))
photo = PIL.Image.open("../../examples/coffee.jpg")
explanation = onnxplain.explain(
    classifier, photo, onnxplain.SP(patch=16, stride=4), target="red", fill="black"
)
explanation.save("red.png")
