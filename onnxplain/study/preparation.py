"""Preparation: read, check and load everything before the first image is explained."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from onnxplain.core.params import call_loader
from onnxplain.core.protocols import Classifier, Inpainter
from onnxplain.loading import DEFAULT_INPAINTER, DEFAULT_MODEL, load, load_inpainter
from onnxplain.registry import Entry
from onnxplain.study.dataset import Item, draw_sample, read_items
from onnxplain.study.explainers import Explainer, make_explainers
from onnxplain.study.given import Given
from onnxplain.study.judges import Judge, check_boxes, check_same_classes, make_judges
from onnxplain.study.labels import choose_items
from onnxplain.study.plan import Plan
from onnxplain.study.records import identify_classifier
from onnxplain.study.rows import make_key

log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """A classifier that has not been studied yet, and the images to study it on."""

    name: str
    classifier: Classifier
    items: list[Item]


class Work(NamedTuple):
    """Everything that an evaluation runs.

    Parameters
    ----------
    explainers : list of Explainer
        The methods with their fills.
    judges : list of Judge
        The metrics.
    waiting : list of Waiting
        The classifiers; each is removed from the list when its study starts.
    notices : list of str
        Problems with the labels, one sentence each.
    """

    explainers: list[Explainer]
    judges: list[Judge]
    waiting: list[Waiting]
    notices: list[str]


def prepare(plan: Plan, *, shard: tuple[int, int] | None = None, device: str = "auto") -> Work:
    """Read the labels and load all models first, so that no such error ends a run after hours.

    Parameters
    ----------
    plan : Plan
        Says what is compared.
    shard : (part, parts), optional
        The part of the images to take.
    device : str
        Where models that are given by name run.

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
        chosen = choose_items(items, classifier, notify, everything=everything)
        waiting.append(Waiting(name, classifier, chosen))
    _check_classifiers_differ(waiting, notify)
    return Work(explainers, judges, waiting, notices)


def _read_plan_items(plan: Plan, notify: Callable[[str], None]) -> list[Item]:
    """Read everything that the folder holds, whichever of it is taken."""
    if plan.images is None:
        raise ValueError(
            "no images: give their folder as the first argument, or as images in the plan"
        )
    annotations, wnids = (Path(path) if path else None for path in (plan.annotations, plan.wnids))
    return read_items(Path(plan.images), annotations, wnids, notify)


def _take_shard(items: Sequence[Item], shard: tuple[int, int] | None) -> Sequence[Item]:
    """Return every n-th item of n parts, starting at the position of the part."""
    try:
        part, parts = map(operator.index, shard or (1, 1))
        is_part = 1 <= part <= parts
    except (TypeError, ValueError):
        is_part = False
    if not is_part:
        raise ValueError(f"shard must be a part like (1, 4) or (4, 4), got {shard!r}")
    return items[part - 1 :: parts]


def _load_plan_model(wanted: Entry | Classifier, device: str) -> tuple[str, Classifier]:
    """Return a classifier and its name."""
    if isinstance(wanted, Entry):
        parameters = {"device": device, **wanted.parameters}
        return wanted.name, call_loader(load, wanted.name, parameters)
    if not hasattr(wanted, "masked_scores"):
        raise TypeError(
            f"a model must be a name, a path, or a classifier from onnxplain.load or "
            f"onnxplain.from_callable, got {type(wanted).__name__}"
        )
    return str(wanted.provenance.get("model") or type(wanted).__name__), wanted


def _check_classifiers_differ(waiting: Sequence[Waiting], notify: Callable[[str], None]) -> None:
    """Check that no row of one classifier would count as a row of another."""
    first: dict[str, Waiting] = {}
    for one in waiting:
        known = first.setdefault(make_key(identify_classifier(one.classifier)), one)
        if known is one:
            continue
        if one.classifier.provenance.get("sha256"):
            notify(f"{known.name} and {one.name} are the same model: the tables have it once")
        elif known.classifier is not one.classifier:
            raise ValueError(
                f"two classifiers have the name {one.name!r}, so that their rows cannot be told "
                f"apart; give each its own name, as from_callable(..., name='first')"
            )


def _load_plan_inpainter(wanted: str | Entry | Inpainter | None, device: str) -> Inpainter:
    """Return the inpainter of a plan, or that of the zoo if the plan names none."""
    if wanted is None or isinstance(wanted, str):
        wanted = Entry(wanted or DEFAULT_INPAINTER)
    if not isinstance(wanted, Entry):
        return wanted
    return load_inpainter(wanted.name, device=device, description=wanted.parameters)
