"""ONNX Runtime as a tool for building gradients: it folds constants and runs graphs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from onnxplain.gradient import GradientError
from onnxplain.runtime.device import PROVIDERS
from onnxplain.runtime.ort import SILENT, import_runtime

# The optimisations that multiply scales into weights.
MERGING = ("ConvAddFusion", "ConvBNFusion", "ConvMulFusion")


@final
class RuntimeMeasure:
    """What building a gradient needs of a runtime (see `onnxplain.gradient.Measure`)."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        """Fold constants with ONNX Runtime's basic optimisations.

        They write standard operators only, and nothing that is specific to this machine.
        """
        level = import_runtime().GraphOptimizationLevel.ORT_ENABLE_BASIC
        options = _make_options(level)
        with tempfile.TemporaryDirectory(prefix="onnxplain-") as folder:
            path = Path(folder) / "folded.onnx"
            options.optimized_model_filepath = str(path)
            _open_raw(model, options, () if merge else MERGING)
            return path.read_bytes()

    def run(self, model: bytes, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Compute all outputs of a model, by name."""
        level = import_runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
        session = _open_raw(model, _make_options(level))
        names = [output.name for output in session.get_outputs()]
        inputs = {entry.name for entry in session.get_inputs()}
        try:
            values = session.run(names, {name: feeds[name] for name in feeds if name in inputs})
        except Exception as error:
            raise GradientError(
                f"the model cannot be run to measure its shapes: {error}"
            ) from error
        return dict(zip(names, values, strict=True))


def _make_options(level: Any) -> Any:
    options = import_runtime().SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = SILENT
    return options


def _open_raw(model: bytes, options: Any, disabled: Sequence[str] = ()) -> Any:
    """Open a session of ONNX Runtime's own on CPU."""
    try:
        return import_runtime().InferenceSession(
            model, options, providers=[PROVIDERS["cpu"]], disabled_optimizers=list(disabled)
        )
    except Exception as error:
        raise GradientError(f"ONNX Runtime cannot load the model: {error}") from error
