"""
Explain a photo
===============

One photo, one classifier, one map. Grad-CAM looks at the last layer of the network and needs one
evaluation.
"""

import onnxplain

classifier = onnxplain.load("efficientnet-lite0")
for guess in classifier.predict("../../examples/coffee.jpg", top=3):
    print(f"{guess.score:.3f}  {guess.name}")

# %%
# The class is the predicted one, unless ``target`` names another.

explanation = onnxplain.explain(classifier, "../../examples/coffee.jpg", "grad-cam")
explanation.save("coffee.png")
print(explanation.evaluations, "evaluation,", explanation.heatmap.shape)

# sphinx_gallery_thumbnail_path = "_static/methods/grad-cam.jpg"
