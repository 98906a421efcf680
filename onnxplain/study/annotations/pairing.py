"""Which photo each annotation file belongs to: by path, and where folders differ by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TypeAlias

# Returns the folder and the file name that an annotation file itself gives its photo.
ReadName: TypeAlias = Callable[[str], tuple[str, str]]


def pair_by_path(
    photos: Sequence[str], annotations: Sequence[str], read_name: ReadName
) -> dict[str, str]:
    """Pair annotation files with photos.

    ``red/0.xml`` belongs to ``red/0.jpg``. A photo in a folder that the annotations do not have
    is found by the name of the annotation file, by the folders that both paths end with and by
    the name that the file gives its photo; if that leaves several, nothing says which is meant.

    Parameters
    ----------
    photos, annotations : sequence of str
        Paths below the two folders, with forward slashes.
    read_name : callable
        Returns the folder and the file name written in an annotation file, empty texts where
        there are none; called only where the paths alone do not decide.

    Returns
    -------
    pairs : dict
        The photo of each annotation file that has one.

    Raises
    ------
    ValueError
        If an annotation file may belong to several photos, or several belong to one.

    Examples
    --------
    >>> pair_by_path(["red/0.png", "blue/0.png"], ["red/0.xml"], lambda path: ("", ""))
    {'red/0.xml': 'red/0.png'}
    """
    by_path, by_stem = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    folders = {str(PurePosixPath(path).parent) for path in annotations}
    for photo in photos:
        path = PurePosixPath(photo)
        by_path[str(path.with_suffix(""))].append(photo)
        if str(path.parent) not in folders:  # else its annotations are in that folder
            by_stem[path.stem].append(photo)
    pairs: dict[str, str] = {}
    for annotation in annotations:
        path = PurePosixPath(annotation)
        same_path = by_path.get(str(path.with_suffix("")))
        if candidates := same_path or by_stem.get(path.stem):
            pairs[annotation] = _choose_photo(annotation, candidates, read_name)
    pairs |= _pair_by_written_name(photos, annotations, pairs, folders, read_name)
    _check_single(pairs)
    return pairs


def _choose_photo(annotation: str, candidates: Sequence[str], read_name: ReadName) -> str:
    """Choose among photos by the end of the path, and by the name in the annotation file."""
    if len(candidates) == 1:
        return candidates[0]
    agreeing = [_count_shared_folders(annotation, photo) for photo in candidates]
    best = [
        photo for photo, count in zip(candidates, agreeing, strict=True) if count == max(agreeing)
    ]
    if len(best) > 1:
        folder, name = read_name(annotation)
        best = _keep_named(best, folder, name) or best
    if len(best) > 1:
        raise ValueError(
            f"{annotation}: may belong to {_list_some(best)}; keep the annotations in the same "
            f"folders as the photos, as red/0.xml for red/0.jpg"
        )
    return best[0]


def _pair_by_written_name(
    photos: Iterable[str],
    annotations: Iterable[str],
    pairs: Mapping[str, str],
    folders: set[str],
    read_name: ReadName,
) -> dict[str, str]:
    """Pair what is left by the name that annotation files give their photo."""
    taken = set(pairs.values())
    left = defaultdict[str, list[str]](list)
    for photo in photos:
        if photo not in taken and str(PurePosixPath(photo).parent) not in folders:
            left[PurePosixPath(photo).name].append(photo)
    found: dict[str, str] = {}
    for annotation in annotations if left else ():
        if annotation in pairs:
            continue
        folder, name = read_name(annotation)
        if candidates := left.get(name):
            candidates = _keep_named(candidates, folder, name)
            found[annotation] = _choose_photo(annotation, candidates, read_name)
    return found


def _keep_named(photos: Sequence[str], folder: str, name: str) -> list[str]:
    """Return the photos of a name, those in the folder of that name first."""
    paths = {photo: PurePosixPath(photo) for photo in photos}
    named = [photo for photo, path in paths.items() if name in (path.name, path.stem)]
    inside = [photo for photo in named or photos if paths[photo].parent.name == folder]
    return inside or named


def _count_shared_folders(first: str, second: str) -> int:
    """Return how many folders two paths have in common, from the innermost outwards."""
    own, other = (PurePosixPath(path).parent.parts[::-1] for path in (first, second))
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(own, other, strict=False))
    return len(list(equal))


def _check_single(pairs: Mapping[str, str]) -> None:
    """Check that no photo has the boxes of several annotation files."""
    first: dict[str, str] = {}
    for annotation, photo in pairs.items():
        if first.setdefault(photo, annotation) != annotation:
            raise ValueError(
                f"{first[photo]} and {annotation} would both belong to {photo}; keep the "
                f"annotations in the same folders as the photos, as red/0.xml for red/0.jpg"
            )


def _list_some(photos: Sequence[str]) -> str:
    return ", ".join(photos[:5]) + (", ..." if len(photos) > 5 else "")
