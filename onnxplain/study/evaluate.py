"""The function `onnxplain.evaluate`: from images and a plan to rows and tables."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeAlias

from onnxplain.cluster import Ray
from onnxplain.core.flow import Method
from onnxplain.core.protocols import Classifier, Fill, Inpainter
from onnxplain.engine.progress_bar import show_progress
from onnxplain.image import MAX_PIXELS
from onnxplain.metrics import Metric
from onnxplain.registry import Entry
from onnxplain.results import open_folder
from onnxplain.study.classifier_study import Rules, Step, study_classifier
from onnxplain.study.distributed import study_on_cluster
from onnxplain.study.plan import Name, Plan, make_plan
from onnxplain.study.preparation import Work, prepare
from onnxplain.study.progress import StudyProgress, WorkCounter, join_reports
from onnxplain.study.recognising import check_same_classifier
from onnxplain.study.result import ROWS_FILE, Study
from onnxplain.study.rows import RowFile, lock_rows

PathLike: TypeAlias = str | os.PathLike[str]


def evaluate(
    images: PathLike | None = None,
    *,
    plan: Plan | PathLike | None = None,
    models: Iterable[Name | PathLike | Classifier] | Name | PathLike | Classifier | None = None,
    methods: Iterable[Name | Method] | Name | Method | None = None,
    fills: Iterable[Name | Fill] | Name | Fill | None = None,
    metrics: Iterable[Name | Metric] | Name | Metric | None = None,
    annotations: PathLike | None = None,
    wnids: PathLike | None = None,
    inpainter: PathLike | Entry | Inpainter | None = None,
    seed: int | None = None,
    limit: int | None = None,
    held_out: float | None = None,
    only_correct: bool | None = None,
    output: PathLike | None = "evaluation",
    keep_heatmaps: PathLike | None = None,
    shard: tuple[int, int] | None = None,
    retry: bool = False,
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
    white: int | None = None,
    cluster: Ray | None = None,
    progress: bool | None = None,
    on_progress: Callable[[StudyProgress], None] | None = None,
) -> Study:
    """Compare methods, fills and classifiers on labelled images, by metrics.

    Every image is explained by every method with every fill, and every heatmap is judged by
    every metric. Rows are written as work is done; a second call with the same output
    computes only what is missing or affected by changed parameters. The command
    ``onnxplain evaluate`` does the same.

    Parameters
    ----------
    images : path
        The folder of the images.
    plan : Plan or path, optional
        A plan, or a TOML file with a plan. Arguments override it.
    models : str, path, Classifier, or several, optional
        Names in the zoo or ONNX files, with parameters of `load` as ``"net.onnx:crop=0.9"``,
        or classifiers from `load`, `from_torch`, `from_keras` or `from_callable`; the default
        classifier if not given. Rows recognise a classifier that is no ONNX file by its name,
        its preprocessing and its answers to a few photos: give different functions different
        names.
    methods : str, Method, or several, optional
        Names with parameters, as ``"rise:n_masks=2000"``, or values, as
        ``RISE(n_masks=2000)``. Also ``"random"``, a random heatmap, and
        ``"given:folder=DIR"``, heatmaps made elsewhere. ``random`` and ``rise`` if not given.
    fills : str, Fill, or several, optional
        Names with parameters, as ``"blur:sigma=5"``, or values, as ``Blur(5)``. Every method
        runs with every fill. If not given, each method runs with the fill of its paper.
    metrics : str, Metric, or several, optional
        Names with parameters, as ``"deletion:step=500,fill=black"``, or values, as
        ``metrics.Deletion(step=500)``. ``deletion`` and ``insertion`` if not given.
    annotations : path, optional
        What the images show: a ``.csv``, a folder of ImageNet's ``.xml`` files, or COCO's
        ``.json``, as `onnxplain.study.dataset.read_items` reads them. If not given, each
        folder in `images` is a class, and images beside these folders are explained for the
        predicted class.
    wnids : path, optional
        A ``.csv`` with the columns ``wnid`` and ``class_index``; needed if labels are WordNet ids.
    inpainter : str, path, Entry or Inpainter, optional
        The inpainter of the ``-g`` methods: a name in the zoo, an ONNX file, a loaded
        inpainter, or an `Entry` with a name and the parameters that describe the inpainter.
    seed : int, optional
        At least 0. Decides every random draw, and which images are taken and held out; 0 if not
        given.
    limit : int, optional
        Number of images to take, at least 1, drawn by the seed; all if not given.
    held_out : float in [0, 1), optional
        Share of the images on which the thresholds of localisation and saliency are chosen;
        the other images are reported. 1/3 if not given.
    only_correct : bool, optional
        Whether to leave out images that are classified wrongly; true if not given.
    output : path or None
        Folder for the rows and tables. If None, they are in a temporary folder that is
        removed when the `Study` is no longer used.
    keep_heatmaps : path, optional
        A folder in which heatmaps are kept as ``.npy``; heatmaps already there are used. Those
        of a classifier that is no ONNX file are known by its name and preprocessing alone.
    shard : (part, parts), optional
        Judge one part of the images only: ``(1, 4)`` to ``(4, 4)`` for four parts. Give each
        part its own output, and join the rows with ``onnxplain merge``.
    retry : bool
        Repeat work that failed before.
    device : str
        Where models that are given by name run, as for `load`.
    max_pixels : int
        Refuse larger images; 64 million pixels if not given.
    white : int, optional
        The value of white in images of more than 8 bits, such as 4095 for 12 bits in a file of
        16; what the file's format says if not given.
    cluster : Ray, optional
        Workers that share the work, on this machine or on several. Rows are the same as without
        them, and written here alone.
    progress : bool, optional
        Whether to show a progress bar on stderr. If not given, it is shown on a terminal and in
        a notebook, unless `on_progress` is given.
    on_progress : callable, optional
        Called with a `StudyProgress` when the work on a classifier starts, and as work is done.

    Returns
    -------
    study : Study
        Its rows, tables and failures. Images that fail do not stop the others.

    Raises
    ------
    ValueError, TypeError
        If an argument, the plan or the annotations are wrong, before any work is done.
    OnnxplainError
        If a model cannot be loaded or run at all, results cannot be written, or the output
        holds rows of another classifier of the same name.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np, onnxplain, PIL.Image
    >>> def redness(images):
    ...     red = images[..., 0].mean(axis=(1, 2))
    ...     return np.stack([red, 1 - red], axis=1)
    >>> classifier = onnxplain.from_callable(redness, size=(8, 8), class_names=("red", "other"))
    >>> folder = tempfile.TemporaryDirectory()
    >>> Path(folder.name, "red").mkdir()
    >>> PIL.Image.new("RGB", (8, 8), "red").save(Path(folder.name, "red", "photo.png"))
    >>> study = onnxplain.evaluate(
    ...     folder.name,
    ...     models=classifier,
    ...     methods=[onnxplain.SP(patch=4, stride=4), "random"],
    ...     metrics="deletion:step=16,fill=black",
    ...     output=None,
    ... )
    >>> sorted((row["method"], row["value"]) for row in study.rows if row["kind"] == "score")
    [('random', 0.5), ('sp', 0.5)]
    >>> study.failures
    ()
    >>> folder.cleanup()
    """
    settled = make_plan(
        plan,
        {
            **{"images": images, "annotations": annotations, "wnids": wnids},
            **{"models": models, "methods": methods, "fills": fills, "metrics": metrics},
            **{"inpainter": inpainter, "seed": seed, "limit": limit},
            **{"held_out": held_out, "only_correct": only_correct},
        },
    )
    work = prepare(settled, shard=shard, device=device)
    temporary = _TemporaryFolder() if output is None else None
    folder = temporary.path if temporary else Path(output or "")
    heatmaps = None if keep_heatmaps is None else Path(keep_heatmaps).absolute()
    rules = Rules(settled.seed, settled.only_correct, heatmaps, retry, max_pixels, white)
    keys: set[str] = set()
    if progress is None and on_progress is not None:
        progress = False
    with (
        open_folder(folder),
        nullcontext() if keep_heatmaps is None else open_folder(keep_heatmaps),
        lock_rows(folder / ROWS_FILE),
        show_progress("pairs of an image and a method", progress) as move,
    ):
        report = join_reports(move, on_progress)
        store = RowFile(folder / ROWS_FILE)
        for waiting in work.waiting:
            check_same_classifier(waiting.classifier, waiting.items, store, rules)
        try:
            run = _run if cluster is None else partial(_run_on_cluster, cluster)
            for step in run(work, store, rules, report):
                keys.update(step.keys)
        except KeyboardInterrupt:
            if temporary:
                raise
            raise KeyboardInterrupt(
                f"finished work is in {store.path}; the same call or command continues it"
            ) from None
        store.check(keys)
        study = Study(settled, folder, frozenset(keys), tuple(work.notices), temporary)
        study.write_tables()
    return study


def _run(
    work: Work, store: RowFile, rules: Rules, on_progress: Callable[[StudyProgress], None]
) -> Iterator[Step]:
    """Study one classifier after the other, and release each when it is done."""
    position = 0
    while work.waiting:
        waiting = work.waiting.pop(0)
        counter = WorkCounter.of(waiting, position, work, on_progress)
        for step in study_classifier(
            waiting.classifier,
            waiting.items,
            work.explainers,
            work.judges,
            store,
            rules,
            on_progress=counter.add_work,
        ):
            counter.add_step(step)
            yield step
        position += 1


def _run_on_cluster(
    cluster: Ray,
    work: Work,
    store: RowFile,
    rules: Rules,
    on_progress: Callable[[StudyProgress], None],
) -> Iterator[Step]:
    """Study all classifiers by the workers of a cluster."""
    counters: dict[int, WorkCounter] = {}

    def count(position: int, step: Step, inpaints: int, workers: int) -> None:
        if position not in counters:
            waiting = work.waiting[position]
            counters[position] = WorkCounter.of(waiting, position, work, on_progress)
        counters[position].workers = workers
        counters[position].add_work(0, inpaints)
        counters[position].add_step(step)

    yield from study_on_cluster(
        cluster, work.waiting, work.explainers, work.judges, store, rules, on_step=count
    )


class _TemporaryFolder:
    """A folder that is removed when this object is no longer used."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="onnxplain-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
