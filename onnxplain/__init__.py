"""Explain exported image classifiers by removing parts of the image.

>>> import onnxplain
>>> classifier = onnxplain.load("efficientnet-lite0")  # doctest: +SKIP
>>> explanation = onnxplain.explain(classifier, "photo.jpg", onnxplain.RISE())  # doctest: +SKIP
>>> explanation.save("out")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from onnxplain.version import __version__

if TYPE_CHECKING:
    from onnxplain.api import Failure, explain, explain_many
    from onnxplain.changed import load_randomised, load_shifted
    from onnxplain.data import Box
    from onnxplain.errors import OnnxplainError
    from onnxplain.fills import (
        Biharmonic,
        Black,
        Blur,
        ChannelMean,
        Colour,
        DatasetMean,
        FoldedBlur,
        GaussianNoise,
        Inpaint,
        LocalMean,
        NavierStokes,
        SegmentMean,
        Telea,
        UniformNoise,
        White,
    )
    from onnxplain.loading import gradient_graph, load, load_features, load_inpainter
    from onnxplain.methods import FIDO, LIME, MP, MP2, RISE, SP
    from onnxplain.results import Explanation, load_explanation
    from onnxplain.runtime import from_callable, load_distance

# A public name is imported when it is first used, so that neither ``import onnxplain`` nor
# ``onnxplain --version`` waits for what it does not need.
_HOMES = {
    "onnxplain.api": ("Failure", "explain", "explain_many"),
    "onnxplain.changed": ("load_randomised", "load_shifted"),
    "onnxplain.data": ("Box",),
    "onnxplain.errors": ("OnnxplainError",),
    "onnxplain.fills": (
        "Biharmonic",
        "Black",
        "Blur",
        "ChannelMean",
        "Colour",
        "DatasetMean",
        "FoldedBlur",
        "GaussianNoise",
        "Inpaint",
        "LocalMean",
        "NavierStokes",
        "SegmentMean",
        "Telea",
        "UniformNoise",
        "White",
    ),
    "onnxplain.loading": ("gradient_graph", "load", "load_features", "load_inpainter"),
    "onnxplain.methods": ("FIDO", "LIME", "MP", "MP2", "RISE", "SP"),
    "onnxplain.results": ("Explanation", "load_explanation"),
    "onnxplain.runtime": ("from_callable", "load_distance"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FIDO",
    "LIME",
    "MP",
    "MP2",
    "RISE",
    "SP",
    "Biharmonic",
    "Black",
    "Blur",
    "Box",
    "ChannelMean",
    "Colour",
    "DatasetMean",
    "Explanation",
    "Failure",
    "FoldedBlur",
    "GaussianNoise",
    "Inpaint",
    "LocalMean",
    "NavierStokes",
    "OnnxplainError",
    "SegmentMean",
    "Telea",
    "UniformNoise",
    "White",
    "__version__",
    "explain",
    "explain_many",
    "from_callable",
    "gradient_graph",
    "load",
    "load_distance",
    "load_explanation",
    "load_features",
    "load_inpainter",
    "load_randomised",
    "load_shifted",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
