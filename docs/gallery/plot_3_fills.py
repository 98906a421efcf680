"""
The fill decides, too
=====================

Removing a patch means to put something in its place. The same method is asked three times: with the
mean colour of ImageNet, a blur, and black.
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
# And what does the classifier say to the fill alone? A good fill is no evidence by itself.

for fill, result in audit.fills.items():
    print(f"{fill:14} {result.value:.4f}")
