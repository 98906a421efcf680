"""Paths that are given on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class GivenPath(click.Path):
    """A path that is not empty, since an empty one would mean the working folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse the empty text that a shell makes of a variable that is not set."""
        if value == "":
            self.fail("the path is empty; the working folder is .", param, ctx)
        return super().convert(value, param, ctx)


PATH = GivenPath(path_type=Path)
OUTPUT_FILE = GivenPath(dir_okay=False, path_type=Path)
# As text: the name of a model, a pattern, or the path of a file as it was written. The shell
# completes file names. The function that reads the file reports errors, not click.
FILE = GivenPath(readable=False)
