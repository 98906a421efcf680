"""What a reader should know of a map that is noise or nearly flat."""

from __future__ import annotations

from typing import Literal

from onnxplain.core.data import Heatmap, Meaning


def describe_doubt(heatmap: Heatmap, meaning: Meaning) -> str:
    """Say that a map is noise or nearly flat, if so; empty for others.

    Parameters
    ----------
    heatmap : (H, W) ndarray of float32
        The map.
    meaning : Meaning
        What its numbers are. Maps whose range is below six standard errors, about that of as
        many random cells as RISE draws, are called noise; differences of probability below 0.005
        are called nearly flat.
    """
    span = float(heatmap.max() - heatmap.min())
    return {
        "": "",
        "may be noise": (
            f"This map may be noise: its range is {span:.2g}, and chance alone moves its numbers "
            f"by {meaning.noise:.2g} (standard error). More samples tell."
        ),
        "nearly flat": (
            f"This map is nearly flat: its whole range is {span:.2g} in probability, so that no "
            f"part of the photo matters much for this class."
        ),
    }[name_doubt(heatmap, meaning)]


def name_doubt(heatmap: Heatmap, meaning: Meaning) -> Literal["", "may be noise", "nearly flat"]:
    """Say in two words what `describe_doubt` says in a sentence."""
    span = float(heatmap.max() - heatmap.min())
    if span < 6 * meaning.noise:
        return "may be noise"
    return "nearly flat" if meaning.is_score and span < 0.005 else ""
