"""What is painted and left on a device is what an inpainter gives to the host, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain.core.errors import InpainterError
from onnxplain.runtime import OnnxInpainter
from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.session import Session
from tests.helpers import painters
from tests.helpers.painters import load_painter, make_rectangles
from tests.helpers.specs import photos
from tests.runtime.inpainters.test_encoding import FORMS, PUBLISHED

SIZE = (18, 14)
CPU = Device("cpu")


def paint(inpainter: OnnxInpainter, image: Any, masks: NDArray[np.float32]) -> Any:
    """Paint on the CPU as if it were another device, and fetch the pictures."""
    painting = inpainter.on_device
    return painting.fetch(painting.paint(painting.upload(image), masks == 1))


def check_against_host(inpainter: OnnxInpainter, size: tuple[int, int], n: int) -> None:
    """Check that pictures are those that the host gets, and differ from the image."""
    (image,), masks = photos(1, size), make_rectangles(n, size)
    masks[-1] = 1  # nothing is known
    assert inpainter.on_device.suits(CPU, size)
    expected = inpainter.inpaint(np.repeat(image[None], n, axis=0), masks)
    np.testing.assert_array_equal(paint(inpainter, image, masks), expected)
    assert np.abs(expected - image).max() > 0.05


@pytest.mark.parametrize("case", PUBLISHED)
def test_pictures_of_every_convention_are_those_of_the_host(case: str, tmp_path: Path) -> None:
    preset, build, size, _ = PUBLISHED[case]
    check_against_host(load_painter(build(), tmp_path, preset=preset), size, 2)


@pytest.mark.parametrize("form", FORMS)
def test_pictures_of_every_form_are_those_of_the_host(form: str, tmp_path: Path) -> None:
    check_against_host(load_painter(painters.separate(**FORMS[form]), tmp_path), SIZE, 3)


def test_pictures_are_painted_in_batches_at_sizes_that_are_no_multiples(tmp_path: Path) -> None:
    inpainter = load_painter(painters.plain(multiple=8), tmp_path, multiple=8)
    check_against_host(inpainter, SIZE, inpainter.batch_size + 3)


def test_another_device_and_images_that_are_resampled_are_left_to_the_host(tmp_path: Path) -> None:
    any_size = load_painter(painters.plain(), tmp_path).on_device
    assert any_size.suits(CPU, SIZE)
    assert not any_size.suits(Device("cuda"), SIZE)
    of_one = load_painter(painters.lama(SIZE), tmp_path).on_device
    assert of_one.suits(CPU, SIZE)
    assert not of_one.suits(CPU, (20, 20))


def test_what_is_not_finite_is_an_error_as_on_the_host(tmp_path: Path) -> None:
    inpainter = load_painter(painters.plain(empty=0.0), tmp_path)
    (image,), masks = photos(1, SIZE), np.ones((2, *SIZE), np.float32)
    for run in (
        lambda: inpainter.inpaint(image[None], masks[:1]),
        lambda: paint(inpainter, image, masks),
    ):
        with pytest.raises(InpainterError, match="painted NaN or infinite pixels"):
            run()


def test_when_memory_runs_out_smaller_batches_paint_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inpainter = load_painter(painters.plain(), tmp_path)
    (image,), masks = photos(1, SIZE), make_rectangles(7, SIZE)
    expected = paint(inpainter, image, masks)
    run, widths = Session.run_on_device, []

    def run_few(session: Session, feeds: Any, outputs: Any) -> Any:
        if session is inpainter._session:
            widths.append(feeds["image"].n_rows)
            if widths[-1] > 3:
                raise OutOfMemory("too many")
        return run(session, feeds, outputs)

    monkeypatch.setattr(Session, "run_on_device", run_few)
    np.testing.assert_array_equal(paint(inpainter, image, masks), expected)
    assert widths == [7, 4, 2, 2, 2, 1]
