"""What building a gradient asks of ONNX Runtime: folding constants, and running a graph."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from onnxplain.gradient import GradientError
from onnxplain.runtime.session import SILENT, import_runtime

# What multiplies scales into weights.
MERGING = ("ConvAddFusion", "ConvBNFusion", "ConvMulFusion")


@final
class RuntimeMeasure:
    """What building a gradient asks of a runtime (see `onnxplain.gradient.Measure`)."""

    def fold(self, model: bytes, *, merge: bool = True) -> bytes:
        """Fold constants with ONNX Runtime's basic optimisations.

        They write standard operators only, and nothing that belongs to this machine.
        """
        ort = import_runtime()
        options = self._options(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
        with tempfile.TemporaryDirectory(prefix="onnxplain-") as folder:
            path = Path(folder) / "folded.onnx"
            options.optimized_model_filepath = str(path)
            self._session(model, options, () if merge else MERGING)
            return path.read_bytes()

    def run(self, model: bytes, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs of a model, by name."""
        options = self._options(import_runtime().GraphOptimizationLevel.ORT_DISABLE_ALL)
        session = self._session(model, options)
        names = [one.name for one in session.get_outputs()]
        taken = {one.name for one in session.get_inputs()}
        try:
            values = session.run(names, {k: v for k, v in feeds.items() if k in taken})
        except Exception as error:
            raise GradientError(
                f"the model cannot be run to measure its shapes: {error}"
            ) from error
        return dict(zip(names, values, strict=True))

    def _options(self, level: Any) -> Any:
        options = import_runtime().SessionOptions()
        options.graph_optimization_level = level
        options.log_severity_level = SILENT
        return options

    def _session(self, model: bytes, options: Any, disabled: Sequence[str] = ()) -> Any:
        cpu = ["CPUExecutionProvider"]
        try:
            return import_runtime().InferenceSession(
                model, options, providers=cpu, disabled_optimizers=list(disabled)
            )
        except Exception as error:
            raise GradientError(f"ONNX Runtime cannot load the model: {error}") from error
