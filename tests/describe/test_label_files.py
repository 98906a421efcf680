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
        ("semicolons.csv", "id;name\n1;dog, hound\n0;cat\n"),
        ("headless.csv", '1,"dog, hound"\n0,cat\n'),
        ("class_indices.json", '{"dog, hound": 1, "cat": 0}'),
        ("unsorted_places.txt", "dog, hound 1\ncat 0\n"),
        ("colon_behind.txt", "dog, hound: 1\ncat: 0\n"),
        ("dot.txt", "1. dog, hound\n0. cat\n"),
        ("bracket.txt", "1) dog, hound\n0) cat\n"),
        ("dash.txt", "1 - dog, hound\n0 - cat\n"),
        ("padded.txt", "001_dog, hound\n000_cat\n"),
        ("equals.txt", "1=dog, hound\n0=cat\n"),
        ("front.txt", "0 cat\n1 dog, hound\n"),
        ("unsorted.txt", "1 dog, hound\n0 cat\n"),
        ("blank.txt", "1 dog, hound\n\n0 cat\n"),
        ("colon.txt", "1: dog, hound\n0: cat\n"),
        ("comma.txt", "1,dog, hound\n0,cat\n"),
        ("tab.txt", "1\tdog, hound\n0\tcat\n"),
        ("quoted.txt", "0: 'cat'\n1: 'dog, hound'\n"),
        ("behind.txt", "dog, hound,1\ncat,0\n"),
        ("numbered_synsets.txt", "1 n02084071 dog, hound\n0 n02123045 cat\n"),
        ("dictionary.txt", "{1: 'dog, hound',\n 0: 'cat'}\n"),
        ("list.txt", "['cat', 'dog, hound']"),
        ("json.txt", '["cat", "dog, hound"]'),
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


@pytest.mark.parametrize(
    "names",
    [
        ("1 euro", "2 euro", "5 euro"),
        ("2", "0", "1"),
        ("0 digit", "1 digit", "2 digit"),
        ("red 1", "green 2", "blue 3"),
        ("0-1 years", "1-2 years", "2-3 years"),
        ("0.5 mm", "1.5 mm"),
        ("1. FC", "1. SC"),
        ("type_1", "type_0"),
        ("boeing 737", "airbus 320"),
        ("[a]", "[b]"),
        ("red", "7 up"),
    ],
)
def test_numbers_and_brackets_that_belong_to_names_are_kept(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(names))
    assert read_class_names(path) == names


def test_equal_names_keep_their_numbers_apart(tmp_path: Path) -> None:
    """ImageNet has two cranes, a bird and a machine."""
    path = tmp_path / "names.txt"
    path.write_text("1 crane\n2 tench\n0 crane\n")
    assert read_class_names(path) == ("crane", "crane", "tench")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("0: red\n2: blue\n", "must run from 0 to 1 without a gap; 1 is missing"),
        ("0 red\n2 blue\n", "must run from 0 to 1 without a gap; 1 is missing"),
        ("1,red\n2,blue\n", "0 is missing"),
        ("red,1\nblue,2\n", "0 is missing"),
        ("0: red\n0: blue\n", "number 0 is given twice, for 'red' and for 'blue'"),
        ("{0: 'red', 0: 'blue'}", "a key is given twice"),
        ("{0: 'red', 2: 'blue'}", "1 is missing"),
    ],
)
def test_error_on_numbers_with_a_gap_or_twice(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text(content)
    with pytest.raises(ModelError, match=rf"names\.txt: .*{says}"):
        read_class_names(path)


@pytest.mark.parametrize("head", ["class_index,class_name\n", ""])
def test_error_on_a_csv_with_one_number_for_two_names(head: str, tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text(f"{head}0,red\n0,blue\n")
    with pytest.raises(ModelError, match="number 0 is given twice"):
        read_class_names(path)


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
        ('{"cat": "a"}', "keys of class names must be their numbers"),
        ('{"0": "cat", "0": "dog"}', "the key '0' is given twice"),
        ('{"0": "cat", "00": "dog"}', "number 0 is given twice, for 'cat' and for 'dog'"),
        ('{"cat": 0, "dog": 0, "cow": 1}', "number 0 is given twice, for 'cat' and for 'dog'"),
        ('{"cat": 0, "dog": 2}', "must run from 0 to 1 without a gap; 1 is missing"),
        ("[" * 100_000, "nested deeper"),
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
