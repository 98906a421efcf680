"""Images are named, read, brought to a classifier's size and classified."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from onnxplain.core.data import Preprocessing
from onnxplain.core.errors import ImageError, ScoreError
from onnxplain.image import MAX_PIXELS
from onnxplain.runtime import from_callable
from onnxplain.subjects import (
    classify,
    fit_to_classifier,
    from_array,
    name_image,
    name_images,
    read_subject,
    to_uint8,
)
from tests.helpers.nets import Net

SIZE = (12, 12)
PHOTO = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)


def score_brightness(images):
    left, right = images[:, :, :6], images[:, :, 6:]
    scores = np.stack([half.mean(axis=(1, 2, 3)) for half in (left, right)], axis=1)
    return scores / scores.sum(axis=1, keepdims=True)


CLASSIFIER = from_callable(score_brightness, size=SIZE, n_classes=2)


def read(source):
    return read_subject(CLASSIFIER, name_image(source, 3), max_pixels=MAX_PIXELS)


def test_files_are_named_by_their_file_and_labelled_by_their_path():
    assert name_image("photos/cat.jpg", 3)[:2] == ("photos/cat.jpg", "cat.jpg")
    assert name_image(Path("photos/cat.jpg"), 3)[:2] == ("photos/cat.jpg", "cat.jpg")


def test_arrays_and_pillow_images_are_named_by_their_position():
    images = [PHOTO, PIL.Image.fromarray(PHOTO)]
    assert [named.name for named in name_images(images)] == ["image-0", "image-1"]


def test_bytes_of_a_file_name_that_are_not_text_are_replaced():
    path = os.fsdecode(b"photos/c\xff.jpg")
    assert name_image(path, 0).name == "c\N{REPLACEMENT CHARACTER}.jpg"


@pytest.mark.parametrize("image", [PHOTO, "photo.jpg", Path("p.jpg"), PIL.Image.fromarray(PHOTO)])
def test_one_image_in_place_of_a_list_is_refused(image):
    with pytest.raises(TypeError, match="takes a list of images"):
        name_images(image)


def test_object_that_is_no_image_is_refused():
    with pytest.raises(TypeError, match=r"image-4 must be a path, an array.*got list"):
        name_image([[0, 1]], 4)


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.zeros((3, 8, 8), np.uint8), ValueError, r"\(rows, columns, 3\).*got \(3, 8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, r"got \(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, r"got \(0, 8, 3\)"),
        (np.full((8, 8, 3), 255.0), ValueError, "from 255 to 255; divide by 255"),
        (np.full((8, 8, 3), -0.1), ValueError, "from -0.1"),
        (np.full((8, 8, 3), np.nan), ValueError, "from nan"),
        (np.zeros((8, 8, 3), np.int64), TypeError, "uint8, uint16, or float in .*got int64"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array, error, text):
    with pytest.raises(error, match=text):
        from_array(array)
    with pytest.raises(error, match=text):
        read(array)


def test_grey_float_and_colour_arrays_of_the_same_photo_are_the_same_image():
    grey = PHOTO[..., 0]
    colour = np.repeat(grey[..., None], 3, axis=2)
    image = from_array(grey)
    assert (image.dtype, image.shape) == (np.float32, (24, 36, 3))
    for same in (grey[..., None], colour, colour / 255, (colour / 255).astype(np.float32)):
        np.testing.assert_allclose(from_array(same), image, rtol=1e-6)


def test_subject_has_the_same_pixels_and_hash_from_a_file_an_array_or_pillow(tmp_path: Path):
    PIL.Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    subjects = [
        read(source) for source in (PHOTO, PIL.Image.fromarray(PHOTO), tmp_path / "photo.png")
    ]
    for subject in subjects:
        np.testing.assert_array_equal(subject.photo, PHOTO)
        np.testing.assert_array_equal(subject.image, subjects[0].image)
        assert subject.sha256 == hashlib.sha256(PHOTO.tobytes()).hexdigest()
    assert read(PHOTO[::-1]).sha256 != subjects[0].sha256
    for same in (PHOTO / 255, PHOTO * np.float32(1 / 255), PHOTO.astype(np.uint16) * 257):
        assert read(same).sha256 == subjects[0].sha256


def test_photos_that_differ_in_the_last_of_16_bits_have_different_hashes(tmp_path: Path):
    """The classifier sees that bit, so they are not one photo to studies and records."""
    deep = PHOTO[..., 0].astype(np.uint16) * 257
    hashes = [read(deep).sha256]
    for name, more in (("second", 1), ("third", 2)):
        changed = deep.copy()
        changed[3, 5] = 1000 + more
        PIL.Image.fromarray(changed).save(tmp_path / f"{name}.png")
        subject = read(tmp_path / f"{name}.png")
        assert subject.sha256 == read(changed).sha256
        hashes.append(subject.sha256)
    assert len(set(hashes)) == 3


def test_case_of_a_subject_asks_about_the_image_that_was_classified():
    subject = read(PHOTO)
    case = subject.case(1)
    assert (case.name, case.target, case.n_classes) == ("image-3", 1, 2)
    assert case.image is subject.image
    expected = score_brightness(subject.image[None])[0]
    np.testing.assert_allclose(subject.probabilities, expected, rtol=1e-6)


def test_missing_file_is_an_image_error(tmp_path: Path):
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "missing.jpg")


def test_8_bit_values_survive_conversion_to_float_and_back():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_uint8(from_array(values))[..., 0], values)


def test_photo_is_fitted_as_the_classifiers_preprocessing_says():
    net = Net(score_brightness, SIZE)
    image = from_array(PHOTO)
    frame, fitted = fit_to_classifier(net, image)
    assert (frame.window.left, frame.window.right) == (6, 30)  # the centre of 36 columns
    assert fitted.shape == (*SIZE, 3)
    net.preprocessing = Preprocessing(fit="stretch")
    frame, _ = fit_to_classifier(net, image)
    assert (frame.window.left, frame.window.right) == (0, 36)


def test_probabilities_are_the_softmax_of_logits():
    logits = np.log(np.array([[1.0, 3.0]]))
    classifier = from_callable(
        lambda images: np.repeat(logits, len(images), axis=0),
        size=SIZE,
        n_classes=2,
        outputs="logits",
    )
    image = np.zeros((*SIZE, 3), np.float32)
    np.testing.assert_allclose(classify(classifier, image), [0.25, 0.75], rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.nan, "NaN or infinite scores"),
        (np.inf, "NaN or infinite scores"),
        (2.5, r"lie in \[2\.5, 2\.5\].*--head, or with outputs="),
    ],
)
def test_scores_that_are_no_probabilities_are_refused(value, text):
    classifier = from_callable(
        lambda images: np.full((len(images), 2), value),
        size=SIZE,
        n_classes=2,
        outputs="probabilities",
    )
    with pytest.raises(ScoreError, match=text):
        classify(classifier, np.zeros((*SIZE, 3), np.float32))
