"""Photos are found in folders and by patterns, in one order."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.core.errors import ImageError
from onnxplain.image import find_photos
from tests.helpers.explanations import make_explanation


def test_photos_are_found_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.HEIC", "c.txt", ".d.png", "below/e.dcm", "below/.f/g.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def find(given: str, *, recursive: bool = False) -> list[str]:
        photos = find_photos(tmp_path / given, recursive=recursive)
        return [photo.relative_to(tmp_path).as_posix() for photo in photos]

    assert find("") == ["a.HEIC", "b.jpg"]
    assert find("", recursive=True) == ["a.HEIC", "b.jpg", "below/e.dcm"]
    assert find("*") == ["a.HEIC", "b.jpg", "c.txt"]
    assert find("**/*.dcm") == ["below/e.dcm"]
    assert find("missing.jpg") == ["missing.jpg"]  # whoever opens it says what is wrong
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageError, match="none: is a folder without photos; --recursive"):
        find("none")
    with pytest.raises(ImageError, match=r"\*\.webp: no file fits this pattern"):
        find("*.webp")
    with pytest.raises(ImageError, match=r"/n\?ne: only folders fit this pattern; .*\* means"):
        find("n?ne")


def test_the_pictures_that_explain_wrote_are_no_photos(tmp_path: Path) -> None:
    """A second run over a folder with results explained their overlays."""
    (tmp_path / "a.png").touch()
    saved = make_explanation(image="a.png").save(tmp_path / "below")
    assert saved.overlay is not None
    assert find_photos(tmp_path, recursive=True) == [tmp_path / "a.png"]
    assert find_photos(saved.overlay) == [saved.overlay]  # named by itself, it is taken
    with pytest.raises(ImageError, match="below: holds pictures of explanations only"):
        find_photos(tmp_path / "below")
