"""
Explain a photo
===============

One photo, one classifier, one map. Grad-CAM looks at the last layer of the network and needs a
single evaluation.
"""

import onnxplain

classifier = onnxplain.load("efficientnet-lite0")
for guess in classifier.predict("../../examples/cat.jpg", top=3):
    print(f"{guess.score:.3f}  {guess.name}")

# %%
# The class is the predicted one unless ``target`` names another.

explanation = onnxplain.explain(classifier, "../../examples/cat.jpg", "grad-cam")
explanation.save("cat.png")
print(explanation)
