"""The engine without an engine: one flow, one mask at a time, the obvious composition."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from onnxplain.core.data import Case, make_rng
from onnxplain.core.flow import FillQuery, Flow, ImageQuery, MaskQuery, Reply
from onnxplain.core.protocols import Classifier, Differentiable, Fill
from onnxplain.core.scores import compute_target_scores, to_probabilities

T = TypeVar("T")


def run(
    classifier: Classifier,
    case: Case,
    flow: Flow[T],
    fill: Fill,
    seed: int = 0,
    gradients: Differentiable | None = None,
) -> T:
    """Answer every query of a flow by scoring its images one by one."""
    prepared = {}

    def fill_mask(query, i):
        """Return mask `i` (H, W, 1) of a query and the picture that fills it."""
        used = query.fill or fill
        if used not in prepared:
            prepared[used] = used.prepare(case.image, make_rng(seed, case.name, "fill"))
        mask = query.masks.render(i, i + 1)
        holes = query.holes if isinstance(query, MaskQuery) else None
        hole = mask if holes is None else holes.render(i, i + 1)
        picture = prepared[used]
        return mask[0, ..., None], picture(hole)[0] if callable(picture) else picture

    def answer(query):
        if isinstance(query, FillQuery):
            pictures = [fill_mask(query, i)[1] for i in range(len(query))]
            return Reply(np.empty(0), images=np.array(pictures))
        scores, classes, grads = [], [], []
        for i in range(len(query)):
            if isinstance(query, ImageQuery):
                image = query.images[i]
            else:
                mask, picture = fill_mask(query, i)
                image = case.image * (1 - mask) + picture * mask  # eq. 1
            image = image[None].astype(np.float32)
            raw = classifier.scores(image)
            if isinstance(query, ImageQuery) and query.grad:
                raw, grad = gradients.score_grads(image, np.array([case.target]), query.kind)
                grads.append(grad[0])
            scores.append(
                compute_target_scores(
                    raw, case.target, outputs=classifier.outputs, kind=query.kind
                )[0]
            )
            classes.append(to_probabilities(raw, classifier.outputs)[0].astype(np.float32))
        return Reply(
            np.array(scores),
            np.array(classes) if query.classes else None,
            np.array(grads) if grads else None,
        )

    try:
        query = next(flow)
        while True:
            query = flow.send(answer(query))
    except StopIteration as stop:
        return stop.value
