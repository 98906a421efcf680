"""
The fill decides, too
=====================

Whoever removes a patch puts something else in its place: the fill. Here the same method runs with
three fills: the mean colour of ImageNet, a blur, and black.
"""

import onnxplain
from onnxplain import metrics

PHOTO = "../../examples/coffee.jpg"
classifier = onnxplain.load("efficientnet-lite0")
method = onnxplain.SP(patch=48, stride=24)
for fill in ("dataset-mean", "blur", "black"):
    explanation = onnxplain.explain(classifier, PHOTO, method, fill=fill)
    explanation.save(f"coffee-{fill}.png")

# %%
# How alike are these maps? A rank correlation of 1 means the same order of pixels.

audit = metrics.baseline_audit(classifier, PHOTO, method, ["dataset-mean", "blur", "black"])
for fill, others in audit.rank_correlations.items():
    print(f"{fill:14}", {other: round(value, 2) for other, value in others.items()})

# %%
# How probable is the class if the fill replaces the whole photo? A good fill is no evidence for it.

for fill, result in audit.fills.items():
    print(f"{fill:14} {result.value:.4f}")

# sphinx_gallery_thumbnail_path = "_static/methods/sp.jpg"
