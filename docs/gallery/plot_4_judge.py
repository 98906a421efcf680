"""
Judge maps
==========

If a map is right, the score rises fast when the pixels that it marks come back first into a blurred
photo. The area under that curve is the insertion score: higher is better. A random map shows what
chance gives.
"""

import onnxplain
from onnxplain import metrics

PHOTO = "../../examples/coffee.jpg"
classifier = onnxplain.load("efficientnet-lite0")
for method in ("grad-cam", "smoothgrad"):
    explanation = onnxplain.explain(classifier, PHOTO, method)
    score = metrics.insertion(classifier, PHOTO, explanation)
    print(f"{method:20} {score.value:.3f}")
chance = metrics.random_baseline("insertion", classifier, PHOTO)
print(f"{'a random map':20} {chance.value:.3f}")

# %%
# One photo proves nothing: ``onnxplain evaluate`` does this for many, with intervals and paired
# tests. And one metric is not enough. Deletion, for which lower is better, prefers the random
# map here: with pixels missing everywhere, the image is unlike any that a camera makes.

explanation = onnxplain.explain(classifier, PHOTO, "grad-cam")
score = metrics.deletion(classifier, PHOTO, explanation)
chance = metrics.random_baseline("deletion", classifier, PHOTO)
print(f"grad-cam {score.value:.3f}, a random map {chance.value:.3f}")

# sphinx_gallery_thumbnail_path = "_static/methods/smoothgrad.jpg"
