"""``onnxplain draw``: saved explanations become one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from onnxplain import draw_removal, draw_sheet, load_explanation
from onnxplain.drawing import SheetLook
from tests.cli.conftest import Run
from tests.helpers.explanations import make_explanation


@pytest.fixture
def saved(folder: Path) -> list[Path]:
    """Explanations of two photos by two methods, in a folder."""
    explanations = [
        make_explanation(image=image, method=method)
        for image in ("a.jpg", "b.jpg")
        for method in ("rise", "sp")
    ]
    return [explanation.save(folder / "maps").heatmap for explanation in explanations]


def test_a_folder_becomes_the_sheet_that_python_draws(run: Run, saved: list[Path]) -> None:
    result = run("draw", "maps", "--size", 100, "--style", "map", "--scale", "shared")
    assert result.exit_code == 0, result.stderr
    explanations = [load_explanation(path) for path in sorted(saved)]
    look = SheetLook(style="map", size=100, scale="shared")
    expected = np.asarray(draw_sheet(explanations, look))
    with PIL.Image.open("sheet.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)
    rows, columns, _ = expected.shape
    assert result.stdout == f"sheet.png: 4 explanations, {columns} x {rows} pixels\n"


def test_files_stand_in_the_order_of_the_command_line(run: Run, saved: list[Path]) -> None:
    for name, files in (("one.png", saved), ("two.png", saved[::-1])):
        assert run("draw", *files, "-o", f"new/{name}").exit_code == 0
    one, two = (np.asarray(PIL.Image.open(f"new/{name}")) for name in ("one.png", "two.png"))
    assert one.shape == two.shape
    assert (one != two).any()


def test_a_file_that_is_given_twice_counts_once(run: Run, saved: list[Path]) -> None:
    twice = run("draw", saved[0].parent, saved[1], saved[1], "-o", "twice.png")
    assert twice.stdout.startswith("twice.png: 4 explanations, ")


@pytest.mark.parametrize("ending", [".png", ".json"])
def test_any_of_the_three_files_stands_for_an_explanation(
    run: Run, saved: list[Path], ending: str
) -> None:
    result = run("draw", saved[0].with_suffix(ending), *saved, "-o", "all.png")
    assert result.stdout.startswith("all.png: 4 explanations, ")


def test_the_order_of_removal_is_drawn_of_one(run: Run, folder: Path) -> None:
    order = np.array([3, 0], np.intp)
    grown = make_explanation(
        method="mp2",
        coarse=np.array([[0.5, 0], [0, 1]], np.float32),
        order=order,
        details={"trajectory": [[0, 0.9], [1, 0.4], [2, 0.1]], "reason": "chance"},
    )
    npz = grown.save(folder / "grown.npz").heatmap
    assert run("draw", npz, "--order", "-o", "order.png").exit_code == 0
    expected = np.asarray(draw_removal(load_explanation(npz)))
    with PIL.Image.open("order.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("missing.npz",), "missing.npz: no such file"),
        (("empty",), "empty: this folder holds no .npz"),
        (("maps", "-o", "sheet.jpg"), "sheet.jpg: the picture is a .png"),
        (("maps", "--order"), "--order draws one explanation, got 4"),
        (("maps/a-sp-espresso.npz", "--order"), "sp removed no cells one after another"),
        (("maps", "--size", 5), "size must be >= 64"),
        (("notes.json",), "notes.json: is not an .npz"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(
    run: Run, saved: list[Path], folder: Path, words: tuple[object, ...], message: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "notes.json").write_text("{}")
    result = run("draw", *words)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert not Path("sheet.png").exists()
