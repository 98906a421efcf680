"""Does an inpainter behave as it is described? A few runs on two small pictures show it.

Where the description is silent, behaviour decides. Where both speak and differ, an error says
what was said, what was seen and what to write. The check *mask a sample* is never left out,
since several published graphs apply the first mask of a batch to all of its images.

=====================  ==========================================================================
check                  what is done
=====================  ==========================================================================
size                   run on pictures whose sides are odd, even, multiples of 4, ..., until
                       the graph takes them
determinism            run twice on the same input
polarity               change pixels deep in the hole, which must not show; again with hole and
                       known exchanged, where it must show; if it shows both ways, try other
                       scales of the mask; if that decides nothing, compare how close known
                       pixels are to the input either way
painted pixels         they lie in about [0, 1] where known pixels come back; if not, try other
                       ranges of the input
range and colour       far from the hole, pixels come back under one reading of the output
known pixels           measure their distance from the input (they are restored here anyway)
batch, mask a sample   run on two pictures with two masks together, and one by one
whole image a hole     it is painted with finite numbers
=====================  ==========================================================================
"""

from onnxplain.runtime.inpainters.conformance.examine import examine
from onnxplain.runtime.inpainters.conformance.trial import Check

__all__ = ["Check", "examine"]
