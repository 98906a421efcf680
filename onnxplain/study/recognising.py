"""Whether rows of an earlier run are those of a classifier that no checksum identifies.

A file has a checksum, which is in the key of every row. A function or a module of a framework has
only its name: trained further, it would take its old rows for its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from onnxplain.core.errors import ImageError, OutputError
from onnxplain.core.protocols import Classifier
from onnxplain.study.classifier_study import Rules
from onnxplain.study.dataset import Item
from onnxplain.study.records import Question
from onnxplain.study.rows import RowFile, read_rows
from onnxplain.subjects import NamedImage, hash_photo, read_subject

LOOKS = 5  # photos that are classified again
TOLERANCE = 0.01  # of a probability: devices and batches differ by less


class _Answer(NamedTuple):
    file: str
    score: float


def check_same_classifier(
    classifier: Classifier, items: Iterable[Item], store: RowFile, rules: Rules
) -> None:
    """Check that a classifier without a checksum answers as its earlier rows say.

    Parameters
    ----------
    classifier : Classifier
        The classifier.
    items : iterable of Item
        The images of the study, of which the first few that have rows are classified again.
    store : RowFile
        The rows.
    rules : Rules
        How images are read.

    Raises
    ------
    OutputError
        If the probability of a class is another one.
    """
    if classifier.provenance.get("sha256"):
        return
    answers: dict[str, _Answer] = {}
    for item in items:
        if len(answers) == LOOKS:
            break
        if store.find_done(item.file):
            answers |= _answer_again(classifier, item, store, rules)
    for row in read_rows(store.path) if answers else ():
        answer = answers.get(row["key"])
        if answer and "score" in row and abs(row["score"] - answer.score) > TOLERANCE:
            raise OutputError(
                f"{store.path}: holds rows of another classifier of the name "
                f"{classifier.provenance.get('model')!r}: for {answer.file}, its probability of "
                f"{row.get('target_name')!r} was {row['score']:.3g} and is {answer.score:.3g}; "
                f"give this one another name, as in from_callable(..., name='second'), or another "
                f"output"
            )


def _answer_again(
    classifier: Classifier, item: Item, store: RowFile, rules: Rules
) -> dict[str, _Answer]:
    """Classify an image, if its photo is the one that was classified before."""
    try:
        photo = rules.read(item.path)
    except ImageError:  # the study says so
        return {}
    checksum = hash_photo(photo)
    question = Question(classifier, item, checksum, rules.seed)
    key = question.image_key()
    if store.done.get(key) not in ("done", "wrong"):
        return {}
    named = NamedImage(item.file, item.path.name, photo)
    probabilities = read_subject(classifier, named, max_pixels=rules.max_pixels).probabilities
    target = int(probabilities.argmax()) if item.label is None else int(item.label)
    return {key: _Answer(item.file, float(probabilities[target]))}
