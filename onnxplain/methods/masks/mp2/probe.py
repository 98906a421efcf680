"""The queries that MP2 sends about the mask that it grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image
from onnxplain.core.flow import Flow, ImageQuery, MaskQuery
from onnxplain.methods.masks.mp2.growth import CellSets, Growth
from onnxplain.methods.masks.mp2.look_ahead import LookAhead
from onnxplain.methods.masks.questions import ask_slopes, project_slope


class Probe:
    """Asks for the score under the mask, and under the mask with further cells removed.

    Parameters
    ----------
    growth : Growth
        The mask; it remembers the gains that are found.
    """

    def __init__(self, growth: Growth) -> None:
        self._growth, self._fills = growth, LookAhead(growth)
        self._base = 0.0  # log-odds under the current mask, from which gains are measured

    @property
    def growth(self) -> Growth:
        """The mask."""
        return self._growth

    @property
    def fills(self) -> LookAhead:
        """The fill of the mask, and of the cells that are tried."""
        return self._fills

    def measure(self) -> Flow[float]:
        """Score the image under the current mask; return the probability."""
        fill, growth = self._fills.known_fill, self._growth
        if fill is None:
            reply = yield MaskQuery(growth.make_masks([[]]), kind="log-odds")
        else:
            composed = growth.join(growth.image, fill)
            reply = yield ImageQuery(composed[None], kind="log-odds")
        return self._record(reply.scores[0])

    def differentiate(self) -> Flow[tuple[float, Image]]:
        """Score the image as `measure` does; return the probability and d log-odds / d image."""
        fill = yield from self._fills.update()
        log_odds, slope = yield from self._ask_slope(self._growth.join(self._growth.image, fill))
        return self._record(log_odds), slope

    def measure_ranked(self) -> Flow[None]:
        """Score the mask with the fill for ranking; gains are measured from this score."""
        self._base = float((yield from self._ask_log_odds([[]]))[0])

    def differentiate_ranked(self) -> Flow[Image]:
        """Score the mask with the fill for ranking; return d log-odds / d image there."""
        composed = self._growth.join(self._growth.image, self._fills.ranking_fill)
        log_odds, slope = yield from self._ask_slope(composed)
        self._base = float(log_odds)
        return slope

    def differentiate_half_way(self) -> Flow[Image]:
        """Return d log-odds / d image where the cells that are left are half removed."""
        image = self._growth.image
        half: Image = image + np.float32(0.5) * (self._fills.next_fill - image)
        composed = self._growth.join(half, self._fills.ranking_fill)
        return (yield from self._ask_slope(composed))[1]

    def estimate_gains(self, slope: Image) -> NDArray[np.float64]:
        """Estimate the gain of every cell, as if the log-odds were linear with this slope."""
        by_pixel = project_slope(slope, self._fills.next_fill - self._growth.image)
        gains: NDArray[np.float64] = -self._growth.enlarge.cells(by_pixel).ravel()
        return gains

    def try_cells(self, cells: Sequence[int]) -> Flow[None]:
        """Find the gain of each cell by removing it alone."""
        log_odds = yield from self._ask_log_odds([[cell] for cell in cells])
        self._growth.record_gains(cells, self._base - log_odds)

    def try_quarters(self) -> Flow[None]:
        """Find the gains of sets of four cells half a grid apart; each cell gets its share."""
        sets = self._growth.list_quarters()
        log_odds = yield from self._ask_log_odds(sets)
        for cells, gain in zip(sets, self._base - log_odds, strict=True):
            self._growth.share_gain(cells, gain)

    def find_probability_without(self, cells: Sequence[int]) -> Flow[float]:
        """Find the probability with these cells removed too, filled by the job's fill."""
        reply = yield MaskQuery(self._growth.make_masks([cells]), kind="log-odds")
        return to_probability(reply.scores[0])

    def _record(self, log_odds: float) -> float:
        self._base = float(log_odds)
        probability = to_probability(log_odds)
        self._growth.record_probability(probability)
        return probability

    def _ask_log_odds(self, sets: CellSets) -> Flow[NDArray[np.float64]]:
        """Ask for the log-odds with each set of cells removed too."""
        masks = self._growth.make_masks(sets)
        reply = yield MaskQuery(masks, kind="log-odds", fill=self._fills.candidate_fill)
        return reply.scores

    def _ask_slope(self, picture: Image) -> Flow[tuple[float, Image]]:
        scores, slopes = yield from ask_slopes(picture[None], "log-odds")
        return scores[0], slopes[0]


def to_probability(log_odds: float) -> float:
    """Turn log-odds of any size into a probability, without overflow."""
    return float(np.exp(-np.logaddexp(0, -log_odds)))
