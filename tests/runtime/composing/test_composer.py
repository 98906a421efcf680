"""Parts are counted and cut through all of their masks."""

from __future__ import annotations

from onnxplain.core.protocols import Part
from onnxplain.runtime.composing.composer import count_masks, cut_parts
from tests.helpers.masks import make_families


def test_cut_counts_masks_through_all_parts() -> None:
    masks = make_families(9)["cell"]
    parts = [Part("a", masks, 2, 5), Part("b", masks, 0, 1), Part("c", masks, 4, 9)]
    flat = [(part.planes, i) for part in parts for i in range(part.start, part.stop)]
    assert count_masks(parts) == len(flat)
    for start in range(len(flat)):
        for stop in range(start, len(flat) + 1):
            cut = cut_parts(parts, start, stop)
            assert [(part.planes, i) for part in cut for i in range(part.start, part.stop)] == flat[
                start:stop
            ]
            assert all(part.start < part.stop for part in cut)
