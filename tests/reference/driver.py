"""The engine without an engine: one flow, one mask at a time, the obvious composition."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from onnxplain.data import Case, generator
from onnxplain.flow import Flow, ImageQuery, Reply
from onnxplain.protocols import Classifier, Fill
from onnxplain.scores import probabilities, target_scores

T = TypeVar("T")


def run(classifier: Classifier, case: Case, flow: Flow[T], fill: Fill, seed: int = 0) -> T:
    """Answer every query of a flow by scoring its images one by one."""
    prepared = {}
    try:
        query = next(flow)
        while True:
            scores, classes = [], []
            for i in range(len(query)):
                if isinstance(query, ImageQuery):
                    picture = query.images[i]
                else:
                    using = query.fill or fill
                    if using not in prepared:
                        rng = generator(seed, case.name, "fill")
                        prepared[using] = using.prepare(case.image, rng)
                    mask = query.masks.render(i, i + 1)
                    stand_in = prepared[using]
                    filled = stand_in(mask)[0] if callable(stand_in) else stand_in
                    picture = case.image * (1 - mask[0, ..., None]) + filled * mask[0, ..., None]
                raw = classifier.scores(picture[None].astype(np.float32))
                scores.append(
                    target_scores(raw, case.target, outputs=classifier.outputs, kind=query.kind)[0]
                )
                classes.append(probabilities(raw, classifier.outputs)[0].astype(np.float32))
            every = np.array(classes) if query.classes else None
            query = flow.send(Reply(np.array(scores), every))
    except StopIteration as stop:
        return stop.value
