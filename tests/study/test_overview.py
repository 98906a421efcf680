"""The table that a person reads, and what a small study cannot show."""

from __future__ import annotations

import itertools

import pytest

from onnxplain.study.columns import Column
from onnxplain.study.overview import describe_limits, format_overview
from onnxplain.study.tables import Table, compare_pairs, summarise


def make_column(
    method: str, value: float, metric: str = "deletion", n: int = 8, n_held_out: int = 0
) -> Column:
    values = {(f"{i}.png", 0): value + i / 100 for i in range(n)}
    direction = "higher" if metric == "insertion" else "lower"
    return Column("net", metric, method, direction, "", None, n_held_out, values, 0, 0)


def list_methods(shown: str) -> list[str]:
    return [line.split()[0] for line in shown.splitlines() if "[" in line]


def test_best_method_is_first_whatever_the_direction():
    for metric, names in (("deletion", "abc"), ("insertion", "cba")):
        columns = [make_column(name, i, metric) for i, name in enumerate("abc")]
        assert list_methods(format_overview(summarise(columns, seed=0))) == list(names)


def test_cell_has_the_mean_and_the_interval_of_the_table():
    table = summarise([make_column("sp", 0.25)], seed=0)
    ((*_, n, _, mean, low, high),) = [line[:8] for line in table.lines]
    shown = format_overview(table)
    assert f"{mean:.3g} [{low:.3g}, {high:.3g}]" in shown
    assert f"lower is better, n {n}" in shown


def test_table_of_many_metrics_and_long_names_fits_100_columns():
    method = "rise (n_masks=8000, grid=7, p_keep=0.25, fill=gaussian-noise, fill_sd=0.25)"
    metrics = [f"metric-{i} (fill=blur, step={i})" for i in range(9)]
    columns = [make_column(name, 0.5, metric) for metric in metrics for name in ("sp", method)]
    shown = format_overview(summarise(columns, seed=0))
    assert max(map(len, shown.splitlines())) <= 100
    assert all(metric in shown for metric in metrics)
    assert all(word in shown for word in method.split())


def test_method_without_some_metrics_comes_last():
    columns = [make_column("whole", 0), make_column("sp", 1), make_column("sp", 1, "insertion")]
    shown = format_overview(summarise(columns, seed=0))
    assert list_methods(shown)[0] == "sp"


@pytest.mark.parametrize("n", [2, 5, 6, 9])
def test_too_few_images_for_any_p_below_the_level_are_said(n: int):
    """The smallest p is that of differences of one sign: all signs are tried."""
    columns = [make_column("a", 0, n=n), make_column("b", 1, n=n)]
    limits = describe_limits(summarise(columns, seed=0), compare_pairs(columns, seed=0))
    signs = [sum(draw) for draw in itertools.product((-1, 1), repeat=n)]
    smallest = sum(abs(total) == n for total in signs) / len(signs)
    said = [limit for limit in limits if "smallest p" in limit]
    assert bool(said) == (smallest >= 0.05)
    if said:
        assert f"with {n} photos, the smallest p of a paired test is {smallest:.3g}" in said[0]
        assert "no difference can be significant" in said[0]


def describe(*columns: Column) -> str:
    return "; ".join(describe_limits(summarise(columns, seed=0), compare_pairs(columns, seed=0)))


def test_intervals_of_few_photos_are_said_to_be_too_short():
    assert "intervals" not in describe(make_column("a", 0, n=10))
    assert "intervals of 9 photos are too short" in describe(make_column("a", 0, n=9))
    assert "a mean of one photo has no interval" in describe(make_column("a", 0, n=1))
    assert "too short" not in describe(make_column("a", 0, n=1))


def test_mean_of_one_photo_is_shown_without_an_interval():
    shown = format_overview(summarise([make_column("sp", 0.25, n=1)], seed=0))
    assert shown.splitlines()[-1].split() == ["sp", "0.25"]


def test_interval_of_equal_values_is_said_to_be_no_certainty():
    column = make_column("a", 0, n=20)
    hits = column._replace(metric="pointing", values=dict.fromkeys(column.values, 1.0))
    assert "as under pointing, its interval has no width" in describe(column, hits)
    assert "no width" not in describe(column)


def test_means_of_different_images_are_said():
    first, second = make_column("a", 0, n=20), make_column("b", 0, n=20)
    assert "different images" not in describe(first, second)
    part = second._replace(values=dict(list(second.values.items())[1:]))
    assert "means of deletion are of different images" in describe(first, part)


@pytest.mark.parametrize(("n_held_out", "said"), [(0, False), (3, True), (19, True), (20, False)])
def test_threshold_chosen_on_few_images_is_said(n_held_out: int, said: bool):
    columns = [make_column("a", 0, "localisation", n_held_out=n_held_out)]
    limits = describe_limits(summarise(columns, seed=0), compare_pairs(columns, seed=0))
    assert any(f"chosen on {n_held_out} images" in limit for limit in limits) == said


def test_table_without_lines_says_so():
    assert format_overview(Table("Means", ("model",), ())) == "no image was judged\n"
