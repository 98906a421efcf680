"""
Does the map depend on the network?
===================================

The sanity check of Adebayo et al. (2018): replace the network's weights by random ones, from the
last layer on, and compare the maps. A map that stays much the same shows the
photo, not the network.
"""

from itertools import islice

import onnxplain
from onnxplain import metrics

PHOTO = "../../examples/coffee.jpg"
classifier = onnxplain.load("efficientnet-lite0")
for method in ("grad-cam", "guided-backprop"):
    randomised = islice(onnxplain.load_randomised("efficientnet-lite0", every=16), 2)
    result = metrics.randomisation(classifier, randomised, PHOTO, method)
    print(f"{method:16} rank correlation {result.value:.2f}")

# sphinx_gallery_thumbnail_path = "_static/methods/guided-backprop.jpg"
