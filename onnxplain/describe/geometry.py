"""How a photo is brought to a classifier's size: what sources say, settled into one form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onnxplain.core.data import Fit, Size
from onnxplain.describe.fields import SpecSource

GEOMETRY_FIELDS = ("fit", "resize", "crop")


class Geometry(NamedTuple):
    """The steps that one place gives, before the classifier's size is known.

    Parameters
    ----------
    fit : {'crop', 'stretch', 'pad', 'keep'}
        As in `onnxplain.core.data.Preprocessing`.
    resize : (rows, columns), or None
        As there.
    share : float
        Side of the classifier's size, relative to the resized photo's; 1 with a `resize`.
    crop : (rows, columns), or None
        The classifier's size, if the place gives it in pixels.
    sources : mapping
        Where `fit`, `resize` and `crop` came from.
    """

    fit: Fit
    resize: Size | None
    share: float
    crop: Size | None
    sources: Mapping[str, str]

    def choose_resize(self, size: Size) -> Size | None:
        """Return the size to which a photo is resized for a classifier of this size."""
        if self.fit == "keep":
            return None
        # timm's rule for crop_pct
        return self.resize or (math.floor(size[0] / self.share), math.floor(size[1] / self.share))


def find_geometry(sources: Sequence[SpecSource], flags: int) -> Geometry:
    """Return the steps from the first place that gives one of them.

    Steps of two places would make a pipeline that nobody wrote, so that one place decides all.
    A `resize` of one number alone is that of the shortest side, of two numbers that of both.

    Parameters
    ----------
    sources : sequence of SpecSource
        The most specific first.
    flags : int
        How many sources in front are flags; together they are one place.

    Raises
    ------
    ValueError
        If the steps contradict each other.

    Examples
    --------
    >>> steps = find_geometry([SpecSource("net.toml", {"resize": 256, "crop": (224, 224)})], 0)
    >>> steps.fit, steps.resize, steps.crop
    ('crop', (256, 256), (224, 224))
    """
    for place in (sources[:flags], *([source] for source in sources[flags:])):
        said = {
            name: (source.values[name], source.name)
            for source in place
            for name in GEOMETRY_FIELDS
            if name in source.values
        }
        if said:
            return _settle(said)
    return Geometry("crop", None, 1.0, None, {})


def _settle(said: Mapping[str, tuple[Any, str]]) -> Geometry:
    """Bring the steps of one place to one form."""
    fit, resize, crop = (said.get(name, (None, ""))[0] for name in GEOMETRY_FIELDS)
    share = crop if isinstance(crop, float) else None
    if resize is not None and share is not None:
        _raise(said, "resize", "crop", "give crop in pixels, or leave out one of them")
    if fit == "keep" and (resize is not None or share is not None):
        other = "crop" if resize is None else "resize"
        _raise(said, "fit", other, "fit keep does not resize; leave out one of them")
    if fit is None:
        fit = "stretch" if isinstance(resize, tuple) else "crop"
    sides = (resize, resize) if isinstance(resize, int) else resize
    origin = next(iter(said.values()))[1]
    sources = {"fit": said.get("fit", said.get("resize", (None, origin)))[1]}
    sources |= {name: source for name, (_, source) in said.items()}
    if share is not None:
        sources["resize"] = sources["crop"]
    return Geometry(fit, sides, share or 1.0, None if share else crop, sources)


def _raise(said: Mapping[str, tuple[Any, str]], one: str, other: str, what_to_do: str) -> None:
    parts = (f"{name} = {said[name][0]} ({said[name][1]})" for name in (one, other))
    raise ValueError(f"{' contradicts '.join(parts)}: {what_to_do}")
