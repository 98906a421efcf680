"""Reports are written whole or not at all, small, and from whatever results there are."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import onnxplain
from onnxplain.core.errors import LibraryMissing, OutputError
from onnxplain.registry import METHODS
from onnxplain.report.content import Content
from onnxplain.report.write import gather
from onnxplain.results import load_explanation
from tests.helpers.explanations import make_explanation
from tests.helpers.small_methods import make_small
from tests.helpers.transformers import open_net_for


class Collector(HTMLParser):
    """The elements, attributes and visible words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def read_page(path: Path) -> Collector:
    return Collector(path.read_text("utf-8"))


def test_every_method_is_in_the_report(tmp_path: Path):
    photo = np.random.default_rng(0).random((16, 20, 3), np.float32)
    results = [
        onnxplain.explain(
            open_net_for(name, (16, 20), classes=3), photo, make_small(name), target=1
        )
        for name in METHODS
    ]
    assert onnxplain.write_report(results, tmp_path / "page.html") == ()
    words = set(read_page(tmp_path / "page.html").words)
    assert set(METHODS) <= words


def test_the_most_probable_class_of_a_photo_comes_first(tmp_path: Path):
    for image, scores in (("b.jpg", (0.1, 0.7, 0.2)), ("a.jpg", (0.3, 0.2, 0.4))):
        for target, score in enumerate(scores):
            own = make_explanation(image=image, target=target, target_name="abc"[target])
            replace(own, score=score).save(tmp_path)
    rows = [(case.photo, case.target) for case in Content(gather([tmp_path], 50)).cases]
    assert rows == [(0, 2), (0, 0), (0, 1), (1, 1), (1, 2), (1, 0)]


def test_folder_files_and_values_give_the_same_page(explained: Path, tmp_path: Path):
    paths = sorted(explained.glob("*.npz"))
    given = {
        "folder": explained,
        "npz": paths,
        "json": [path.with_suffix(".json") for path in paths],
        "png": [path.with_suffix(".png") for path in paths],
        "all three": sorted(explained.iterdir()),
        "values": [load_explanation(path) for path in paths],
    }
    pages = set()
    for results in given.values():
        assert onnxplain.write_report(results, tmp_path / "page.html") == ()
        pages.add((tmp_path / "page.html").read_bytes())
    assert len(pages) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_page_names_every_parameter_and_checksum(explained: Path, tmp_path: Path):
    onnxplain.write_report(explained, tmp_path / "page.html")
    words = " ".join(read_page(tmp_path / "page.html").words)
    for path in explained.glob("*.json"):
        record = json.loads(path.read_text())
        assert record["provenance"]["pixels_sha256"] in words
        for name in (*record["parameters"], *record["provenance"]["versions"]):
            assert name in words


def test_page_holds_nothing_that_loads(explained: Path, study: onnxplain.Study, tmp_path: Path):
    onnxplain.write_report([explained, study], tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    links = [
        value or "" for name, value in page.attributes if name in ("href", "src", "xlink:href")
    ]
    assert links
    assert all(re.match(r"#|data:image/(jpeg|png);base64,", link) for link in links)
    assert not any(name.startswith("on") or name == "style" for name, _ in page.attributes)


def test_broken_files_are_named_and_the_rest_is_shown(explained: Path, tmp_path: Path):
    good = next(iter(sorted(explained.glob("*sp*.npz"))))
    (tmp_path / "torn.npz").write_bytes(good.read_bytes()[:5000])
    (tmp_path / "note.txt").write_text("hello")
    stray = tmp_path / "stray.json"
    stray.write_text("{}")
    given = [good, tmp_path / "torn.npz", tmp_path / "note.txt", stray, tmp_path / "gone.npz"]
    broken = onnxplain.write_report(given, tmp_path / "page.html")
    assert [failure.what for failure in broken] == [path.name for path in given[1:]]
    words = " ".join(read_page(tmp_path / "page.html").words)
    for failure in broken:
        assert failure.reason in words


def test_nothing_is_written_without_results(explained: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04")
    page = tmp_path / "page.html"
    page.write_text("before")
    for results, message in (
        (tmp_path / "empty", "no results to report; give a folder or files"),
        (tmp_path / "torn.npz", "torn.npz: is not a complete explanation"),
        (tmp_path / "gone", "gone: no such file"),
        ([], "no results to report"),
    ):
        with pytest.raises(OutputError, match=message):
            onnxplain.write_report(results, page)
    assert page.read_text() == "before"
    with pytest.raises(OutputError, match="cannot be written"):
        onnxplain.write_report(explained, tmp_path / "torn.npz" / "page.html")
    with pytest.raises(ValueError, match="limit must be >= 1, got 0"):
        onnxplain.write_report(explained, page, limit=0)


def test_jinja_is_named_where_it_is_missing(explained: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(LibraryMissing, match=r"pip install 'onnxplain\[report\]'"):
        onnxplain.write_report(explained, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("n_methods", [1, 3])
def test_fifty_photos_need_at_most_three_megabytes(explained: Path, tmp_path: Path, n_methods: int):
    rng = np.random.default_rng(0)
    first = load_explanation(next(iter(sorted(explained.glob("*sp*.npz")))))
    rough = np.repeat(np.repeat(rng.random((90, 120, 3)), 5, 0), 5, 1)  # hard to compress
    many = [
        replace(
            first,
            image=f"photo-{i}.jpg",
            method=("sp", "rise", "gradient")[k],
            photo=np.rint(np.roll(rough, 7 * i, 1) * 255).astype(np.uint8),
            heatmap=rng.random((224, 224), np.float32),  # noise is the largest of all maps
            provenance={"image_size": [450, 600], "pixels_sha256": f"{i:064d}"},
            window=None,
        )
        for i in range(50)
        for k in range(n_methods)
    ]
    onnxplain.write_report(many, tmp_path / "page.html")
    size = (tmp_path / "page.html").stat().st_size
    assert 1_500_000 <= size <= 3_000_000  # room that is there is used


def test_further_photos_are_counted(explained: Path, tmp_path: Path):
    material = gather([explained], limit=1)
    assert len(material.photos) == 1
    assert len(material.maps) == 3
    onnxplain.write_report(explained, tmp_path / "page.html", limit=1)
    assert "1 further photos are not shown" in " ".join(read_page(tmp_path / "page.html").words)


def test_study_and_its_folder_give_the_same_page(
    study: onnxplain.Study, photos: Path, tmp_path: Path
):
    onnxplain.write_report(study, tmp_path / "study.html")
    onnxplain.write_report(study.output, tmp_path / "folder.html", images=photos)
    assert (tmp_path / "study.html").read_text() == (tmp_path / "folder.html").read_text()


def test_report_of_failures_only(tmp_path: Path, classifier):
    (tmp_path / "photos" / "other").mkdir(parents=True)
    (tmp_path / "photos" / "other" / "torn.png").write_bytes(b"\x89PNG")
    study = onnxplain.evaluate(
        tmp_path / "photos", models=classifier, methods="random", output=tmp_path / "out"
    )
    assert len(study.failures) == 1
    onnxplain.write_report(study, tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    words = " ".join(page.words)
    assert "1 failed" in words
    assert study.failures[0]["error"] in words
    assert "image" not in page.tags


@pytest.mark.parametrize(
    "change",
    [
        {"score": "x"},
        {"target": [1]},
        {"window": {"top": "x", "left": 0, "bottom": 1, "right": 2}},
        {"provenance": {"image_size": [0, -1]}},
        {"provenance": {}},
        {"provenance": 7},
        {"image": 3},
        {"parameters": 4, "fill_parameters": []},
        {"method": None, "fill": 7, "seed": "x"},
        {"details": {"trajectory": [[1, 2], [3]]}},
        {"details": {"trajectory": "abc"}},
        {"meaning": {"text": 4, "noise": "x"}},
        {"details": {"deep": [[[[{"a": [None, True, 1e300]}]]]]}},
    ],
)
def test_records_of_strangers_end_in_a_page_or_are_named(
    explained: Path, tmp_path: Path, change: dict
):
    good, path = next(iter(sorted(explained.glob("*mp2*.npz")))), tmp_path / "odd.npz"
    with np.load(good) as stored:
        arrays = dict(stored)
    record = {**json.loads(str(arrays["record"])), **change}
    np.savez(path, **{**arrays, "record": np.array(json.dumps(record))})
    broken = onnxplain.write_report([good, path], tmp_path / "page.html")
    assert [failure.what for failure in broken] in ([], ["odd.npz"])
    assert all("odd.npz" in failure.reason for failure in broken)
    data = (tmp_path / "page.html").read_text().split('id="data">')[1].split("</script>")[0]
    assert len(json.loads(data, parse_constant=pytest.fail)["maps"]) == 2 - len(broken)


HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\u202e"


def test_hostile_names_are_text(explained: Path, tmp_path: Path):
    first = load_explanation(next(iter(sorted(explained.glob("*mp2*.npz")))))
    hostile = replace(
        first,
        image=f"photos/{HOSTILE}\udc80.png",
        target_name=f'"{HOSTILE}',
        details={**first.details, HOSTILE: [HOSTILE]},
        meaning=replace(first.meaning, text=HOSTILE),
    )
    onnxplain.write_report([hostile, first], tmp_path / "page.html", title=HOSTILE)
    harmless = tmp_path / "harmless.html"
    onnxplain.write_report(
        [replace(hostile, image="a.png", target_name="b", details={"c": ["d"]}), first], harmless
    )
    page, other = read_page(tmp_path / "page.html"), read_page(harmless)
    assert page.tags.count("script") == other.tags.count("script") == 2
    assert "img" not in page.tags
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "\u202e" not in text
    assert r"\u202e" in text
