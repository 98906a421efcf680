"""Range, mean and std belong together, whichever source each of them comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.fields import SpecSource
from onnxplain.describe.normalisation import NORMALISATION_PRESETS, find_normalisation
from onnxplain.describe.resolve import resolve_spec
from tests.helpers.described import get_normalisation, make_net, make_open_net
from tests.helpers.pictures import make_noise
from tests.helpers.prepared import measure_levels, prepare

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_range_follows_from_the_size_of_mean_and_std(tmp_path: Path) -> None:
    model = make_net(tmp_path)
    assert resolve_spec(model, {"mean": 0.5, "std": 0.5}).range == (0, 1)
    spec = resolve_spec(model, {"mean": [123.7, 116.8, 103.9], "std": 58.0})
    assert spec.range == (0, 255)
    assert spec.sources["range"] == "follows from mean and std"
    assert resolve_spec(model, {"std": 255.0}).mean == (0, 0, 0)
    with pytest.raises(ModelError, match="cannot tell range"):
        resolve_spec(model, {"mean": 0.0, "std": 1.0})


def test_flags_in_other_units_do_not_take_the_range_of_a_file(tmp_path: Path) -> None:
    model = make_net(tmp_path, net="mean = 127\nstd = 128\nrange = [0, 255]")
    spec = resolve_spec(model, {"mean": IMAGENET[0], "std": IMAGENET[1]})
    assert get_normalisation(spec) == ((0.0, 1.0), *IMAGENET)
    # The same units as the file's: only the mean is corrected.
    assert get_normalisation(resolve_spec(model, {"mean": 120.0})) == (
        (0.0, 255.0),
        (120.0,) * 3,
        (128.0,) * 3,
    )


def test_preset_in_bgr_has_mean_and_std_in_reverse() -> None:
    fields = NORMALISATION_PRESETS["torchvision"].fields("bgr")
    assert fields == {"range": (0.0, 1.0), "mean": IMAGENET[0][::-1], "std": IMAGENET[1][::-1]}


def test_preset_in_grey_has_the_mean_over_the_channels() -> None:
    fields = NORMALISATION_PRESETS["torchvision"].fields("grey")
    assert fields["mean"] == pytest.approx((0.449,))
    assert fields["std"] == pytest.approx((0.226,))


@pytest.mark.parametrize(
    ("sources", "flags", "expected"),
    [
        ([], 0, {}),
        ([{"size": (8, 8)}], 0, {}),
        (
            [{"range": (0.0, 255.0)}, {"mean": (9.0,), "std": (9.0,)}],
            0,
            {
                "range": ((0.0, 255.0), "0"),
                "mean": ((0.0,), "follows from range"),
                "std": ((1.0,), "follows from range"),
            },
        ),
        (
            [{"mean": (0.5,)}, {"std": (0.25,)}],
            2,
            {
                "mean": ((0.5,), "0"),
                "std": ((0.25,), "1"),
                "range": ((0.0, 1.0), "follows from mean and std"),
            },
        ),
        (
            [{"std": (1.0,)}],
            1,
            {"mean": ((0.0,), "default"), "std": ((1.0,), "0")},
        ),
    ],
)
def test_normalisation_is_taken_from_the_sources_in_their_order(
    sources: list[dict[str, Any]], flags: int, expected: dict[str, Any]
) -> None:
    named = [SpecSource(str(rank), values) for rank, values in enumerate(sources)]
    assert find_normalisation(named, flags) == expected


# The modules of Keras 3.15 that classify, by the preset that does what their preprocess_input does.
KERAS = {
    "keras-caffe": "resnet vgg16 vgg19",
    "keras-tf": "inception_resnet_v2 inception_v3 mobilenet mobilenet_v2 nasnet resnet_v2 xception",
    "keras-torch": "densenet",
    "bytes": "convnext efficientnet efficientnet_v2 mobilenet_v3",
}


@pytest.mark.framework
@pytest.mark.parametrize(
    ("preset", "module"), [(preset, name) for preset in KERAS for name in KERAS[preset].split()]
)
def test_presets_give_the_pixels_of_preprocess_input(
    preset: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    keras = pytest.importorskip(f"keras.applications.{module}")
    spec = resolve_spec(make_open_net(tmp_path), {"preprocessing": preset, "size": (30, 40)})
    photo = make_noise(30, 40)
    theirs = keras.preprocess_input(photo.astype(np.float32), data_format="channels_last")
    assert measure_levels(spec, prepare(spec, photo), theirs.transpose(2, 0, 1)) < 1e-3
