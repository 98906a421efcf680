"""How a model was opened, so that another process can open it again: models that are pickled."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from onnxplain.core.errors import ModelError


@dataclass(frozen=True)
class Origin:
    """What opens a model.

    Parameters
    ----------
    opener : callable
        Opens the model: ``opener(source, **arguments)``.
    source : str or bytes
        The absolute path of the file, or its content.
    arguments : mapping
        How it was opened.
    sha256 : str
        Of the file.
    """

    opener: Callable[..., Any]
    source: str | bytes
    arguments: Mapping[str, Any]
    sha256: str

    def reopen(self) -> Any:
        """Open the model again.

        Raises
        ------
        ModelError
            If the file is not there, or is another one.
        """
        if isinstance(self.source, str) and not Path(self.source).exists():
            raise ModelError(
                f"{self.source}: is not on this machine; put the model into a folder that all "
                f"machines have under the same path"
            )
        model = self.opener(self.source, **self.arguments)
        found = model.provenance["sha256"]
        if found != self.sha256:
            raise ModelError(
                f"{model.provenance.get('model', self.source)}: the file has changed since the "
                f"work began (sha256 {found[:12]}..., not {self.sha256[:12]}...); start again"
            )
        return model


def make_origin(
    opener: Callable[..., Any],
    source: str | os.PathLike[str] | bytes,
    arguments: Mapping[str, Any],
    sha256: str,
) -> Origin:
    """Make the origin of a model that was just opened."""
    absolute = source if isinstance(source, bytes) else os.path.abspath(source)
    return Origin(opener, absolute, dict(arguments), sha256)


def reopen(origin: Origin) -> Any:
    """Open a model again; what `pickle` calls."""
    return origin.reopen()


def refuse_to_travel(name: str) -> NoReturn:
    """Raise the error for a model that was made in memory and cannot be opened elsewhere."""
    raise ModelError(
        f"{name}: was made in memory, so that no other process can open it; write it to a file "
        f"and load that"
    )
