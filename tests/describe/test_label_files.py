"""Class names are read in every usual form, and fitted to the number of scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.label_files import fit_class_names, read_class_names


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "cat\ndog, hound\n\n"),
        ("places.txt", "cat 0\ndog, hound 1\n"),
        ("synsets.txt", "n02123045 cat\nn02084071 dog, hound\n"),
        ("names.json", '["cat", "dog, hound"]'),
        ("index.json", '{"1": ["n02084071", "dog, hound"], "0": ["n02123045", "cat"]}'),
        ("config.json", '{"id2label": {"0": "cat", "1": "dog, hound"}}'),
        ("names.csv", 'class_index,class_name\n1,"dog, hound"\n0,cat\n0,cat\n'),
        ("plain.csv", 'name\ncat\n"dog, hound"\n'),
    ],
)
def test_class_names_are_read_in_every_usual_form(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert read_class_names(path) == ("cat", "dog, hound")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("class_index,class_name\n0,cat\n1\n", "line 3 has nothing in column class_name"),
        ("class_name,class_index\ncat,0\n\ndog\n", "line 4 has nothing in column class_index"),
        ("class_index,colour\n0,red\n", "needs a column class_name"),
        ("class_name\n", "holds no class names"),
        ("", "needs a column class_name"),
    ],
)
def test_error_on_an_incomplete_csv_names_the_line_and_column(
    content: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "names.csv"
    path.write_text(content)
    with pytest.raises(ModelError, match=rf"names\.csv: {says}"):
        read_class_names(path)


def test_number_without_which_names_would_be_equal_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "digits.txt"
    path.write_text("digit 0\ndigit 1\ndigit 2\n")
    assert read_class_names(path) == ("digit 0", "digit 1", "digit 2")


def test_class_names_are_fitted_to_the_scores() -> None:
    thousand = tuple(map(str, range(1000)))
    assert fit_class_names(thousand, 1001, "") == ("background", *thousand)
    assert fit_class_names(("background", *thousand), 1000, "") == thousand
    assert fit_class_names(("cat",), 1, "") == ("not cat", "cat")
    with pytest.raises(ModelError, match=r"names\.txt: holds 3 class names, the model has 4"):
        fit_class_names("abc", 4, "names.txt")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"0": "cat", "2": "dog"}', "must run from 0 to 1 without a gap"),
        ('{"cat": 0}', "keys of class names must be their numbers"),
        ("[1, 2]", "must be texts"),
        ('"cat"', "must be a list, or an object"),
        ("[", "not valid JSON"),
    ],
)
def test_error_on_json_of_another_form_says_what_is_wrong(
    content: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "names.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=rf"names\.json: .*{says}"):
        read_class_names(path)


@pytest.mark.parametrize("name", ["names.json", "names.csv", "names.txt"])
def test_label_files_beyond_the_bounds_are_errors_that_name_the_file(
    name: str, tmp_path: Path
) -> None:
    contents = ["a,name\n" * (1 << 20), "\xff"]
    contents += [100_000 * "["] if name.endswith("json") else []
    contents += [f"name\n{'x' * 200_000}\n"] if name.endswith("csv") else []
    for content in contents:
        (tmp_path / name).write_bytes(content.encode("latin-1"))
        with pytest.raises(ModelError, match=name.replace(".", r"\.")):
            read_class_names(tmp_path / name)
