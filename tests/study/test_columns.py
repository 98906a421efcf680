"""The values of rows by classifier, metric and method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.metrics import ALPHAS
from onnxplain.metrics.by_model import BY_MODEL
from onnxplain.metrics.naming import METRICS
from onnxplain.study.columns import WHOLE_IMAGE, gather_values
from onnxplain.study.dataset import Item, is_held_out
from onnxplain.study.rows import Row, read_rows
from onnxplain.study.tables import summarise
from tests.helpers.nets import Net
from tests.study.conftest import SEED, SHARE, build_plan, make_score, run_steps


def make_localisation(image: int, errors: list[float], **more: Any) -> Row:
    """Make a row of localisation with the error at every alpha."""
    details = {"alphas": list(ALPHAS), "values": errors, "whole_image_overlap": image / 20}
    settings = {"metric": "localisation", "metric_parameters": {"alpha": 0.2, "overlap": 0.5}}
    return make_score(image, errors[4], **{**settings, "details": details, **more})


def test_failed_and_undefined_values_are_counted_and_not_averaged():
    rows = [
        make_score(0, 1.0),
        make_score(1, None),
        make_score(2, None, status="error"),
        make_score(3, 3.0),
    ]
    (column,) = gather_values(rows, share=0.5, seed=0)
    assert (column.n_failed, column.n_undefined) == (1, 1)
    assert list(column.values.values()) == [1.0, 3.0]
    (nothing,) = gather_values(rows[1:3], share=0.5, seed=0)
    line = summarise([nothing], seed=0).lines[0]
    assert line[3:8] == (0, 0, None, None, None)


def test_last_row_of_an_image_counts():
    rows = [make_score(0, None, status="error"), make_score(1, 5.0), make_score(0, 2.0)]
    (column,) = gather_values(rows, share=0, seed=0)
    assert (column.values, column.n_failed) == ({("0.png", 1): 2.0, ("1.png", 1): 5.0}, 0)


def test_alpha_is_chosen_on_held_out_images_and_the_others_are_reported():
    rng = np.random.default_rng(1)
    errors = rng.integers(0, 2, (20, len(ALPHAS))).astype(float)
    rows = [make_localisation(i, errors[i].tolist()) for i in range(20)]
    held = np.array([is_held_out(f"{i}.png", SHARE, SEED) for i in range(20)])
    assert 2 < held.sum() < 18
    best = errors[held].mean(axis=0).argmin()
    columns = {
        column.method: column for column in gather_values(iter(rows), share=SHARE, seed=SEED)
    }
    column = columns["sp"]
    assert column.alpha == ALPHAS[best]
    assert column.n_held_out == held.sum()
    assert np.mean(list(column.values.values())) == errors[~held, best].mean()
    assert set(column.values) == {(f"{i}.png", 1) for i in np.flatnonzero(~held)}
    # The box around the whole image misses if it overlaps the object by half or less.
    whole = [float(i / 20 <= 0.5) for i in np.flatnonzero(~held)]
    assert np.mean(list(columns[WHOLE_IMAGE].values.values())) == np.mean(whole)


def test_copies_of_a_photo_are_held_out_together():
    """Else a threshold is chosen on a photo and reported on its copy."""
    held = [i for i in range(20) if is_held_out(f"{i}.png", SHARE, SEED)]
    first = min(held, key=str)  # the first by name decides
    other = max(set(range(20)) - set(held), key=str)
    assert str(first) < str(other)
    rows = [make_localisation(i, [0.0] * 20, image_sha256=str(i)) for i in range(20)]
    rows[other]["image_sha256"] = str(first)
    column = next(c for c in gather_values(rows, share=SHARE, seed=SEED) if c.method == "sp")
    assert column.n_held_out == len(held) + 1
    assert (f"{other}.png", 1) not in column.values


def test_alpha_of_the_metric_is_used_if_no_image_is_held_out():
    errors = [1.0] * 4 + [0.0] + [1.0] * 15
    rows = [make_localisation(i, errors) for i in range(5)]
    column = next(
        column for column in gather_values(rows, share=0, seed=0) if column.method == "sp"
    )
    assert (column.alpha, column.n_held_out) == (0.2, 0)
    assert list(column.values.values()) == [0.0] * 5


def test_metrics_without_thresholds_report_every_image():
    (column,) = gather_values([make_score(i, 1.0) for i in range(20)], share=SHARE, seed=SEED)
    assert len(column.values) == 20


def test_names_include_only_the_parameters_that_differ():
    rows = [
        make_score(0, 1.0, "random"),
        make_score(0, 1.0, method_parameters={"patch": 5, "stride": 3}, fill="black"),
        make_score(0, 1.0, method_parameters={"patch": 9, "stride": 3}, fill="black"),
        make_score(0, 1.0, method_parameters={"patch": 9, "stride": 3}, fill="blur"),
    ]
    assert [column.method for column in gather_values(rows, share=0, seed=0)] == [
        "random",
        "sp (fill=black, patch=5)",
        "sp (fill=black, patch=9)",
        "sp (fill=blur, patch=9)",
    ]


def test_parameter_that_only_one_of_two_has_keeps_them_apart():
    """As the description of an inpainter, which its own file may give as well."""
    described = {"sha256": "0", "described": {"range": 255}}
    rows = [make_score(0, 1.0, fill_parameters={"sha256": "0"})]
    rows += [make_score(0, 2.0, fill_parameters=described)]
    columns = {c.method: c.values for c in gather_values(rows, share=0, seed=0)}
    assert columns == {
        "sp": {("0.png", 1): 1.0},
        'sp (fill_described={"range": 255})': {("0.png", 1): 2.0},
    }


def test_classifiers_with_the_same_name_are_kept_apart():
    rows = [make_score(0, 0.0), make_score(0, 1.0, model_sha256="1")]
    assert [column.model for column in gather_values(rows, share=0, seed=0)] == [
        "net (model_sha256=0)",
        "net (model_sha256=1)",
    ]


def test_whole_image_is_judged_on_the_images_of_all_methods():
    errors = [1.0] * len(ALPHAS)
    few = [make_localisation(i, errors, method="a") for i in (3, 12)]
    many = [make_localisation(i, errors, method="b") for i in range(8, 15)]
    columns = {column.method: column for column in gather_values(few + many, share=0, seed=SEED)}
    assert columns[WHOLE_IMAGE].values == {
        (f"{i}.png", 1): float(i / 20 <= 0.5) for i in (3, *range(8, 15))
    }
    keys = list(columns[WHOLE_IMAGE].values)
    assert keys == sorted(keys)


def test_every_metric_of_a_study_has_a_column(net: Net, items: list[Item], tmp_path: Path):
    names = tuple(METRICS.keys() - BY_MODEL.keys())
    path = tmp_path / "rows.jsonl"
    run_steps(net, items, path, build_plan(("random",), names))
    rows = list(read_rows(path))
    columns = {column.metric: column for column in gather_values(rows, share=0, seed=SEED)}
    for name in names:
        values = [row["value"] for row in rows if row.get("metric") == name]
        assert len(values) == len(items), name
        assert list(columns[name].values.values()) == pytest.approx(
            [value for value in values if value is not None]
        ), name
