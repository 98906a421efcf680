"""Everything that an evaluation reads, checks and loads before the first image is explained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from onnxplain.core.protocols import Classifier, Inpainter
from onnxplain.loading import DEFAULT_INPAINTER, DEFAULT_MODEL, load, load_inpainter
from onnxplain.registry import Entry
from onnxplain.study.dataset import Item, draw_sample, read_items
from onnxplain.study.explainers import Explainer, call_loader, make_explainers
from onnxplain.study.given import Given
from onnxplain.study.judges import Judge, check_boxes, check_same_classes, make_judges
from onnxplain.study.labels import choose_items
from onnxplain.study.plan import Plan

log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """A classifier whose turn is still to come, and the images it is asked about."""

    name: str
    classifier: Classifier
    items: list[Item]


class Work(NamedTuple):
    """What an evaluation runs.

    Parameters
    ----------
    explainers : list of Explainer
        The methods with their fills.
    judges : list of Judge
        The metrics.
    waiting : list of Waiting
        The classifiers; each is taken off the list when its turn comes.
    notices : list of str
        What was odd about the labels.
    """

    explainers: list[Explainer]
    judges: list[Judge]
    waiting: list[Waiting]
    notices: list[str]


def prepare(plan: Plan, *, shard: tuple[int, int] | None = None, device: str = "auto") -> Work:
    """Read the labels and load all models, so that no error ends a run after hours.

    Parameters
    ----------
    plan : Plan
        What is compared.
    shard : (part, parts), optional
        The part of the images to take.
    device : str
        Where models run that are given by name.

    Raises
    ------
    ValueError, TypeError
        If the plan or the annotations are wrong.
    OnnxplainError
        If a model cannot be loaded.
    """
    notices: list[str] = []

    def notify(notice: str) -> None:
        notices.append(notice)
        log.warning("%s", notice)

    everything = _read_plan_items(plan, notify)
    items = _take_shard(draw_sample(everything, plan.limit, plan.seed), shard)
    get_inpainter = cache(lambda: _load_plan_inpainter(plan.inpainter, device))
    explainers = make_explainers(plan, get_inpainter)
    for explainer in explainers:
        if isinstance(explainer.method, Given):
            explainer.method.check(item.file for item in everything)
    judges = make_judges(plan, get_inpainter, device=device)
    check_boxes(judges, everything)
    waiting = []
    for wanted in plan.models or (Entry(DEFAULT_MODEL),):
        name, classifier = _load_plan_model(wanted, device)
        check_same_classes(judges, classifier.class_names)
        waiting.append(Waiting(name, classifier, choose_items(items, classifier, notify)))
    return Work(explainers, judges, waiting, notices)


def _read_plan_items(plan: Plan, notify: Callable[[str], None]) -> list[Item]:
    """Read everything that the folder holds, whichever of it is taken."""
    if plan.images is None:
        raise ValueError("give the FOLDER of the images, or images = in the plan")
    annotations, wnids = (Path(path) if path else None for path in (plan.annotations, plan.wnids))
    return read_items(Path(plan.images), annotations, wnids, notify)


def _take_shard(items: Sequence[Item], shard: tuple[int, int] | None) -> Sequence[Item]:
    """Return every n-th item, from that of the shard's number."""
    part, parts = shard or (1, 1)
    if not 1 <= part <= parts:
        raise ValueError(f"shard is a part like (1, 4) or (4, 4), got {shard}")
    return items[part - 1 :: parts]


def _load_plan_model(wanted: Entry | Classifier, device: str) -> tuple[str, Classifier]:
    """Return a classifier and what it is called."""
    if isinstance(wanted, Entry):
        parameters = {"device": device, **wanted.parameters}
        return wanted.name, call_loader(load, wanted.name, **parameters)
    if not hasattr(wanted, "masked_scores"):
        raise TypeError(
            f"a model is a name, a path or a classifier from onnxplain.load or "
            f"onnxplain.from_callable, got {type(wanted).__name__}"
        )
    return str(wanted.provenance.get("model") or type(wanted).__name__), wanted


def _load_plan_inpainter(wanted: str | Entry | Inpainter | None, device: str) -> Inpainter:
    """Return the inpainter of a plan; the zoo's if the plan names none."""
    if wanted is None or isinstance(wanted, str):
        wanted = Entry(wanted or DEFAULT_INPAINTER)
    if not isinstance(wanted, Entry):
        return wanted
    return load_inpainter(wanted.name, device=device, description=wanted.parameters)
