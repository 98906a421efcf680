"""
What speaks for which class
===========================

The classifier cannot decide between three cats. LIME fits a linear model on superpixels: red
superpixels speak for a class, blue ones against it. The three classes share the evaluations.
"""

import onnxplain

classifier = onnxplain.load("efficientnet-lite0")
outcomes = onnxplain.explain_many(
    classifier, ["../../examples/cat.jpg"], onnxplain.LIME(n_samples=200), target="top-3"
)
for number, explanation in enumerate(outcomes):
    explanation.save(f"cat-{number}.png")
    print(f"{explanation.target_name}: {explanation.score:.3f}")

# sphinx_gallery_thumbnail_path = "_static/methods/lime.jpg"
