"""
Is it noise?
============

RISE draws random masks, so its map has an error, which halves with four times as many masks. Where
the range of a map is not clearly above that error, the picture says so.
"""

import onnxplain

PHOTO = "../../examples/coffee.jpg"
classifier = onnxplain.load("efficientnet-lite0")
for n_masks in (40, 400):
    explanation = onnxplain.explain(classifier, PHOTO, onnxplain.RISE(n_masks=n_masks))
    explanation.save(f"coffee-{n_masks}.png")

# sphinx_gallery_thumbnail_path = "_static/methods/rise.jpg"
