"""Show which parts of a photo an image classifier based its answer on.

>>> import onnxplain
>>> classifier = onnxplain.load("efficientnet-lite0")  # doctest: +SKIP
>>> explanation = onnxplain.explain(classifier, "photo.jpg", onnxplain.RISE())  # doctest: +SKIP
>>> explanation.save("out")  # doctest: +SKIP
"""

import lazy_loader

# Public names are listed in `__init__.pyi` and imported when first used, so that ``import
# onnxplain`` and ``onnxplain --version`` do not wait for modules that they do not need.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
