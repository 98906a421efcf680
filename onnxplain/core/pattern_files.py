"""Files of patterns: what the inputs of every neuron of a model have in common with its output.

An ``.npz`` file holds, for each layer of weights k in the model's order, the arrays ``linear/k``
and ``relu/k``, shaped as the layer's weights, and ``facts``, the bytes of a JSON object.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.arrays import read_npz
from onnxplain.core.errors import ModelError, tell_reason
from onnxplain.core.files import FileStamp

Estimator: TypeAlias = Literal["relu", "linear"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
MAX_BYTES = 1 << 34


class PatternsFile(NamedTuple):
    """The path of a file of patterns, with what changes when it is written again.

    Queries that are equal share a graph, which holds the patterns.
    """

    path: str
    stamp: FileStamp | None

    @classmethod
    def at(cls, path: str) -> PatternsFile:
        """Return the file as it is now."""
        return cls(path, FileStamp.of(Path(path)) if path else None)


class PatternsError(ModelError):
    """Patterns that are missing, unreadable, or those of another model."""


@dataclass(frozen=True, eq=False)
class Patterns:
    """The patterns of a model.

    Parameters
    ----------
    by_layer : mapping
        By the tensor that the layer makes, and by estimator: an array shaped as its weights.
    facts : mapping
        What they were estimated from: ``model_sha256``, ``photos``, ``photos_sha256``.
    """

    by_layer: Mapping[str, Mapping[str, NDArray[np.float32]]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the content of a file."""
        arrays: dict[str, NDArray[Any]] = {}
        for place, patterns in enumerate(self.by_layer.values()):
            for estimator, pattern in patterns.items():
                arrays[f"{estimator}/{place}"] = pattern
        facts = {**self.facts, "layers": list(self.by_layer)}
        arrays["facts"] = encode_facts(facts)
        return encode_arrays(arrays)


def read_patterns(path: Path) -> Patterns:
    """Read a file of patterns.

    Raises
    ------
    PatternsError
        If the file cannot be read, or holds no patterns.
    """
    try:
        arrays = read_npz(path, max_bytes=MAX_BYTES)
        facts = decode_facts(arrays.pop("facts"))
        layers = facts.pop("layers")
        by_layer: dict[str, dict[str, NDArray[Any]]] = {
            layer: {estimator: arrays[f"{estimator}/{place}"] for estimator in ESTIMATORS}
            for place, layer in enumerate(layers)
        }
    except OSError as error:
        raise PatternsError(
            f"{path}: cannot be read ({tell_reason(error)}); give the file that onnxplain "
            "patterns wrote"
        ) from error
    except Exception as error:  # whatever a damaged archive makes readers raise
        raise PatternsError(
            f"{path}: is no file of patterns; make one with onnxplain patterns MODEL PHOTOS"
        ) from error
    return Patterns(by_layer, facts)


def encode_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the content of an ``.npz`` file."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def encode_facts(facts: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Store facts as the bytes of a JSON object."""
    return np.frombuffer(json.dumps(facts).encode(), np.uint8)


def decode_facts(stored: NDArray[Any]) -> dict[str, Any]:
    """Read facts that `encode_facts` stored."""
    facts: dict[str, Any] = json.loads(stored.astype(np.uint8).tobytes())
    return facts
