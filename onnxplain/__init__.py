"""Explain exported image classifiers by removing parts of the image.

>>> import onnxplain
>>> classifier = onnxplain.load("efficientnet-lite0")  # doctest: +SKIP
>>> explanation = onnxplain.explain(classifier, "photo.jpg", onnxplain.RISE())  # doctest: +SKIP
>>> explanation.save("out")  # doctest: +SKIP
"""

import lazy_loader

# A public name is imported when it is first used, so that neither ``import onnxplain`` nor
# ``onnxplain --version`` waits for what it does not need. The names stand in `__init__.pyi`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
